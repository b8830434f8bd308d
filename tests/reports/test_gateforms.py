"""The gate's answer for CI systems: complete, and no text of a record is ever more than text."""

from __future__ import annotations

import html
import json
import re
from dataclasses import replace
from types import ModuleType
from typing import Any

import pytest
from defusedxml.ElementTree import fromstring
from markdown_it import MarkdownIt

from muniment.controls.coverage import CatalogCoverage, ControlResult, Coverage, Reason, State
from muniment.controls.gate import GateDecision, decide
from muniment.controls.profile import Profile
from muniment.reports.gateforms.form import GateForm, render
from muniment.reports.inert import escape
from muniment.reports.workspace import Gated

HOSTILE = [
    "::error file=x::boom",
    "  ::add-mask::secret",
    "##[error]boom ##vso[task.complete] ##teamcity[x]",
    "<script>alert(1)</script><img src=x onerror=y>",
    "| a | b |",
    "`code` *bold* _it_ ~~no~~ # head",
    "[click](https://evil.example) ![i](https://evil.example/x.png) www.evil.example",
    "@team :boom: $x$ <!-- gone -->",
    "]]> & \" ' > {0} {{1}}",
    "a\n\n## head\n::error::x\r\x1b[2J",
    "\u202eevil\u2066\u200b\x00\ufffe\ud800",
    "x" * 5000,
]
COMMAND = re.compile(r"^\s*::|##\w*\[", re.M)
RAW = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u202a-\u202e\u2060-\u2069]")


def control(name: str, state: State, text: str = "because") -> ControlResult:
    gap = state.is_gap
    return ControlResult(
        f"own:{name}",
        f"Title {text}",
        "A",
        state,
        (Reason("evidence.some", text),),
        unblock=f"do {text}" if gap else None,
        command=f"muniment attach {text}" if gap else None,
    )


def gate(build: ModuleType, *controls: ControlResult, blocks: tuple[str, ...] | None) -> Gated:
    """A dry gate over these controls, under a profile that blocks on ``blocks`` of them."""
    profile = Profile("small", "Small", "1", "Few controls", {"own": blocks})
    coverage: Coverage = replace(
        build.coverage(build.ledger()),
        catalogs=(CatalogCoverage("own", "Own", "0" * 64, controls),),
        profile_sha256=profile.sha256,
    )
    return Gated(decide(coverage, profile), None)


@pytest.fixture
def mixed(build: ModuleType) -> Gated:
    """One control in every state, and one that the profile does not ask for."""
    controls = [control(f"C-{number}", state) for number, state in enumerate(State)]
    asked = tuple(item.id.partition(":")[2] for item in controls)
    return gate(build, *controls, control("X-1", State.MISSING), blocks=asked)


@pytest.fixture
def hostile(build: ModuleType) -> Gated:
    """Every text of a record is an attack."""
    return gate(
        build,
        *(control(f"C-{number}", State.FAILED, text) for number, text in enumerate(HOSTILE)),
        *(control(f"M-{number}", State.MET, text) for number, text in enumerate(HOSTILE)),
        *(control(f"W-{number}", State.WAIVED, text) for number, text in enumerate(HOSTILE)),
        blocks=None,
    )


def form(gated: Gated, name: GateForm) -> str:
    return render(gated, name, text="", document="")


def test_a_decision_sorts_its_controls(mixed: Gated) -> None:
    """What is waived or ruled out stands apart from what is met, and nothing is lost."""
    decision = mixed.decision
    assert [item.state for item in decision.met] == [State.MET]
    assert [item.state for item in decision.excepted] == [State.WAIVED, State.NOT_APPLICABLE]
    assert [item.id for item in decision.outside] == ["own:X-1"]
    parts = (*decision.blocking, *decision.met, *decision.excepted)
    assert sorted(item.id for item in parts) == sorted(item.id for item in decision.scope)


def test_junit_has_a_case_for_each_control(mixed: Gated) -> None:
    """Gaps fail with reason and hint, met ones pass, whatever else there is is skipped."""
    root = fromstring(form(mixed, GateForm.JUNIT))
    (suite,) = root
    assert (root.get("tests"), root.get("failures")) == ("9", "5")
    assert (suite.get("tests"), suite.get("skipped"), suite.get("errors")) == ("9", "3", "0")
    cases = {case.get("name").split()[0]: case for case in suite.iter("testcase")}
    failure = cases["C-1"].find("failure")
    assert failure.get("type") == "missing"
    assert failure.text.split("\n") == ["because", "do because", "muniment attach because"]
    assert list(cases["C-5"]) == []
    assert "waived: because" in cases["C-6"].find("skipped").get("message")
    assert "does not block" in cases["X-1"].find("skipped").get("message")


def test_sarif_has_a_result_for_each_control_that_blocks(mixed: Gated) -> None:
    """A rule per control in scope; results name their rule; the same gap has one fingerprint."""
    (run,) = json.loads(form(mixed, GateForm.SARIF))["runs"]
    rules = run["tool"]["driver"]["rules"]
    assert len(rules) == 8
    assert [item["ruleId"] for item in run["results"]] == [f"own:C-{n}" for n in range(5)]
    assert all(rules[item["ruleIndex"]]["id"] == item["ruleId"] for item in run["results"])
    prints = {item["partialFingerprints"]["control/v1"] for item in run["results"]}
    assert len(prints) == 5
    assert run["results"][1]["message"]["text"].endswith("do because\nmuniment attach because")
    assert run["invocations"][0]["exitCode"] == 1


def test_markdown_begins_with_the_verdict(mixed: Gated) -> None:
    """The verdict, then what blocks with hints, then the rest folded, exceptions apart from met."""
    text = form(mixed, GateForm.MARKDOWN)
    assert text.startswith("## Gate small&#64;1 for credit-risk&#64;2.1.0&#58; NOT PASSED\n")
    order = [
        "5 of 8 controls block",
        "<b>C-0</b>",
        "muniment attach because",
        "2 controls waived or",
    ]
    order += ["1 control met", "1 control evaluated, but not asked for", "remarks on records"]
    places = [text.index(part) for part in order]
    assert places == sorted(places)
    assert text.count("<details>") == text.count("</details>") == 4


def test_what_passes_has_no_failures(build: ModuleType) -> None:
    """A gate that passes fails no test case and has no SARIF result."""
    gated = gate(build, control("C-1", State.MET), blocks=None)
    assert gated.decision.passed
    assert "<failure" not in form(gated, GateForm.JUNIT)
    assert json.loads(form(gated, GateForm.SARIF))["runs"][0]["results"] == []
    assert "&#58; PASSED" in form(gated, GateForm.MARKDOWN)


@pytest.mark.parametrize("name", [GateForm.JUNIT, GateForm.SARIF, GateForm.MARKDOWN])
def test_what_no_control_shows_is_a_failure_too(build: ModuleType, name: GateForm) -> None:
    """A gate that asks for nothing, or of an unknown model, is no pass in any form."""
    gated = gate(build, control("C-1", State.MET), blocks=None)
    decision: GateDecision = decide(
        replace(gated.decision.coverage, artifact=None), gated.decision.profile
    )
    text = form(Gated(decision, None), name)
    if name is GateForm.JUNIT:
        assert fromstring(text).get("failures") == "1"
    elif name is GateForm.SARIF:
        (result,) = json.loads(text)["runs"][0]["results"]
        assert result["ruleId"] == "gate.no-model"
    else:
        assert "NOT PASSED" in text
        assert "no system record names the digest" in text


@pytest.mark.parametrize("name", [GateForm.JUNIT, GateForm.SARIF, GateForm.MARKDOWN])
def test_nothing_hostile_reaches_a_log(hostile: Gated, name: GateForm) -> None:
    """No runner's command, control code or bidi mark is in any form."""
    text = form(hostile, name)
    assert not RAW.search(text)
    assert not COMMAND.search(text)
    text.encode()


def test_hostile_text_stays_text_in_xml(hostile: Gated) -> None:
    """The XML is read back by a strict parser, with the text as it was, what hides spelt out."""
    root = fromstring(form(hostile, GateForm.JUNIT))
    said = [item.text for item in root.iter("failure")]
    assert len(said) == len(HOSTILE)
    assert said[0].startswith("::error file=x::boom\n")
    assert said[3].startswith(HOSTILE[3])
    assert said[10].startswith("[U+202E]evil[U+2066][U+200B][U+0000][U+FFFE][U+D800]\n")


def test_hostile_text_stays_text_in_sarif(hostile: Gated) -> None:
    """No link and no placeholder is read from a message."""
    for result in json.loads(form(hostile, GateForm.SARIF))["runs"][0]["results"]:
        text = result["message"]["text"]
        assert "](" not in text
        assert not re.search(r"(?<!\{)\{(\{\{)*[^{]", text)


def test_hostile_text_stays_text_in_markdown(hostile: Gated) -> None:
    """Rendered, every hostile text is seen as it is, and makes no element, row or cell."""
    source = form(hostile, GateForm.MARKDOWN)
    page = (
        MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).render(source)
    )
    elements = set(re.findall(r"<(\w+)", page))
    assert elements == {
        *("h2", "p", "code", "table", "thead", "tr", "th", "tbody", "td", "b", "br"),
        *("details", "summary"),
    }
    rows: list[Any] = re.findall(r"<tr>(.*?)</tr>", page, re.S)
    assert {row.count("<td>") for row in rows if "<td>" in row} <= {1, 4, 5}
    seen = html.unescape(re.sub(r"<[^>]+>", "", page))
    for text in HOSTILE[:9]:
        assert text in seen, text
    assert "www." not in source


def test_every_ascii_sign_of_markup_is_an_entity() -> None:
    """Letters, digits, blanks and plain punctuation alone stay as they are."""
    kept = {chr(code) for code in range(32, 127) if escape(chr(code)) == chr(code)}
    assert {item for item in kept if not item.isalnum()} == set(" %'(),-./;")


def test_long_lists_say_what_they_leave_out(build: ModuleType) -> None:
    """A summary stays under GitHub's limit, and counts what it does not list."""
    gaps = [control(f"C-{number}", State.MISSING, "<" * 3000) for number in range(400)]
    rest = [control(f"M-{number}", State.MET, "<" * 3000) for number in range(400)]
    text = form(gate(build, *gaps, *rest, blocks=None), GateForm.MARKDOWN)
    assert " more: muniment gate lists them" in text
    assert len(text.encode()) < 1 << 20
