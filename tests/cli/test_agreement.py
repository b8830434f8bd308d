"""``coverage``, ``gate``, ``soa`` and the packet: one evaluator, so one answer."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from muniment.controls.coverage import State
from muniment.reports import proofs
from muniment.reports.signature import read_attachments
from muniment.schemas.times import format_time

from ..agreement import Answers, assert_agree, controls
from .conftest import run_all

ISO, NIST = "iso-42001-2023", "nist-ai-rmf-1.0"
PROFILE = f"""\
profile: all
version: "1"
name: Everything
description: Blocks on every control of one framework.
blocks: {{{ISO}: all}}
waivedBy: [risk]
"""
BAD_EVAL = """\
model: {name: model.bin}
dataset: {name: tickets, split: held-out}
evaluated: 200
metrics:
  - {name: accuracy, value: 0.5, threshold: 0.9, direction: higher, n: 200}
checks: []
"""
IN_A_MONTH = (datetime.now(UTC) + timedelta(days=30)).date().isoformat()
AT = format_time(datetime.now(UTC) + timedelta(hours=1))


def _eval(body: str, control: str) -> list[str]:
    digests = ("--digest", "model.sha256=model.bin", "--digest", "dataset.sha256=data/heldout.csv")
    return ["attach", "eval-result", "--body", body, "--control", control, *digests]


def _policy(control: str) -> list[str]:
    return ["attach", "policy", "policy.md", "--body", "policy.yaml", "--control", control]


def _approve(number: int) -> list[str]:
    return ["approve", f"#{number}", "--key", "risk", "--statement", "Reviewed"]


def _waive(control: str, *more: str) -> list[str]:
    words = ("--reason", "Starts soon", "--measure", "By hand", "--until", IN_A_MONTH)
    return ["waive", control, *words, *more, "--key", "risk"]


def _decide(control: str, word: str) -> list[str]:
    return ["applicability", control, word, "--justification", "So it is", "--key", "risk"]


# name: (control, what is done to it from record 7 on, its state, the code of one of its reasons)
TABLE: dict[str, tuple[str, list[list[str]], State, str]] = {
    "failed": (f"{ISO}:9.1", [_eval("bad.yaml", "9.1")], State.FAILED, "evidence.failed"),  # 7
    "missing": (f"{ISO}:A.2.3", [], State.MISSING, "evidence.missing"),
    "stale": (
        f"{ISO}:7.5.1",
        [[*_policy("7.5.1"), "--collected-at", "2020-01-01"]],  # 8
        State.STALE,
        "evidence.stale",
    ),
    "unapproved": (f"{ISO}:A.2.4", [_policy("A.2.4")], State.UNAPPROVED, "evidence.unapproved"),
    "partial": (
        f"{ISO}:A.2.2",
        [_policy("A.2.2"), _approve(10)],  # 10, 11
        State.PARTIAL,
        "control.partial",
    ),
    "met": (f"{ISO}:A.9.2", [_policy("A.9.2")], State.MET, "control.met"),  # 12
    "met by crosswalk": (
        f"{ISO}:A.6.2.4",
        [_eval("eval.yaml", "MEASURE 2.5"), _approve(13)],  # 13, 14
        State.MET,
        "evidence.carried",
    ),
    "waived": (f"{ISO}:A.6.2.6", [_waive("A.6.2.6")], State.WAIVED, "control.waived"),
    "risk accepted": (
        f"{ISO}:A.8.3",
        [_waive("A.8.3", "--risk-acceptance", "--residual", "seen late")],
        State.WAIVED,
        "control.risk-accepted",
    ),
    "not applicable": (
        f"{ISO}:A.10.3",
        [_decide("A.10.3", "--not-applicable")],
        State.NOT_APPLICABLE,
        "control.not-applicable",
    ),
    "applicable": (
        f"{ISO}:A.9.3",
        [_decide("A.9.3", "--applicable")],
        State.MISSING,
        "evidence.missing",
    ),
}


@pytest.fixture(scope="module")
def answers(story: Path, tmp_path_factory: pytest.TempPathFactory) -> Answers:
    """What the four say of a ledger with every state, by a profile that blocks on all of them."""
    home = tmp_path_factory.mktemp("agreement")
    for name in ("ws", "config"):
        shutil.copytree(story / name, home / name)
    place = home / "ws"
    (place / "bad.yaml").write_text(BAD_EVAL)
    settings = (place / "muniment.yaml").read_text()
    lender = settings.replace("frameworks:\n", "frameworks:\n- eu-ai-act-high-risk\n")
    (place / "muniment.yaml").write_text(lender)
    (place / "profiles").mkdir()
    (place / "profiles" / "all.yaml").write_text(PROFILE)
    done = [command for _, commands, *_ in TABLE.values() for command in commands]
    assert run_all(home, done) == [0] * len(done)
    asked = ["--profile", "all", "--as-of", AT]
    shown = ["--framework", ISO, "--framework", NIST]
    assert run_all(
        home,
        [
            ["coverage", *asked, *shown, "--format", "json", "-o", "coverage.json"],
            ["gate", *asked, "--dry-run", "--format", "json", "-o", "gate.json"],
            ["soa", *asked, "--format", "json", "-o", "soa.json"],
            ["packet", *asked, "--framework", ISO, "-o", "packet.pdf"],
        ],
    ) == [0, 1, 0, 0]
    coverage, gate, soa = (
        json.loads((place / f"{name}.json").read_text())["data"]
        for name in ("coverage", "gate", "soa")
    )
    files = read_attachments((place / "packet.pdf").read_bytes())
    packet, packet_gate = (json.loads(files[name]) for name in (proofs.COVERAGE, proofs.GATE))
    return Answers(coverage, gate, soa, packet, packet_gate)


@pytest.mark.parametrize("name", TABLE)
def test_each_state_is_the_same_in_all_four(name: str, answers: Answers) -> None:
    """State, reasons and record ids of a control are those that the table expects, in each."""
    control, _, state, code = TABLE[name]
    shown: dict[str, Any] = {
        "coverage": controls(answers.coverage),
        "packet": controls(answers.packet),
        "soa": {line["id"]: line for line in answers.soa["controls"]},
        "gate": {
            entry["id"]: entry for part in ("blocking", "excepted") for entry in answers.gate[part]
        },
    }
    if state is State.MET:
        assert control not in shown.pop("gate")
    if not control.startswith(f"{ISO}:A."):
        assert control not in shown.pop("soa")
    first = shown["coverage"][control]
    assert first["state"] == state
    assert code in {reason["code"] for reason in first["reasons"]}
    for entries in shown.values():
        entry = entries[control]
        assert {name: entry.get(name) for name in first} == first


def test_the_whole_documents_agree(answers: Answers) -> None:
    """All controls, those nobody did anything about as well; and every state is among them."""
    scope = {name for name in controls(answers.coverage) if name.startswith(ISO)}
    assert_agree(answers, scope)
    assert {item["state"] for item in controls(answers.coverage).values()} == set(State)


def test_what_was_left_out_is_the_same(answers: Answers) -> None:
    """Coverage and packet name the same moment, model, profile and crosswalk."""
    for name in ("as_of", "artifact_sha256", "profile_sha256", "crosswalk_sha256", "considered"):
        assert answers.coverage[name] == answers.packet[name]
    assert answers.soa["as_of"] == answers.coverage["as_of"]
