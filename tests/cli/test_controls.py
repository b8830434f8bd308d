"""``muniment controls``: outside a workspace, in words and as JSON."""

from __future__ import annotations

import json
import shlex
from dataclasses import replace
from pathlib import Path

import pikepdf
import pytest

from muniment.controls.catalog import SHIPPED, load_catalog, load_catalogs
from muniment.controls.gate import LedgerState, decide, to_body
from muniment.controls.profile import load_profile
from muniment.reports.workspace import Workspace

from .conftest import INIT, Cli
from .test_documents import check

ALL = [control.id for catalog in load_catalogs() for control in catalog.controls]


def test_list_names_every_control(empty: Path, cli: Cli) -> None:
    """Without a framework all controls that ship are listed; with one, its own."""
    said = cli("controls", "list", "--json").json["data"]["catalogs"]
    assert [item["catalog"] for item in said] == list(SHIPPED)
    assert sum(len(item["controls"]) for item in said) == len(ALL) == 468
    one = cli("controls", "list", "--framework", "eu-ai-act").out
    assert "AIA-IV.16" in one
    assert "RG-1" not in one
    assert cli("controls", "list", "--framework", "nothing").code == 2


def test_show_says_what_would_meet_it(empty: Path, cli: Cli) -> None:
    """Kinds, days, second person with role, the rule in words, and the commands that do it."""
    out = " ".join(cli("controls", "show", "govern 1.4").out.split())
    assert "Evidence of 2 kinds carries it, all of them: policy and risk-assessment." in out
    assert "365 days" in out
    assert "Somebody else, whose key has the role approver, must approve it" in out
    assert 'muniment attach policy --body policy.yaml --control "nist-ai-rmf-1.0:GOVERN 1.4"' in out
    rule = " ".join(cli("controls", "show", "RG-5").out.split())
    assert "A rule must hold over it" in rule
    assert "The record must have its ownership part" in rule
    tested = " ".join(cli("controls", "show", "RG-1").out.split())
    assert "cleanedByHand is false" in tested
    assert "In CEL: !section.cleanedByHand && section.rowsTested > 0" in tested


def test_show_keeps_dates_and_doubts(empty: Path, cli: Cli) -> None:
    """What a catalog knows beside the requirement is shown: dates, doubts, risks."""
    eu = cli("controls", "show", "AIA-49.2").out
    assert "2026-08-02" in eu
    assert "secondary sources read this in two ways" in eu
    action = cli("controls", "show", "GV-1.4-002").out
    assert "Civil Rights violations" in action
    assert "nist-ai-rmf-1.0:GOVERN 1.4" in action


@pytest.mark.parametrize("catalog", SHIPPED)
def test_every_control_can_be_shown(empty: Path, cli: Cli, catalog: str) -> None:
    """Every 20th control of a catalog is shown, and its commands are command lines that exist."""
    for control in load_catalog(catalog).controls[::20]:
        data = cli("controls", "show", control.id, "--json").json["data"]
        assert data["id"] == control.id
        assert data["meets_it"]
        for line in data["commands"]:
            words = shlex.split(line.partition(" > ")[0])
            check(words[1:])


def test_the_commands_shown_do_meet_it(place: Path, cli: Cli) -> None:
    """The template of the kind and the attach command, filled in, meet the control."""
    commands = cli("controls", "show", "GOVERN 1.2", "--json").json["data"]["commands"]
    assert commands == [
        "muniment kind show policy --template > policy.yaml",
        'muniment attach policy --body policy.yaml --control "nist-ai-rmf-1.0:GOVERN 1.2"',
        'muniment approve "#NUMBER" --key KEY --statement "TEXT"',
    ]
    attached = cli(*shlex.split(commands[1])[1:])
    assert attached.code == 0
    approve = commands[2].replace("#NUMBER", "#7").replace("KEY", "risk")
    assert cli(*shlex.split(approve)[1:]).code == 0
    coverage = cli("coverage", "--framework", "nist-ai-rmf", "--json").json["data"]
    found = {item["id"]: item for item in coverage["catalogs"][0]["controls"]}
    assert found["nist-ai-rmf-1.0:GOVERN 1.2"]["state"] == "met"


def test_map_shows_the_ways(empty: Path, cli: Cli) -> None:
    """One and two hops with fit and source, doubts, and articles beside the catalogs."""
    data = cli("controls", "map", "MEASURE 2.5", "--json").json["data"]
    by_start = {path["from"]: path for path in data["paths"]}
    direct = by_start["eu-ai-act-high-risk:AIA-15.1"]
    assert (direct["fit"], direct["source"], direct["carries"]) == ("close", "inferred", True)
    far = by_start["iso-42001-2023:A.6.2.4"]
    assert [pair["to"] for pair in far["pairs"]] == [direct["from"], data["control"]]
    unrated = by_start["iso-42001-2023:A.8.2"]
    assert (unrated["source"], unrated["carries"]) == ("published", False)
    text = cli("controls", "map", "GOVERN 3.2").out
    assert "printed number is B.3.2" in text
    assert "Art. 4, AI literacy (close, inferred)" in cli("controls", "map", "GOVERN 2.2").out
    assert "no pair" in cli("controls", "map", "RG-1").out


@pytest.mark.parametrize("command", ["show", "map"])
def test_an_unknown_control(empty: Path, cli: Cli, command: str) -> None:
    """An id that names nothing is an error that suggests the nearest."""
    said = cli("controls", command, "MEASURE 9.3")
    assert said.code == 2
    assert "[control.unknown]" in said.err
    assert "MEASURE" in said.err.partition("hint: ")[2]
    said = cli("controls", command, "\x1b[31m", "--json")
    assert said.json["error"]["code"] == "control.unknown"


def test_init_takes_every_framework(empty: Path, cli: Cli) -> None:
    """A workspace may use any catalog that ships, by any name for it; no other is taken."""
    wrong = cli(*INIT, "--framework", "nothing")
    assert wrong.code == 2
    assert "[catalog.unknown]" in wrong.err
    assert not list(empty.iterdir())
    said = cli(*INIT, "--framework", "EU AI Act", "--framework", "nist-ai-600-1")
    assert said.code == 0, said.err
    text = (empty / "muniment.yaml").read_text()
    assert "- eu-ai-act-high-risk" in text
    assert "- nist-ai-600-1" in text


def test_a_packet_holds_what_carries_over(place: Path, cli: Cli) -> None:
    """Coverage, packet and its verification agree on what carries over from a catalog that is not
    shown; the packet embeds that catalog and the pairs, and none that is not in use."""
    asked = ("--framework", "eu-ai-act")
    document = cli("coverage", *asked, "--json").json["data"]
    found = {item["id"]: item for item in document["catalogs"][0]["controls"]}
    accuracy = found["eu-ai-act-high-risk:AIA-15.1"]
    assert accuracy["state"] == "met"
    assert accuracy["reasons"][0]["code"] == "control.met-by-carry-over"
    (path,) = (reason["path"] for reason in accuracy["reasons"] if "path" in reason)
    assert [(pair["from"], pair["source"]) for pair in path] == [
        ("nist-ai-rmf-1.0:MEASURE 2.3", "inferred")
    ]
    assert cli("packet", *asked, "-o", "../packet.pdf").code == 0
    assert cli("verify", "../packet.pdf").code == 0
    with pikepdf.open(place.parent / "packet.pdf") as pdf:
        names = {name for name in pdf.attachments if name.startswith(("catalog-", "crosswalk"))}
        embedded = json.loads(pdf.attachments["coverage.json"].get_file().read_bytes())
    used = ("eu-ai-act-high-risk", "readiness-gate", "nist-ai-rmf-1.0", "iso-42001-2023")
    assert names == {"crosswalk.json", *(f"catalog-{name}.json" for name in used)}
    assert embedded["catalogs"][0]["controls"] == document["catalogs"][0]["controls"]


def test_the_gate_signs_the_crosswalk(place: Path, cli: Cli) -> None:
    """A decision over catalogs that pairs lead into names the pairs and where they lead from."""
    profile = replace(load_profile("production"), blocks={"nist-ai-rmf-1.0": ("MEASURE 2.3",)})
    coverage = Workspace(place).coverage()
    coverage = replace(coverage, profile_sha256=profile.sha256)
    ledger = LedgerState("evidence.example.com", 1, "00" * 32)
    body = to_body(decide(coverage, profile), "0", ledger)["muniment_decision"]
    assert body["crosswalk"] == coverage.crosswalk_sha256
    assert set(coverage.sources) < set(body["catalogs"])


def test_list_says_how_many_kinds_and_whose_word(empty: Path, cli: Cli) -> None:
    """Two kinds that are both needed, and approval, are told from either of two."""
    out = " ".join(cli("controls", "list", "--framework", "nist-ai-rmf").out.split())
    assert "policy and risk-assessment; approved" in out
    assert "policy, risk-assessment; approved" in out


def test_map_marks_what_is_not_used(place: Path, cli: Cli) -> None:
    """A path from a catalog that the workspace does not use is marked."""
    text = cli("controls", "map", "MEASURE 2.5").out
    used = (place / "muniment.yaml").read_text()
    assert ("not used here" in " ".join(text.split())) == ("eu-ai-act-high-risk" not in used)
