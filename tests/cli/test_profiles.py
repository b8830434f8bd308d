"""A workspace's own profiles: listed, shown, linted, and used by gate, coverage and packet."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from .conftest import Cli

BANK = """\
profile: bank
version: "3"
name: Bank, production
description: What the bank asks beside the readiness gate.
extends: pilot
blocks:
  readiness-gate: [RG-5]
  nist-ai-rmf-1.0: {controls: [MEASURE 2.3], when: {phase: [pilot, production]}}
  iso-42001-2023: {controls: all, when: {riskTier: [high]}}
overrides:
  nist-ai-rmf-1.0:MEASURE 2.3:
    {reason: Models drift., validityDays: 30, secondPerson: expected, approver: risk}
thresholds:
  accuracy: {min: 0.9, controls: ["nist-ai-rmf-1.0:MEASURE 2.3"]}
waivedBy: [risk]
maxWaiverDays: 60
reason: Our pilots have no users yet.
"""


@pytest.fixture
def bank(place: Path) -> Path:
    """The file of the workspace's own profile."""
    file = place / "profiles" / "bank.yaml"
    file.parent.mkdir()
    file.write_text(BANK)
    return file


def controls(said: Any) -> dict[str, Any]:
    """The controls of a coverage document."""
    return {
        control["id"]: control
        for catalog in said.json["data"]["catalogs"]
        for control in catalog["controls"]
    }


def test_profiles_are_listed(bank: Path, cli: Cli) -> None:
    """Those that ship and the workspace's own, each with the place it stands in."""
    found = {
        item["profile"]: item for item in cli("profile", "list", "--json").json["data"]["profiles"]
    }
    assert found["bank"] == {
        "profile": "bank",
        "version": "3",
        "name": "Bank, production",
        "file": "profiles/bank.yaml",
    }
    assert len(found) == 6
    assert "ships with Muniment" in cli("profile", "list").out


def test_outside_of_a_workspace(tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """What ships can be listed and shown anywhere, and a file be linted."""
    monkeypatch.chdir(tmp_path)
    assert len(cli("profile", "list", "--json").json["data"]["profiles"]) == 5
    assert "every control" in cli("profile", "show", "production").out
    (tmp_path / "bank.yaml").write_text(BANK)
    assert cli("profile", "lint", "bank.yaml").code == 0


def test_a_profile_is_shown_whole(bank: Path, cli: Cli) -> None:
    """With what the layers below say, its conditions, overrides and limits, and its digest."""
    shown = cli("profile", "show", "bank")
    for words in ("pilot@1", "risk tier high", "validityDays 30", "accuracy", "60 days"):
        assert words in shown.out
    assert cli("profile", "show", "bank", "--json").json["data"]["layers"] == ["pilot@1"]
    unknown = cli("profile", "show", "bnak", "--json")
    assert (unknown.code, unknown.json["error"]["hint"]) == (2, "did you mean bank?")


def test_a_workspace_profile_is_used(bank: Path, cli: Cli, place: Path) -> None:
    """Gate, coverage and packet apply it, agree, and record its digest; a verifier computes the
    packet's states again by it and leaves judging the profile itself to the reader."""
    digest = cli("profile", "show", "bank", "--json").json["data"]["sha256"]
    assert cli("approve", "#1", "--key", "risk", "--statement", "It is").code == 0
    covered = cli("coverage", "--profile", "bank", "--json").json["data"]
    assert (covered["profile"], covered["profile_sha256"]) == ("bank@3", digest)
    assert covered["exempt"] == ["iso-42001-2023"]
    gated = cli("gate", "--profile", "bank", "--json")
    data = gated.json["data"]
    measure = controls(cli("coverage", "--profile", "bank", "--json"))[
        "nist-ai-rmf-1.0:MEASURE 2.3"
    ]
    assert {"requirement.overridden", "threshold.held"} <= {
        item["code"] for item in measure["reasons"]
    }
    assert {item["id"] for item in data["blocking"]} <= {
        "readiness-gate:RG-5",
        "nist-ai-rmf-1.0:MEASURE 2.3",
    }
    signed = cli("record", "show", f"#{data['record']['index']}", "--json").out
    assert digest in signed
    shown = cli("gate", "--profile", "bank", "--dry-run").out
    assert "iso-42001-2023 does not block" in shown
    assert "stands on profiles that ask for more: pilot@1" in " ".join(shown.split())
    assert "why: Our pilots have no users yet." in " ".join(shown.split())
    assert cli("packet", "--profile", "bank", "-o", "packet.pdf").code == 0
    said = cli("verify", "packet.pdf", "--json")
    assert said.code == 0
    rules = next(item for item in said.json["data"]["checks"] if item["name"] == "rules")
    assert rules["findings"] == []
    assert any("profile bank@3 is the organisation's own" in text for text in rules["not_checked"])


FAULTS = {
    "cycle": ("extends: pilot", "extends: bank", "profile.cycle"),
    "parent": ("extends: pilot", "extends: pliot", "profile.parent"),
    "control": ("[RG-5]", "[RG-55]", "profile.unknown-control"),
    "days": ("validityDays: 30", "validityDays: 0", "profile.impossible"),
    "taken": ("profile: bank", "profile: production", "profile.duplicate"),
    "form": ("extends: pilot", "extend: pilot", "profile.malformed"),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("command", ["gate", "coverage"])
def test_a_faulty_profile_stops(bank: Path, cli: Cli, fault: str, command: str) -> None:
    """Nothing is concluded by a profile that does not say what was meant."""
    old, new, code = FAULTS[fault]
    bank.write_text(BANK.replace(old, new))
    said = cli(command, "--profile", "bank", "--json")
    assert (said.code, said.json["error"]["code"]) == (2, code)


@pytest.mark.parametrize("fault", ["cycle", "parent", "control", "days"])
def test_lint_names_the_fault(bank: Path, cli: Cli, fault: str) -> None:
    """By file or by name, and exits with 1."""
    old, new, code = FAULTS[fault]
    bank.write_text(BANK.replace(old, new))
    for name in ("bank", "profiles/bank.yaml"):
        said = cli("profile", "lint", name, "--json")
        (found,) = said.json["data"]["faults"]
        assert (said.code, found["code"], found["stops"]) == (1, code, True)
    assert "stops the gate" in cli("profile", "lint", "bank").out


def test_lint_of_a_sound_profile(bank: Path, cli: Cli) -> None:
    """Nothing wrong is exit 0, in so many words."""
    said = cli("profile", "lint", str(bank))
    assert (said.code, said.out) == (0, "nothing is wrong with profile bank\n")


def test_two_files_of_one_name(bank: Path, cli: Cli, place: Path) -> None:
    """Which of two profiles is meant is never guessed, wherever the second stands."""
    other = place / "other.yaml"
    other.write_text(BANK)
    said = cli("profile", "lint", "other.yaml", "--json")
    assert (said.code, said.json["error"]["code"]) == (2, "profile.duplicate")
    other.rename(bank.with_name("other.yaml"))
    said = cli("gate", "--profile", "pilot", "--json")
    assert (said.code, said.json["error"]["code"]) == (2, "profile.duplicate")


def test_the_example_of_the_documents(tmp_path: Path, cli: Cli) -> None:
    """The profile that docs/controls.md shows is sound."""
    text = (Path(__file__).parents[2] / "docs" / "controls.md").read_text("utf-8")
    (example,) = (block for block in text.split("```") if block.startswith("yaml\nprofile:"))
    file = tmp_path / "example.yaml"
    file.write_text(example.removeprefix("yaml\n"))
    said = cli("profile", "lint", str(file))
    assert (said.code, said.out) == (0, "nothing is wrong with profile bank\n")


def test_lint_of_functions_and_waivers(bank: Path, cli: Cli) -> None:
    """A function that no approver has or nobody can have is named; so is a waiver over a year."""
    more = "waivedBy: [legal, Risk Boss, risk]\nmaxWaiverDays: 900\n"
    kept = [line for line in BANK.splitlines() if not line.startswith(("waivedBy", "maxWaiver"))]
    bank.write_text("\n".join(kept) + f"\n{more}")
    said = cli("profile", "lint", "bank", "--json")
    found = {item["text"]: item["code"] for item in said.json["data"]["faults"]}
    assert said.code == 1
    assert found["no enrolled approver speaks for legal"] == "profile.no-holder"
    assert found["nobody can hold the function 'Risk Boss'"] == "profile.no-holder"
    assert "profile.dead-waiver" in found.values()
    assert not [text for text in found if "for risk" in text]
    assert cli("gate", "--profile", "bank", "--dry-run").code in (0, 1)


def test_lint_without_a_name_is_of_all(bank: Path, cli: Cli) -> None:
    """All of the workspace's own are looked at; where there is none, that is no pass."""
    assert cli("profile", "lint").code == cli("profile", "lint", "bank").code
    said = cli("profile", "lint", "--json").json["data"]["profiles"]
    assert [item["profile"] for item in said] == ["bank"]
    bank.write_text(BANK.replace("[RG-5]", "[RG-55]"))
    assert cli("profile", "lint").code == 1
    bank.unlink()
    said = cli("profile", "lint", "--json")
    assert (said.code, said.json["error"]["code"]) == (2, "profile.none")


def test_a_phase_that_is_none_is_named(bank: Path, cli: Cli) -> None:
    """The value is named, with those that may be."""
    blocks = "blocks:\n  nist-ai-rmf-1.0: {controls: all, when: {phase: [moon]}}\n"
    head = "profile: bank\nversion: '1'\nname: Bank\ndescription: One.\n"
    bank.write_text(head + blocks)
    said = cli("profile", "lint", "bank").err
    assert "when.phase[0] must be one of experiment, pilot, production, retired, not 'moon'" in said
