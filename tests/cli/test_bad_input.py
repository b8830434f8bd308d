"""Bad input about controls: each fault has its code, in words an engineer can act on."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from .conftest import ATTACH_POLICY, Cli
from .test_frameworks import CATALOG

EU = "eu-ai-act-high-risk"
SOON = (datetime.now(UTC) + timedelta(days=30)).date().isoformat()


def refused(cli: Cli, code: str, *command: str) -> dict[str, Any]:
    """The error of a command, the same as text and as a document."""
    said = cli(*command)
    assert (said.code, said.out) == (2, ""), said
    error = cli(*command, "--json").json["error"]
    assert error["code"] == code
    assert f"{error['message']} [{code}]" in said.err
    for part in ("hint", "found"):
        assert error[part] is None or error[part] in said.err
    return dict(error)


@pytest.fixture
def care(place: Path, cli: Cli) -> Path:
    """The folder of the workspace's own frameworks, one in it."""
    (place / "care.json").write_text(json.dumps(CATALOG))
    assert cli("import", "care.json", "--as", "care").code == 0
    return place / "frameworks"


def test_profiles_in_a_circle(place: Path, cli: Cli) -> None:
    """The circle is named from end to end."""
    (place / "profiles").mkdir()
    for name, above in (("one", "two"), ("two", "one")):
        text = f'profile: {name}\nversion: "1"\nname: N\ndescription: D\nextends: {above}\n'
        (place / "profiles" / f"{name}.yaml").write_text(text)
    error = refused(cli, "profile.cycle", "gate", "--dry-run", "--profile", "one")
    assert error["message"] == "profiles extend each other: one → two → one"


def test_an_id_that_stands_twice(place: Path, cli: Cli) -> None:
    """A catalog with two controls of one id is not taken in, and nothing is written."""
    controls = [{"id": "care-1", "title": "Feed"}, {"id": "care-1", "title": "Walk"}]
    catalog = {"catalog": {**CATALOG["catalog"], "controls": controls}}
    (place / "twice.json").write_text(json.dumps(catalog))
    error = refused(cli, "framework.duplicate", "import", "twice.json", "--as", "care")
    assert "care-1" in error["message"]
    assert not (place / "frameworks").exists()


@pytest.mark.parametrize(
    ("end", "hint"),
    [
        ("care:care-9", "care:care-1"),
        ("care:CARE 1", "did you mean care:care-1?"),
        ("nist-ai-rmf-2.0:MAP 1.1", "nist-ai-rmf-1.0"),
        ("nowhere:x", ""),
    ],
)
def test_a_crosswalk_to_a_missing_control(care: Path, cli: Cli, end: str, hint: str) -> None:
    """Named with its file, by whatever looks at pairs; another spelling is another control."""
    pair = {"from": end, "to": "nist-ai-rmf-1.0:MAP 1.1", "fit": "close", "source": "published"}
    value = {"crosswalk": "own", "name": "Own", "pairs": [pair]}
    (care / "own.crosswalk.json").write_text(json.dumps(value))
    for command in (("coverage",), ("controls", "map", "MAP 1.1")):
        error = refused(cli, "crosswalk.unknown-control", *command)
        assert "own.crosswalk.json" in error["message"]
        assert error["found"] == end
        assert hint in (error["hint"] or "")


def test_a_crosswalk_that_is_none(care: Path, cli: Cli) -> None:
    """The file is named."""
    (care / "own.crosswalk.json").write_text('{"crosswalk": "own", "pairs": []}')
    error = refused(cli, "crosswalk.malformed", "coverage")
    assert "own.crosswalk.json is not a crosswalk" in error["message"]


@pytest.mark.parametrize(
    ("rule", "code", "words"),
    [
        ("body.title ===", "rule.malformed", "the rule is not CEL"),
        ("a.all(x, a.all(y, a.all(z, true)))", "rule.too-costly", "3 nested loops"),
        ("body.a.map(x, x).size() > 0", "rule.too-costly", ".map("),
    ],
)
def test_a_rule_that_is_none(care: Path, cli: Cli, rule: str, code: str, words: str) -> None:
    """It is refused before it runs, with its control and what is wrong with it."""
    needs = care / "care.yaml"
    written = f'"care-1": {{anyOf: [policy], rule: {json.dumps(rule)}}}'
    needs.write_text(needs.read_text().replace('"care-1":', written))
    error = refused(cli, code, "coverage", "--framework", "care")
    assert "care:care-1" in error["message"]
    assert words in f"{error['message']} {error['found']}"


def test_a_rule_over_a_million_steps_of_much(care: Path, cli: Cli) -> None:
    """A rule in bounds that a record would keep busy for minutes is a no, and not a long wait."""
    rule = "body.appliesTo.all(x, body.appliesTo.all(y, !(x + y in body.appliesTo)))"
    needs = care / "care.yaml"
    asked = f'"care-1": {{anyOf: [policy], secondPerson: not-needed, rule: {json.dumps(rule)}}}'
    needs.write_text(needs.read_text().replace('"care-1":', asked))
    many = json.dumps([f"team {number}" for number in range(1000)])
    attach = (*ATTACH_POLICY, "--control", "care:care-1", "--set", f"appliesTo={many}")
    assert cli(*attach).code == 0
    found = cli("coverage", "--framework", "care", "--json").json["data"]["catalogs"][0]
    (control, _) = found["controls"]
    assert control["state"] == "failed"
    assert any("too much work over a record this large" in it["text"] for it in control["reasons"])


def test_a_claim_of_a_catalog_that_is_not_used(place: Path, cli: Cli) -> None:
    """Said when it is attached, and listed by coverage."""
    said = cli("attach", "policy", "policy.md", "--body", "policy.yaml", "--control", "AIA-9.1")
    assert said.code == 0
    assert f"{EU}: this workspace does not use it" in said.err
    left_out = cli("coverage", "--json").json["data"]["left_out"]
    assert [item["code"] for item in left_out] == ["record.unused"]
    assert "claims no control of these catalogs" in left_out[0]["text"]
    used = cli("coverage", "--framework", EU, "--json").json["data"]
    assert used["left_out"] != left_out


@pytest.mark.parametrize("text", ["2026-01-31T10:00:00", "2026-01-31 10:00:00"])
def test_a_time_without_a_zone_is_no_time(place: Path, cli: Cli, text: str) -> None:
    """Whose clock is meant is never guessed."""
    for command in (("coverage", "--as-of", text), (*ATTACH_POLICY, "--collected-at", text)):
        error = refused(cli, "time.malformed", *command)
        if "T" in text:
            assert error["hint"] == "say in which zone: Z for UTC, or an offset such as +02:00"


def test_one_moment_in_two_zones_is_one_moment(place: Path, cli: Cli) -> None:
    """An offset is counted, over the change of day as well."""
    asked = ("2026-01-31T23:30:00Z", "2026-02-01T01:30:00+02:00")
    documents = [cli("coverage", "--as-of", text, "--json").json["data"] for text in asked]
    assert documents[0] == documents[1]
    assert documents[0]["as_of"] == asked[0]


def test_facts_of_the_future(place: Path, cli: Cli) -> None:
    """Evidence cannot be dated after its recording, in whatever zone."""
    for text in ("2090-01-01", "2090-01-01T00:00:00-11:00"):
        error = refused(cli, "statement.future", *ATTACH_POLICY, "--collected-at", text)
        assert "after their recording" in error["message"]
        assert error["found"].startswith("2090-01-01")


@pytest.mark.parametrize("name", ["nobody@1", "support@9.9.9"])
@pytest.mark.parametrize(
    "command",
    [
        tuple(ATTACH_POLICY),
        ("coverage",),
        ("gate",),
        ("soa",),
        ("packet", "-o", "p.pdf"),
        ("export", "oscal", "out"),
        ("waive", "A.6.2.6", "--reason", "r", "--measure", "m", "--until", SOON),
    ],
)
def test_what_was_never_registered(
    place: Path, cli: Cli, command: tuple[str, ...], name: str
) -> None:
    """A system or version nobody registered is refused by whatever takes one, with those there
    are."""
    error = refused(cli, "system.unknown", *command, "--system", name)
    assert error["message"] == f"{name} is not registered"
    assert error["expected"] == "support@1.0.0"
    assert f"muniment system add {name}" in error["hint"]
