"""``waive``, ``applicability`` and ``soa`` as a person meets them."""

from __future__ import annotations

import csv
import json
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

SOON = (datetime.now(UTC) + timedelta(days=60)).date().isoformat()
FAR = (datetime.now(UTC) + timedelta(days=400)).date().isoformat()
WAIVE = ("--reason", "Starts soon", "--measure", "Checked by hand", "--until")


def _state(cli: Any, control: str) -> dict[str, Any]:
    said = cli("soa", "--json")
    assert said.code == 0, said.err
    found = said.json["data"]["controls"]
    return next(item for item in found if item["id"] == f"iso-42001-2023:{control}")


def test_a_waiver_from_end_to_end(place: Path, cli: Any) -> None:
    """Signed, shown by coverage and soa, gone a day after it ends."""
    said = cli("waive", "A.6.2.6", *WAIVE, SOON, "--key", "risk", "--json")
    assert said.code == 0, said.out
    assert said.json["data"]["record"]["kind"] == "waiver"
    line = _state(cli, "A.6.2.6")
    assert (line["state"], line["underlying"]) == ("waived", "missing")
    later = (datetime.now(UTC) + timedelta(days=61)).date().isoformat()
    said = cli("coverage", "--framework", "iso-42001", "--as-of", later, "--json")
    controls = said.json["data"]["catalogs"][0]["controls"]
    ended = next(item for item in controls if item["id"] == line["id"])
    assert ended["state"] == "missing"
    assert "waiver.expired" in {reason["code"] for reason in ended["reasons"]}


def test_a_risk_acceptance_wants_its_risk(place: Path, cli: Any) -> None:
    """The flag and the risk go together."""
    command = ("waive", "A.6.2.6", *WAIVE, SOON, "--key", "risk")
    assert "[usage.residual]" in cli(*command, "--risk-acceptance").err
    assert "[usage.residual]" in cli(*command, "--residual", "seen late").err
    said = cli(*command, "--risk-acceptance", "--residual", "seen late")
    assert said.code == 0, said.err
    assert _state(cli, "A.6.2.6")["reasons"][0]["code"] == "control.risk-accepted"


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (("waive", "A.6.2.6", *WAIVE, FAR, "--key", "risk"), "waiver.too-long"),
        (("waive", "A.6.2.6", *WAIVE, "2020-01-01", "--key", "risk"), "waiver.past"),
        (("waive", "A.99", *WAIVE, SOON, "--key", "risk"), "control.unknown"),
        (("waive", "RG-5", *WAIVE, SOON), "waiver.own"),
        (("attach", "waiver", "--body", "policy.yaml", "--key", "risk"), "attach.kind"),
        (("applicability", "A.2.2"), "usage.applicability"),
        (("applicability", "A.2.2", "--applicable"), "usage.applicability"),
        (("applicability", "--file", "twice.yaml", "--key", "risk"), "applicability.twice"),
        (("applicability", "--file", "bad.yaml", "--key", "risk"), "applicability.malformed"),
        (("soa", "--format", "xlsx"), "usage.output"),
        (("soa", "-o", "x"), "usage.output"),
        (("soa", "--format", "csv", "--json"), "usage.format"),
        (("soa", "--format", "csv", "-o", "nowhere/x.csv"), "file.missing"),
    ],
)
def test_what_is_refused(command: tuple[str, ...], code: str, place: Path, cli: Any) -> None:
    """Each mistake has its own error, and nothing is signed."""
    (place / "twice.yaml").write_text(
        "A.2.2: {applicable: true, justification: x}\n"
        "iso-42001:A.2.2: {applicable: false, justification: y}\n"
    )
    (place / "bad.yaml").write_text("A.2.2: {applicable: maybe, justification: x}\n")
    before = len(cli("record", "list", "--json").json["data"]["records"])
    said = cli(*command)
    assert said.code == 2, said.out
    assert code in said.out + said.err
    assert len(cli("record", "list", "--json").json["data"]["records"]) == before


def test_who_may_not_waive(place: Path, cli: Any) -> None:
    """An approver for another function is refused before anything is signed."""
    assert cli("key", "new", "sec").code == 0
    added = cli(
        *("key", "add", "../config/keys/sec.pub", "--name", "Sam", "--email", "sam@example.com"),
        *("--role", "approver", "--function", "security"),
    )
    assert added.code == 0, added.err
    said = cli("waive", "A.6.2.6", *WAIVE, SOON, "--key", "sec")
    assert (said.code, "[waiver.not-entitled]" in said.err) == (2, True)


STRICT = """\
profile: strict
version: "1"
name: Strict
description: Few may waive, and not for long.
blocks: {iso-42001-2023: [A.6.2.6]}
waivedBy: [security]
maxWaiverDays: 90
"""


def test_a_waiver_that_a_profile_would_not_count(place: Path, cli: Any) -> None:
    """Refused before it is signed, with what the profile names; what is signed counts there."""
    (place / "profiles").mkdir()
    (place / "profiles" / "strict.yaml").write_text(STRICT)
    nobody = STRICT.replace("strict", "hard").replace("waivedBy: [security]\n", "")
    (place / "profiles" / "hard.yaml").write_text(nobody)
    before = len(cli("record", "list", "--json").json["data"]["records"])
    command = ("waive", "A.6.2.6", *WAIVE, SOON, "--key", "risk", "--profile")
    error = cli(*command, "strict", "--json").json["error"]
    assert error["code"] == "waiver.not-entitled"
    assert "under the profile strict" in error["message"]
    assert "speaks for none of security" in error["message"]
    assert error["expected"] == "an approver for security"
    assert cli(*command, "hard", "--json").json["error"]["code"] == "waiver.nobody"
    assert cli(*command, "strickt", "--json").json["error"]["hint"] == "did you mean strict?"
    late = (datetime.now(UTC) + timedelta(days=91)).date().isoformat()
    long = cli("waive", "A.6.2.6", *WAIVE, late, "--profile", "strict", "--json").json["error"]
    assert long["code"] == "waiver.too-long"
    assert "under the profile strict a waiver lasts 90 days at most" in long["message"]
    assert len(cli("record", "list", "--json").json["data"]["records"]) == before
    assert cli("key", "new", "sec").code == 0
    added = cli(
        *("key", "add", "../config/keys/sec.pub", "--name", "Sam", "--email", "sam@example.com"),
        *("--role", "approver", "--function", "security"),
    )
    assert added.code == 0, added.err
    end = (datetime.now(UTC) + timedelta(days=89)).date().isoformat()
    said = cli("waive", "A.6.2.6", *WAIVE, end, "--key", "sec", "--profile", "strict")
    assert said.code == 0, said.err
    gate = cli("gate", "--dry-run", "--profile", "strict", "--json").json["data"]
    assert [item["state"] for item in gate["excepted"]] == ["waived"]
    assert _state(cli, "A.6.2.6")["state"] == "missing"


def test_decisions_from_a_file(place: Path, cli: Any) -> None:
    """One record decides many; what it leaves out stays undecided."""
    (place / "soa.yaml").write_text(
        "A.2.2: {applicable: true, justification: the ground of all else}\n"
        "A.10.3: {applicable: false, justification: no supplier has a part}\n"
    )
    assert cli("applicability", "--file", "soa.yaml", "--key", "risk").code == 0
    assert _state(cli, "A.2.2")["decided"] == "applicable"
    assert _state(cli, "A.10.3")["state"] == "not-applicable"
    assert _state(cli, "A.10.4")["decided"] == "not decided"


def test_the_forms_agree(place: Path, cli: Any) -> None:
    """Table, JSON and CSV say the same, on the screen and in files."""
    decided = ("--not-applicable", "--justification", "=no supplier", "--key", "risk")
    assert cli("applicability", "A.10.3", *decided).code == 0
    lines = cli("soa", "--format", "json").json["data"]["controls"]
    table = cli("soa").out
    found = list(csv.DictReader(StringIO(cli("soa", "--format", "csv").out)))
    assert [row["Control"] for row in found] == [item["id"].partition(":")[2] for item in lines]
    assert [row["Status"] for row in found] == [item["state"] for item in lines]
    assert all(row["Control"] in table for row in found)
    assert found[-2]["Justification"] == "'=no supplier"
    for form in ("csv", "json", "xlsx"):
        said = cli("soa", "--format", form, "-o", f"soa.{form}")
        assert said.code == 0, said.err
    written = json.loads((place / "soa.json").read_text())["data"]["controls"]
    assert written == lines
    assert (place / "soa.xlsx").read_bytes().startswith(b"PK")


def test_the_packet_has_the_statement(place: Path, cli: Any) -> None:
    """A packet about ISO/IEC 42001 with decisions in it is made and verifies."""
    decided = ("--not-applicable", "--justification", "no supplier", "--key", "risk")
    assert cli("applicability", "A.10.3", *decided).code == 0
    assert cli("waive", "A.6.2.6", *WAIVE, SOON, "--key", "risk").code == 0
    said = cli("packet", "--framework", "iso-42001", "-o", "packet.pdf")
    assert said.code == 0, said.err
    said = cli("verify", "packet.pdf")
    assert said.code == 0, said.out
