"""The demo: the whole story, run where there is nothing but git."""

from __future__ import annotations

import json
import os
import shutil
import socket
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from muniment.cli import app
from muniment.controls.catalog import load_catalogs
from muniment.controls.coverage import State
from muniment.evidence.artifacts import hash_file
from muniment.evidence.gitlinks import link
from muniment.reports import proofs
from muniment.reports.demo import story
from muniment.reports.demo.repository import Repository
from muniment.reports.demo.story import Told, tell
from muniment.reports.signature import read_attachments
from muniment.reports.workspace import Workspace
from muniment.schemas.errors import InputError
from muniment.schemas.record import Record

from ..agreement import Answers, assert_agree, blocked, by_id, controls

HOSTILE = """[user]
name = Somebody
email = somebody@example.com
[author]
name = Somebody
[commit]
gpgSign = true
[gpg]
format = openpgp
[core]
excludesFile = ~/ignored
"""


def _bare(patch: pytest.MonkeyPatch, home: Path) -> None:
    """An empty home, no identity, no configuration of Muniment's, no network."""
    home.mkdir()
    for name in os.environ:
        if name.startswith(("GIT_", "MUNIMENT_", "XDG_", "EMAIL")):
            patch.delenv(name)
    patch.setenv("HOME", str(home))
    patch.setattr(socket.socket, "connect", _refuse)


def _refuse(*_: object) -> None:
    raise AssertionError("the network is not to be used")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("demo") / "home"
    with pytest.MonkeyPatch.context() as patch:
        _bare(patch, folder)
        yield folder


@pytest.fixture(scope="module")
def said() -> list[str]:
    return []


@pytest.fixture(scope="module")
def told(home: Path, said: list[str]) -> Told:
    return tell(home.parent / "story", said.append)


@pytest.fixture(scope="module")
def workspace(told: Told) -> Iterator[Workspace]:
    opened = Workspace(told.workspace)
    yield opened
    opened.storage.close()


@pytest.fixture(scope="module")
def records(workspace: Workspace) -> list[Record]:
    return workspace.verified().records


def _states(told: Told, catalog: str) -> dict[str, State]:
    return {
        control.id.partition(":")[2]: control.state
        for control in told.coverage.controls
        if control.id.startswith(catalog)
    }


def test_everything_in_the_workspace_verifies(workspace: Workspace) -> None:
    """Every envelope, proof, artifact and git link of the story holds."""
    report = workspace.verify()
    assert list(report.findings) == []
    counts = {check.name: check.checked for check in report.checks}
    assert counts["signatures"] == counts["trust"] == 53
    assert counts["git"] == counts["artifacts"] == 14


def test_the_production_gate_is_shut_by_every_kind_of_gap(told: Told) -> None:
    """Failed, missing, stale and unapproved controls block; one is waived, the other 19 are met."""
    assert not told.gated.decision.passed
    assert {
        control.id.partition(":")[2]: str(control.state) for control in told.gated.decision.blocking
    } == {
        "RG-1": "failed",
        "RG-10": "failed",
        "RG-11": "missing",
        "RG-13": "missing",
        "RG-15": "stale",
        "RG-17": "unapproved",
        "RG-20": "missing",
        "RG-21": "failed",
        "RG-24": "missing",
    }
    states = _states(told, "readiness-gate")
    assert [name for name, state in states.items() if state is State.WAIVED] == ["RG-22"]
    assert list(states.values()).count(State.MET) == 19


def test_all_five_catalogs_are_covered_and_every_state_is_there(told: Told) -> None:
    """No framework comes out all green or all red, and no state is left out."""
    catalogs = {catalog.catalog: catalog for catalog in told.coverage.catalogs}
    assert set(catalogs) == {catalog.id for catalog in load_catalogs()}
    for catalog in catalogs.values():
        assert {State.MET, State.MISSING} <= {control.state for control in catalog.controls}
    assert {control.state for control in told.coverage.controls} == set(State)


def test_evidence_carries_over_between_catalogs(told: Told) -> None:
    """Some controls of the EU AI Act are met, others partial, by evidence of other frameworks."""
    found = {
        (control.state, reason.code)
        for control in told.coverage.controls
        for reason in control.reasons
        if control.id.startswith("eu-ai-act") and reason.path
    }
    assert (State.MET, "evidence.carried") in found
    assert (State.PARTIAL, "evidence.helps") in found


def test_every_annex_a_control_is_decided(workspace: Workspace) -> None:
    """The statement of applicability leaves nothing open, gives every reason once, and names an
    owner of nearly all that applies; the newest word on A.10.2 stands."""
    soa = workspace.soa()
    assert soa.counts() == {"applicable": 36, "not applicable": 2, "not decided": 0}
    assert len({line.justification for line in soa.lines}) == 38
    nobody = [line.short_id for line in soa.lines if not line.owners]
    assert nobody == ["A.10.2", "A.10.3", "A.10.4"]
    (said,) = (line.control.applicability for line in soa.lines if line.short_id == "A.10.2")
    assert said is not None and "scanner" in said.justification


def test_exceptions_end_and_never_hide_the_evidence(told: Told) -> None:
    """Two controls are waived and the risk of two others is accepted, each until a day, over a
    state that is shown."""
    waived = {
        control.id.partition(":")[2]: (control.reasons[0].code, str(control.underlying))
        for control in told.coverage.controls
        if control.state is State.WAIVED and control.fresh_until is not None
    }
    assert waived == {
        "MEASURE 2.4": ("control.risk-accepted", "failed"),
        "A.6.2.6": ("control.risk-accepted", "failed"),
        "A.8.3": ("control.waived", "partial"),
        "RG-22": ("control.waived", "missing"),
    }


def test_the_clinics_own_profile_asks_for_more(workspace: Workspace) -> None:
    """It is sound, extends another, overrides with a reason, and its limit fails what was met."""
    assert workspace.lint_profile("clinics") == []
    decision = workspace.gate(profile="clinics", dry_run=True).decision
    blocking = {control.id.partition(":")[2]: control for control in decision.blocking}
    codes = {reason.code for reason in blocking["MEASURE 2.11"].reasons}
    assert {"threshold.failed", "requirement.overridden"} <= codes
    production = workspace.gate(dry_run=True).decision
    assert {control.id for control in production.blocking} < {item.id for item in decision.blocking}


def test_coverage_gate_soa_and_packet_agree(
    told: Told, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the commands answer of the moment that the packet is about is what the packet holds,
    record for record; the clinics' own profile is as much of one mind with itself."""
    monkeypatch.chdir(told.workspace)

    def asked(*command: str) -> Any:
        capsys.readouterr()
        app.run([*command, "--as-of", packet["as_of"], "--json"])
        return json.loads(capsys.readouterr().out)["data"]

    files = read_attachments(told.packet.read_bytes())
    packet, verdict = (json.loads(files[name]) for name in (proofs.COVERAGE, proofs.GATE))
    answers = Answers(asked("coverage"), asked("gate", "--dry-run"), asked("soa"), packet, verdict)
    gate = {control.id for control in told.gated.decision.scope}
    assert len(gate) == 29
    assert_agree(answers, gate)
    assert len(controls(packet)) == 70 + 85 + 29
    own = ("--profile", "clinics")
    gaps, excepted = blocked(
        controls(asked("coverage", *own)),
        {*gate, *(f"nist-ai-rmf-1.0:MEASURE {name}" for name in ("2.3", "2.11"))},
    )
    gated = asked("gate", "--dry-run", *own)
    assert gaps.items() <= by_id(gated["blocking"]).items()
    assert excepted == by_id(gated["excepted"])


def test_something_changed_and_something_will_lapse(told: Told, workspace: Workspace) -> None:
    """Since the pilot's gate a newer evaluation failed what was met; in 60 days evidence, a cadence
    and all waivers run out."""
    (since,) = workspace.views(since=told.pilot_size)
    moved = {(item.after.id, str(item.before.state), item.what) for item in since.changes}
    assert ("iso-42001-2023:A.6.2.4", "met", "newly failed") in moved
    assert {"newly met", "newly stale", "newly partial", "newly waived"} <= {
        what for *_, what in moved
    }
    (ahead,) = workspace.views(expiring=timedelta(days=60))
    falls = {(str(item.before.state), str(item.after.state)) for item in ahead.lapses}
    assert {("met", "stale"), ("waived", "failed"), ("waived", "missing")} <= falls


def test_nothing_claims_a_control_that_is_not_there(told: Told) -> None:
    """What is left out is left out on purpose: superseded, about another model, or a decision."""
    assert sorted({reason.code for reason in told.coverage.left_out}) == [
        "evidence.other-model",
        "record.superseded",
        "record.unused",
    ]


def test_pilot_passes_before_production_fails(records: list[Record]) -> None:
    """The ledger holds all three decisions, in that order."""
    verdicts = [
        (record.statement.body["muniment_decision"]["profile"], record.statement.body)
        for record in records
        if record.kind == "gate-decision"
    ]
    assert [(profile, body["verificationResult"]) for profile, body in verdicts] == [
        ("pilot", "PASSED"),
        ("clinics", "FAILED"),
        ("production", "FAILED"),
    ]


def test_phases_go_from_pilot_to_production(records: list[Record]) -> None:
    """The second system record supersedes the first."""
    pilot, production = (record for record in records if record.kind == "system")
    assert pilot.statement.body["phase"] == "pilot"
    assert production.statement.body["phase"] == "production"
    assert production.statement.supersedes == pilot.ref


def test_a_failed_evaluation_is_superseded_by_a_good_one(records: list[Record]) -> None:
    """Same file, same thresholds, another commit, another result."""
    first, second = (
        record for record in records if record.statement.body.get("suite") == "held-out report"
    )
    assert second.statement.supersedes == first.ref
    (before,), (after,) = first.statement.subjects, second.statement.subjects
    assert before.name == after.name and before.sha256 != after.sha256
    assert before.git and after.git and before.git["commit"] != after.git["commit"]
    values = [record.statement.body["metrics"][0] for record in (first, second)]
    assert [metric["threshold"] for metric in values] == [0.95, 0.95]
    assert values[0]["value"] < 0.95 < values[1]["value"]


def test_four_signers_share_the_work(records: list[Record]) -> None:
    """Every one of the four has signed, and the machine nothing but what tools report."""
    kinds: dict[str, set[str]] = {}
    for record in records:
        kinds.setdefault(record.signer.name, set()).add(record.kind)
    assert sorted(kinds) == ["CI Runner", "Compliance Lead", "Executive Owner", "Model Builder"]
    assert kinds["CI Runner"] <= set(story._CI_KINDS)


def test_tools_filled_the_records_they_could(records: list[Record]) -> None:
    """Nine formats are read by their collectors."""
    formats = {record.statement.source["format"] for record in records if record.statement.source}
    assert formats == {
        "croissant-1.0",
        "dvc-lock-2.0",
        "evidently-report-0.7",
        "fairlearn-metricframe",
        "inspect-eval-log-2",
        "junit-xml",
        "lm-eval-results",
        "mlflow-run",
        "sklearn-classification-report",
    }


def test_training_and_held_out_data_are_apart(records: list[Record]) -> None:
    """No held-out digest is among the digests trained on."""
    parts: dict[str, set[str]] = {}
    for record in records:
        if record.kind == "data-provenance":
            body = record.statement.body
            digests = {entry["sha256"] for entry in body["contents"]}
            parts.setdefault(body["split"], set()).update(digests)
    assert parts["train"] and parts["held-out"] and not parts["train"] & parts["held-out"]


def test_uncommitted_files_are_recorded_as_such(records: list[Record], said: list[str]) -> None:
    """A changed and an untracked file carry their state, and it is said aloud."""
    states = {
        subject.name: subject.git["state"]
        for record in records
        for subject in record.statement.subjects
        if subject.git
    }
    assert states.pop("docs/oversight-policy.md") == "modified"
    assert states.pop("data/live_sample.csv") == "untracked"
    assert set(states.values()) == {"committed"}
    assert any("differs from what is committed" in line for line in said)


def test_commits_are_signed_where_ssh_keygen_is(records: list[Record]) -> None:
    """Every committed file's link names a signature that git found good, or that there is none."""
    expected = "good" if shutil.which("ssh-keygen") else "none"
    links = [subject.git for record in records for subject in record.statement.subjects]
    found = {item["signature"] for item in links if item and item["state"] == "committed"}
    assert found == {expected}


def test_the_packet_holds_and_one_flipped_bit_breaks_it(told: Told) -> None:
    """The packet verifies against the pinned root; its copy differs in one byte and does not."""
    assert list(told.verified.findings) == [] and told.verified.ok
    good, bad = told.packet.read_bytes(), told.flipped.read_bytes()
    differing = [at for at, pair in enumerate(zip(good, bad, strict=True)) if pair[0] != pair[1]]
    assert differing == [told.flipped_at]
    assert not told.refused.ok
    assert "packet.changed" in {finding.code for finding in told.refused.findings}


def test_the_users_git_settings_stay_untouched(told: Told, home: Path) -> None:
    """Nothing of git's is written to the user's home, and no identity to the repository."""
    assert not [file for file in home.rglob("*") if "git" in file.name]
    config = (told.workspace / ".git" / "config").read_text()
    assert "user" not in config and "commit" not in config


def test_keys_of_an_earlier_demo_are_taken_again(
    told: Told, workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second demo pins the same root key and writes over no key file."""
    made = told.packet.read_bytes()
    monkeypatch.setattr(Workspace, "packet", lambda self, **options: made)
    again = tell(tmp_path / "again", lambda line: None)
    opened = Workspace(again.workspace)
    assert opened.config.root == workspace.config.root
    assert len(opened.keys.names()) == 4


def test_a_used_folder_is_refused(tmp_path: Path) -> None:
    """The demo writes into nobody's files."""
    (tmp_path / "mine").touch()
    for folder, words in ((tmp_path, "is not empty"), (tmp_path / "mine", "cannot be used")):
        with pytest.raises(InputError, match=words) as caught:
            tell(folder, lambda line: None)
        assert caught.value.code == "demo.folder"
    assert [file.name for file in tmp_path.iterdir()] == ["mine"]


def test_without_ssh_keygen_commits_are_unsigned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A machine that has git alone still tells the story."""
    _bare(monkeypatch, tmp_path / "home")
    tools = tmp_path / "bin"
    tools.mkdir()
    git = shutil.which("git")
    assert git is not None
    (tools / "git").symlink_to(git)
    monkeypatch.setenv("PATH", str(tools))
    repository = _repository(tmp_path)
    assert not repository.signs
    assert _signature(repository) == "none"


def test_signing_that_does_not_work_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An ssh-keygen too old to sign leaves commits unsigned instead of stopping the demo."""
    _bare(monkeypatch, tmp_path / "home")
    tools = tmp_path / "bin"
    tools.mkdir()
    (tools / "ssh-keygen").write_text("#!/bin/sh\nexit 1\n")
    (tools / "ssh-keygen").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}{os.pathsep}{os.environ['PATH']}")
    repository = _repository(tmp_path)
    assert not repository.signs
    assert _signature(repository) == "none"


def test_the_users_own_git_settings_do_not_get_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another identity, ignore rules and a signing program of the user's change nothing."""
    _bare(monkeypatch, tmp_path / "home")
    (tmp_path / "home" / ".gitconfig").write_text(HOSTILE)
    (tmp_path / "home" / "ignored").write_text("*.csv\n")
    repository = _repository(tmp_path)
    author = repository._git("log", "--format=%an <%ae> %cn <%ce>").decode().strip()
    assert author == " ".join(["Model Builder <builder@example.com>"] * 2)


def _repository(tmp_path: Path) -> Repository:
    """A repository with one commit of one file."""
    root, keys = tmp_path / "repository", tmp_path / "keys"
    root.mkdir()
    keys.mkdir()
    repository = Repository(root, keys)
    (root / "a.csv").write_text("1\n")
    repository.commit("One", ["a.csv"])
    return repository


def _signature(repository: Repository) -> str:
    found = link(hash_file(repository.root / "a.csv"))
    assert found.commit == repository.head
    return str(found.signature)
