"""The whole job at the command line, from an empty folder to a packet an auditor verifies."""

from __future__ import annotations

import hashlib
import json
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import (
    ADD_KEY,
    ADD_SYSTEM,
    ATTACH_EVAL,
    ATTACH_POLICY,
    INIT,
    SYSTEM,
    Cli,
    isolated,
    make_repository,
)


def numbers(listed: dict[str, object]) -> list[int]:
    records = listed["records"]
    assert isinstance(records, list)
    return [record["index"] for record in records]


def python(
    home: Path, *arguments: str, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """The real command in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "muniment", *arguments],
        cwd=cwd or home / "ws",
        env=isolated(home),
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_real_command_makes_a_workspace(tmp_path: Path) -> None:
    """``python -m muniment init`` makes keys, ledger, muniment.yaml; again, it changes nothing."""
    make_repository(tmp_path / "ws")
    first = python(tmp_path, *INIT)
    assert (first.returncode, first.stderr) == (0, "")
    assert "commit muniment.yaml: it pins the root key" in first.stdout
    written = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert tmp_path / "ws" / "muniment.yaml" in written
    assert tmp_path / "ws" / ".muniment" / "ledger.db" in written
    keys = list((tmp_path / "config").rglob("*.pem"))
    assert len(keys) == 2
    assert {path.stat().st_mode & 0o777 for path in keys} == {0o600}
    assert not list((tmp_path / "ws").rglob("*.pem"))

    again = python(tmp_path, *INIT)
    assert again.returncode == 0
    assert "is a workspace already; nothing was changed" in again.stdout
    assert {path: path.read_bytes() for path in written} == written


def test_git_ignores_the_ledger(place: Path) -> None:
    """What belongs to one checkout is never committed by accident; muniment.yaml can be."""
    done = subprocess.run(
        ["git", "status", "--porcelain", "--untracked-files=all"],
        cwd=place,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["??", "muniment.yaml"]


def test_systems(place: Path, cli: Cli) -> None:
    """A system is registered, listed and shown with the evidence about it."""
    other = [*ADD_SYSTEM[:2], "triage@2.0.0", *ADD_SYSTEM[3:]]
    assert cli(*other).code == 0
    listed = cli("system", "list")
    assert SYSTEM in listed.out
    assert "triage@2.0.0" in listed.out
    shown = cli("system", "show", SYSTEM, "--json").json["data"]
    assert shown["statement"]["predicate"]["body"]["purpose"] == "Sorts mails"
    assert numbers(shown) == [1, 3, 4, 5, 6]
    ambiguous = cli("system", "show")
    assert ambiguous.code == 2
    assert "[system.ambiguous]" in ambiguous.err
    assert "triage@2.0.0" in ambiguous.err


def test_keys(place: Path, cli: Cli) -> None:
    """A key is made, enrolled, shown and chosen; signing then uses it."""
    made = cli("key", "new", "ci", "--json").json["data"]
    enrolled = cli(
        *("key", "add", made["public"], "--name", "CI", "--email", "ci@example.com"),
        *("--machine", "--kind", "eval-result"),
    )
    assert enrolled.code == 0
    keys = {key["held_as"]: key for key in cli("key", "list", "--json").json["data"]["keys"]}
    assert keys["ci"]["fingerprint"] == made["fingerprint"]
    assert keys["ci"]["type"] == "machine"
    assert keys["default"]["functions"] == ["risk"]
    assert "BEGIN PUBLIC KEY" in cli("key", "show", "ci").out
    by_fingerprint = cli("key", "show", made["fingerprint"], "--json").json["data"]
    assert by_fingerprint["openssh"].startswith("ecdsa-sha2-nistp256 ")

    assert cli("key", "use", "ci").code == 0
    signed = cli(*ATTACH_EVAL, "--set", "suite=nightly", "--json").json["data"]["record"]
    assert signed["signer"]["name"] == "CI"
    refused = cli(*ATTACH_POLICY)
    assert refused.code == 2
    assert cli("key", "use", "nobody").code == 2


def test_kinds_are_shown_and_their_template_can_be_read_back(place: Path, cli: Cli) -> None:
    """``kind show --template`` is YAML with the required fields open."""
    import yaml

    assert "eval-result" in cli("kind", "list").out
    assert "model.sha256" in cli("kind", "show", "eval-result").out
    schema = cli("kind", "show", "policy", "--json").json["data"]["schema"]
    template = yaml.safe_load(cli("kind", "show", "policy", "--template").out)
    assert set(schema["required"]) <= set(template)
    (place / "filled.yaml").write_text(cli("kind", "show", "policy", "--template").out)
    assert cli("attach", "policy", "--body", "filled.yaml").code == 2


def test_kinds_are_shown_where_there_is_no_workspace(empty: Path, cli: Cli) -> None:
    """Somebody who only wants to know what is asked need not make a workspace."""
    assert cli("kind", "show", "approval").code == 0
    assert cli("kind", "list", "--workspace", ".").code == 2


def test_a_file_is_hashed_stored_and_linked_to_git(place: Path, cli: Cli) -> None:
    """An attached file is known by digest, kept byte for byte, and tied to its commit."""
    record = cli("record", "show", "#3", "--json").json["data"]
    (subject,) = record["statement"]["subject"]
    data = (place / "report.txt").read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    assert (subject["name"], subject["digest"]["sha256"]) == ("report.txt", digest)
    assert subject["annotations"]["git"]["state"] == "committed"
    stored = [path for path in (place / ".muniment" / "artifacts").rglob("*") if path.is_file()]
    assert data in [path.read_bytes() for path in stored]


def test_attaching_the_same_again_adds_nothing(place: Path, cli: Cli) -> None:
    """The first record is answered, and the ledger stays as it was."""
    again = cli(*ATTACH_EVAL, "--json").json["data"]
    assert again["is_new"] is False
    assert again["record"]["index"] == 3
    assert "was attached already; nothing was added" in cli(*ATTACH_EVAL).out
    assert numbers(cli("record", "list", "--json").json["data"]) == list(range(7))


def test_attach_takes_settings_times_and_supersedes(place: Path, cli: Cli) -> None:
    """Fields, digests, the time the facts held, the end of validity and the record replaced."""
    done = cli(
        *ATTACH_EVAL,
        *("--set", "metrics[accuracy].threshold=0.95", "--set", "runId=17"),
        *("--collected-at", "2026-02-03", "--valid-until", "2026-03-04"),
        *("--supersedes", "#3", "--json"),
    )
    assert done.code == 2, "runId is text, 17 is a number"
    done = cli(
        *ATTACH_EVAL,
        *("--set", "metrics[accuracy].threshold=0.95", "--set", 'runId="17"'),
        *("--collected-at", "2026-02-03", "--valid-until", "2026-03-04"),
        *("--supersedes", "#3", "--json"),
    )
    assert done.code == 0, done.out
    shown = cli("record", "show", "#7", "--json").json["data"]
    predicate = shown["statement"]["predicate"]
    assert predicate["collectedAt"] == "2026-02-03T00:00:00Z"
    assert predicate["validUntil"] == "2026-03-04T23:59:59Z"
    assert predicate["supersedes"]["index"] == 3
    assert predicate["body"]["metrics"][0]["threshold"] == 0.95
    assert predicate["body"]["runId"] == "17"
    weights = hashlib.sha256(b"weights").hexdigest()
    assert predicate["body"]["model"]["sha256"] == weights
    first = cli("record", "show", "#3", "--json").json["data"]
    assert [item["index"] for item in first["superseded_by"]] == [7]


def test_link_only_leaves_the_bytes_where_they_are(place: Path, cli: Cli) -> None:
    """With ``--link-only`` the file is named by digest and not copied."""
    (place / "large.bin").write_bytes(b"not to be copied")
    done = cli("attach", "policy", "large.bin", "--body", "policy.yaml", "--link-only")
    assert done.code == 0
    assert "large.bin is not under version control: recorded by digest alone" in done.err
    stored = [path for path in (place / ".muniment" / "artifacts").rglob("*") if path.is_file()]
    assert b"not to be copied" not in [path.read_bytes() for path in stored]
    shown = cli("record", "show", "#7")
    assert "UNTRACKED" in shown.out


def test_a_tools_file_fills_the_body(place: Path, cli: Cli) -> None:
    """A JUnit file is recognised by its contents, and the record agrees with it."""
    (place / "checks.out").write_text(
        '<testsuites><testsuite name="smoke" tests="2" failures="1" errors="0" skipped="0">'
        '<testcase classname="a" name="holds"/><testcase classname="a" name="breaks">'
        '<failure message="no"/></testcase></testsuite></testsuites>'
    )
    attach = [
        *(
            "attach",
            "eval-result",
            "checks.out",
            "--set",
            "model.name=m",
            "--set",
            "dataset.name=d",
        ),
        *("--set", "dataset.split=held-out", "--digest", "model.sha256=model.bin"),
        *("--digest", "dataset.sha256=data/heldout.csv"),
    ]
    done = cli(*attach)
    assert done.code == 0, done.err
    assert "note: read checks.out as junit-xml" in done.err
    body = cli("record", "show", "#7", "--json").json["data"]["statement"]["predicate"]["body"]
    assert {check["outcome"] for check in body["checks"]} == {"pass", "fail"}
    assert body["evaluated"] == 2
    lie = cli(*attach, "--set", "evaluated=3")
    assert lie.code == 2
    assert "[attach.contradicts-source]" in lie.err


def test_a_second_person_approves_or_rejects(place: Path, cli: Cli) -> None:
    """Approval names records; one's own record cannot be approved, a rejection is recorded."""
    assert "[approval.own]" in cli("approve", "#3").err
    rejected = cli("approve", "#5", "--key", "risk", "--reject", "--condition", "Say who", "--json")
    assert rejected.json["data"]["record"]["kind"] == "approval"
    shown = cli("record", "show", "#5").out
    assert "Rita Risk as risk (rejected, #7)" in shown
    (approval,) = cli("record", "show", "#3", "--json").json["data"]["approvals"]
    assert (approval["index"], approval["signer"]["name"]) == (4, "Rita Risk")


def test_assign_names_person_duty_and_stand_in(place: Path, cli: Cli) -> None:
    """An owner assignment holds what the command line said."""
    body = cli("record", "show", "#6", "--json").json["data"]["statement"]["predicate"]["body"]
    assert body["person"] == {"name": "Ana Owner", "email": "ana@example.com"}
    assert body["deputy"] == {"name": "Deputy Owner", "email": "deputy@example.com"}
    assert (body["role"], body["duty"], body["hoursPerWeek"]) == ("Head of support", "operation", 6)
    refused = cli(
        "assign",
        "Ana",
        "--role",
        "r",
        "--duty",
        "operation",
        "--hours",
        "1",
        *("--deputy", "x", "--start", "2026-01-01"),
    )
    assert (refused.code, "[person.malformed]" in refused.err) == (2, True)


REPORT = hashlib.sha256(b"all well\n").hexdigest()


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ([], [0, 1, 2, 3, 4, 5, 6]),
        (["--system", SYSTEM], [1, 3, 4, 5, 6]),
        (["--kind", "key"], [0, 2]),
        (["--control", "MEASURE 2.3"], [3]),
        (["--control", "nist-ai-rmf-1.0:GOVERN 1.1"], [5]),
        (["--signer", "rita@example.com"], [4]),
        (["--signer", "Ana"], [0, 1, 2, 3, 5, 6]),
        (["--subject", "report.txt"], [3, 4]),
        (["--subject", REPORT], [3, 4]),
        (["--since", "2020-01-01"], [0, 1, 2, 3, 4, 5, 6]),
        (["--until", "2020-01-01"], []),
        (["--kind", "policy", "--signer", "Rita"], []),
    ],
)
def test_record_list_filters(
    place: Path, cli: Cli, filters: list[str], expected: list[int]
) -> None:
    """Each filter gives exactly the records it names; filters together narrow."""
    assert numbers(cli("record", "list", *filters, "--json").json["data"]) == expected
    if not expected:
        assert "no records" in cli("record", "list", *filters).out


def test_a_day_in_a_filter_is_the_whole_day(place: Path, cli: Cli) -> None:
    """``--since`` a day and ``--until`` the same day give what was recorded on that day."""
    record = cli("record", "show", "#3", "--json").json["data"]
    day = record["recorded_at"][:10]
    found = numbers(cli("record", "list", "--since", day, "--until", day, "--json").json["data"])
    assert 3 in found


def test_a_record_is_named_by_number_or_digest(place: Path, cli: Cli) -> None:
    """``#3``, ``3`` and the beginning of its digest are one record."""
    digest = cli("record", "show", "#3", "--json").json["data"]["sha256"]
    for name in ("3", digest, digest[:8], digest[:8].upper()):
        assert cli("record", "show", name, "--json").json["data"]["index"] == 3
    text = cli("record", "show", "#3").out
    for said in ("Ana Owner <ana@example.com>", digest, REPORT, "Rita Risk as risk (approved, #4)"):
        assert said in text


def test_coverage(place: Path, cli: Cli) -> None:
    """Coverage counts every control of each catalog, as of a time, for a model."""
    data = cli("coverage", "--framework", "nist-ai-rmf-1.0", "--json").json["data"]
    (catalog,) = data["catalogs"]
    states = {control["id"]: control["state"] for control in catalog["controls"]}
    assert len(states) == 72
    assert states["nist-ai-rmf-1.0:MEASURE 2.3"] not in ("missing", "failed")

    text = cli("coverage", "--framework", "nist-ai-rmf-1.0")
    assert text.code == 0
    assert "MEASURE 2.3" in text.out
    assert "MANAGE 4.3" not in text.out
    assert "without evidence; --detail lists them" in text.out
    assert "MANAGE 4.3" in cli("coverage", "--framework", "nist-ai-rmf-1.0", "--detail").out


def test_coverage_of_another_time_or_model_has_nothing(place: Path, cli: Cli) -> None:
    """Of a day before the ledger nothing is said; evidence of another model does not count."""
    asked = ("coverage", "--framework", "nist-ai-rmf-1.0", "--json")
    early = cli(*asked, "--as-of", "2020-01-01")
    assert (early.code, early.json["error"]["code"]) == (2, "coverage.before-ledger")
    data = cli(*asked, "--artifact", "policy.md").json["data"]
    states = {item["id"]: item["state"] for item in data["catalogs"][0]["controls"]}
    assert states["nist-ai-rmf-1.0:MEASURE 2.3"] == "missing"


def test_the_gate_says_no_and_records_it(place: Path, cli: Cli) -> None:
    """Exit 1 with each blocking control; the signed decision is in the ledger, unless dry."""
    dry = cli("gate", "--dry-run")
    assert dry.code == 1
    assert "NOT PASSED" in dry.out
    assert "RG-1 " in dry.out
    assert "the decision was not recorded" in dry.out
    assert len(numbers(cli("record", "list", "--json").json["data"])) == 7

    real = cli("gate", "--json")
    assert real.code == 1
    assert real.json["ok"] is False
    assert real.json["data"]["passed"] is False
    assert real.json["data"]["record"]["index"] == 7
    shown = cli("record", "show", "#7", "--json").json["data"]["statement"]
    assert shown["predicateType"] == "https://slsa.dev/verification_summary/v1"
    assert shown["predicate"]["verificationResult"] == "FAILED"


def test_the_ledger_verifies(place: Path, cli: Cli) -> None:
    """An untouched ledger holds, and every check says how much it looked at."""
    said = cli("verify")
    assert (said.code, said.err) == (0, "")
    assert "evidence.example.com: HOLDS" in said.out
    assert "✗" not in said.out
    checks = {check["name"]: check for check in cli("verify", "--json").json["data"]["checks"]}
    assert checks["signatures"]["checked"] == 7
    assert checks["artifacts"]["checked"] == 2


@pytest.mark.parametrize("column", ["envelope", "leaf"])
def test_a_changed_byte_of_the_ledger_is_a_no(place: Path, cli: Cli, column: str) -> None:
    """One byte of an envelope or leaf changed behind the triggers: exit 1, and it is named."""
    with sqlite3.connect(place / ".muniment" / "ledger.db") as database:
        database.execute("DROP TRIGGER entry_keep")
        (old,) = database.execute(f"SELECT {column} FROM entry WHERE number = 3").fetchone()
        at = len(old) // 2
        new = old[:at] + bytes([old[at] ^ 1]) + old[at + 1 :]
        database.execute(f"UPDATE entry SET {column} = ? WHERE number = 3", (new,))
    database.close()
    said = cli("verify")
    assert said.code == 1
    assert "DOES NOT HOLD" in said.out
    assert "#3" in said.out
    assert cli("verify", "--json").json["ok"] is False
    assert cli("coverage").code == 1
    assert cli("gate").code == 1
    assert "[ledger.unsound]" in cli("packet", "-o", "no.pdf").err
    assert not (place / "no.pdf").exists()


def test_a_changed_byte_of_an_artifact_is_a_no(place: Path, cli: Cli) -> None:
    """A stored file that is no longer what was signed: exit 1."""
    stored = [
        path
        for path in (place / ".muniment" / "artifacts").rglob("*")
        if path.is_file() and path.read_bytes() == b"all well\n"
    ]
    stored[0].chmod(0o600)
    stored[0].write_bytes(b"all hell\n")
    said = cli("verify")
    assert said.code == 1
    assert "✗ what the artifacts are\n  ✗ artifacts" in said.out


def test_a_packet_verifies_where_there_is_no_workspace(
    packet: Path, empty: Path, cli: Cli, story: Path
) -> None:
    """From an empty folder, from the PDF alone; with the right root everything is checked."""
    assert list(empty.iterdir()) == []
    alone = cli("verify", str(packet))
    assert alone.code == 0, alone.out
    assert "no root was given" in alone.out
    root = json.loads(
        python(story, "init", "--json").stdout,
    )["data"]["root"]
    pinned = cli("verify", str(packet), "--root", root)
    assert pinned.code == 0
    assert "no root was given" not in pinned.out
    wrong = cli("verify", str(packet), "--root", "SHA256:" + "A" * 43)
    assert wrong.code == 1
    assert "DOES NOT HOLD" in wrong.out
    assert list(empty.iterdir()) == []


def test_a_changed_packet_is_a_no(packet: Path, empty: Path, cli: Cli) -> None:
    """One byte changed anywhere in the file, begin, middle or end of what is signed: exit 1."""
    data = packet.read_bytes()
    copy = empty / "copy.pdf"
    for at in (7, len(data) // 3, len(data) // 2, len(data) - 30):
        copy.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
        assert cli("verify", "copy.pdf").code == 1, at
    copy.write_bytes(data[:-2000])
    assert cli("verify", "copy.pdf").code == 1
    copy.write_bytes(b"not a PDF")
    assert cli("verify", "copy.pdf").code in (1, 2)
    assert cli("verify", "nowhere.pdf").code == 2


def test_another_folder_is_named_by_option_or_variable(
    place: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The workspace is found from below it, and from elsewhere where it is named."""
    below = place / "data"
    monkeypatch.chdir(below)
    assert cli("system", "list").code == 0
    outside = place.parent / "outside"
    outside.mkdir()
    monkeypatch.chdir(outside)
    missing = cli("system", "list")
    assert (missing.code, "[workspace.missing]" in missing.err) == (2, True)
    assert SYSTEM in cli("system", "list", "--workspace", "../ws").out
    assert cli("system", "list", "--workspace", "../ws/data").code == 2
    monkeypatch.setenv("MUNIMENT_WORKSPACE", str(place))
    assert SYSTEM in cli("system", "list").out
    assert cli("system", "list", "--workspace", ".").code == 2
    (outside / "new.md").write_text("from elsewhere")
    done = cli("attach", "policy", "new.md", "--body", str(place / "policy.yaml"))
    assert done.code == 0
    assert "new.md is outside any repository: recorded by digest alone" in done.err


def test_the_key_is_chosen_by_option_or_variable(
    place: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``--key`` goes before MUNIMENT_KEY, which goes before the checkout's own."""
    monkeypatch.setenv("MUNIMENT_KEY", "risk")
    assert cli("approve", "#5", "--json").json["data"]["record"]["signer"]["name"] == "Rita Risk"
    assert cli(*ATTACH_POLICY, "--set", "title=Other", "--key", "default").code == 0
    assert "MUNIMENT_KEY is set and goes first" in cli("key", "use", "default").err


def test_a_clone_without_the_ledger_says_so(place: Path, cli: Cli) -> None:
    """muniment.yaml alone is no ledger: exit 3, and what to do."""
    shutil.rmtree(place / ".muniment")
    said = cli("record", "list")
    assert (said.code, "[store.missing]" in said.err) == (3, True)
    assert "hint: " in said.err
    assert cli(*ADD_KEY).code == 3
