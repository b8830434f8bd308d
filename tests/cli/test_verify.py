"""``muniment verify`` in its two extents, and by a policy given on the command line."""

from __future__ import annotations

import shutil
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from muniment.controls.catalog import load_catalog
from muniment.controls.crosswalk import load_crosswalk
from muniment.controls.profile import load_profile
from muniment.evidence.keyfiles import config_folder
from muniment.evidence.keys import new_ed25519
from muniment.evidence.note import COSIGNATURE_V1, VerifierKey, cosign_note
from muniment.evidence.storage import AnchorRow
from muniment.evidence.workspace import Workspace
from muniment.reports.verify import verify_packet

from .conftest import ATTACH_POLICY, INIT, Cli, Said, change_ledger

WITNESS = "witness.example.com"


def check(said: Said, name: str) -> dict[str, Any]:
    """One check of the report."""
    (found,) = (item for item in said.json["data"]["checks"] if item["name"] == name)
    assert isinstance(found, dict)
    return found


def forget() -> None:
    """Make this machine one that never verified the ledger."""
    shutil.rmtree(config_folder() / "verified", ignore_errors=True)


def test_incremental(place: Path, cli: Cli) -> None:
    """The first time all is verified in full, and so it says; later only what is new, and what was
    not looked at again is listed; without the option it is a full audit as before."""
    forget()
    first = cli("verify", "--incremental", "--json")
    assert (first.code, first.json["data"]["extent"]) == (0, "full")
    assert "a full audit: every record was looked at, 7 in all" in cli("verify").out
    cli(*ATTACH_POLICY, "--set", "title=Another")
    second = cli("verify", "--incremental", "--json")
    assert (second.code, second.json["data"]["extent"]) == (0, "incremental")
    assert check(second, "pinned")["outcome"] == "held"
    assert check(second, "signatures")["checked"] == 1
    assert "7 records verified before" in check(second, "signatures")["not_checked"][0]
    said = cli("verify", "--incremental").out
    assert "0 new records looked at in full, 8 records verified before held" in said
    assert cli("verify", "--json").json["data"]["extent"] == "full"


def test_incremental_finds_what_changed_below(place: Path, cli: Cli) -> None:
    """A leaf from before that was changed is found against what was pinned; an envelope from before
    only by the full audit, which is why the two are labelled apart."""
    assert cli("verify", "--incremental").code == 0
    change_ledger(place, "UPDATE entry SET signer = 'x' WHERE number = 3")
    assert cli("verify", "--incremental").code == 0
    full = cli("verify", "--json")
    assert (full.code, check(full, "columns")["findings"][0]["code"]) == (1, "column.differs")
    change_ledger(place, "UPDATE entry SET leaf = x'00' WHERE number = 3")
    found = cli("verify", "--incremental", "--json")
    assert (found.code, check(found, "pinned")["findings"][0]["code"]) == (1, "pinned.root")


def test_incremental_is_for_a_ledger(place: Path, packet: Path, cli: Cli) -> None:
    """A packet is verified whole or not at all."""
    said = cli("verify", str(packet), "--incremental", "--json")
    assert (said.code, said.json["error"]["code"]) == (2, "usage.incremental")


@pytest.mark.parametrize("rules", ["load_profile", "load_catalog", "load_crosswalk"])
def test_a_packet_judged_by_other_rules(
    packet: Path, monkeypatch: pytest.MonkeyPatch, rules: str
) -> None:
    """A profile, a catalog or a crosswalk that is not the one this program has is named; the
    packet's own copy is the one that its verdict was computed by."""
    load: Any = {
        "load_profile": load_profile,
        "load_catalog": load_catalog,
        "load_crosswalk": load_crosswalk,
    }[rules]
    monkeypatch.setattr(
        f"muniment.reports.rulescheck.{rules}", lambda *name: replace(load(*name), name="Another")
    )
    found = {finding.code for finding in verify_packet(packet, None).findings}
    assert found == {"rules.differ"}


def test_policy(place: Path, cli: Cli, tmp_path: Path) -> None:
    """A policy that is given decides which witnesses are believed: one whose quorum the ledger has
    holds, another's does not, and without one the cosignature lies unread."""
    opened = Workspace(place)
    last, key = opened.ledger.checkpoint(), new_ed25519()
    line = cosign_note(last.note.text, WITNESS, key, int(last.time.timestamp()))
    with opened.storage.write() as writer:
        row = AnchorRow(size=last.size, kind="witness", source=WITNESS, proof=str(line).encode())
        writer.add([row])
    opened.storage.close()
    for name, public, code, outcome in (
        ("trusted", key.public, 0, "held"),
        ("other", new_ed25519().public, 1, "failed"),
    ):
        vkey = VerifierKey(WITNESS, COSIGNATURE_V1, public)
        (tmp_path / name).write_text(f"witness one {vkey}\nquorum one\n")
        said = cli("verify", "--policy", str(tmp_path / name), "--json")
        assert (said.code, check(said, "witnesses")["outcome"]) == (code, outcome)
    unread = check(cli("verify", "--json"), "witnesses")
    assert unread["outcome"] == "not-checked"
    assert "1 cosignature unread" in unread["not_checked"][0]


def test_incremental_pins_only_what_held(place: Path, cli: Cli) -> None:
    """Where the answer is no though the ledger itself holds, nothing is pinned: the next run is a
    full audit again, and says no again."""
    opened = Workspace(place)
    (digest,) = (
        item.sha256
        for record in opened.verified().records
        for item in record.statement.subjects
        if item.stored and record.kind == "policy"
    )
    file = opened.store.path(digest)
    opened.storage.close()
    file.chmod(0o600)
    file.write_text("other rules")
    forget()
    for _ in range(2):
        said = cli("verify", "--incremental", "--json")
        assert (said.code, said.json["data"]["extent"]) == (1, "full")
        assert check(said, "artifacts")["outcome"] == "failed"


def test_incremental_says_whose_files_it_did_not_look_at(place: Path, cli: Cli) -> None:
    """Nobody reads that no record speaks of a file where only the new ones were looked at."""
    cli("verify", "--incremental")
    for name, what in (("artifacts", "a file"), ("git", "a committed file")):
        said = check(cli("verify", "--incremental", "--json"), name)
        assert said["not_checked"] == [
            f"no new record speaks of {what}",
            "the files of the records verified before",
        ]


def test_a_ledger_from_the_future(place: Path) -> None:
    """A checkpoint dated more than a day after the verifier's own time is a fault; less is not."""
    last = Workspace(place).ledger.checkpoint()
    for hours, expected in ((23, []), (25, ["checkpoint.future"])):
        now = last.time - timedelta(hours=hours)
        opened = Workspace(place, clock=lambda now=now: now)  # type: ignore[misc]
        report = opened.verify()
        opened.storage.close()
        assert [item.code for item in report.findings] == expected


@pytest.mark.parametrize("option", [(), ("--incremental",)])
def test_the_same_name_and_root_with_another_ledger(
    place: Path, cli: Cli, option: tuple[str, ...]
) -> None:
    """Who holds the root builds the ledger anew with a fresh ledger key: the machine that verified
    the first one says so."""
    assert cli("verify", *option).code == 0
    settings = (place / "muniment.yaml").read_bytes()
    (place / "muniment.yaml").unlink()
    (place / ".muniment").rename(place.parent / "old")
    assert cli(*INIT).code == 0
    assert (place / "muniment.yaml").read_bytes() == settings
    said = cli("verify", *option, "--json")
    assert said.code == 1
    name, code = ("pinned", "pinned.ledger") if option else ("remembered", "outside.other-ledger")
    assert check(said, name)["findings"][0]["code"] == code


def test_a_row_that_can_be_no_cosignature(place: Path, cli: Cli, tmp_path: Path) -> None:
    """What SQLite takes where cosignatures are, and is none, is a fault, with a policy or without;
    and such a ledger is not exported."""
    change_ledger(place, "INSERT INTO anchor VALUES ('abc', 'witness', 'x', x'00')")
    (place / "p").write_text("quorum none\n")
    for options in ([], ["--policy", "p"]):
        said = cli("verify", *options, "--json")
        found = [item["code"] for item in check(said, "witnesses")["findings"]]
        assert (said.code, found) == (1, ["anchor.malformed"])
    said = cli("export", "tiles", str(tmp_path / "x"), "--json")
    assert (said.code, said.json["error"]["code"]) == (1, "ledger.unsound")
