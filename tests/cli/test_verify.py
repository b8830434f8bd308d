"""``muniment verify`` in its two extents, and by a policy given on the command line."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from muniment.controls.catalog import load_catalog
from muniment.controls.crosswalk import load_crosswalk
from muniment.controls.profile import load_profile
from muniment.evidence.keys import new_ed25519
from muniment.evidence.note import COSIGNATURE_V1, VerifierKey, cosign_note
from muniment.evidence.storage import AnchorRow
from muniment.evidence.workspace import Workspace
from muniment.reports.verify import verify_packet

from .conftest import ATTACH_POLICY, Cli, Said

WITNESS = "witness.example.com"


def check(said: Said, name: str) -> dict[str, Any]:
    """One check of the report."""
    (found,) = (item for item in said.json["data"]["checks"] if item["name"] == name)
    assert isinstance(found, dict)
    return found


def edit(place: Path, statement: str) -> None:
    """Change the database under the triggers."""
    opened = Workspace(place)
    with opened.storage.rebuild() as writer:
        writer._session.connection().exec_driver_sql(statement)
    opened.storage.close()


def test_incremental(place: Path, cli: Cli) -> None:
    """The first time all is verified in full, and so it says; later only what is new, and what was
    not looked at again is listed; without the option it is a full audit as before."""
    first = cli("verify", "--incremental", "--json")
    assert (first.code, first.json["data"]["extent"]) == (0, "full")
    assert "a full audit: all of 7 records" in cli("verify").out
    cli(*ATTACH_POLICY, "--set", "title=Another")
    second = cli("verify", "--incremental", "--json")
    assert (second.code, second.json["data"]["extent"]) == (0, "incremental")
    assert check(second, "pinned")["outcome"] == "held"
    assert check(second, "signatures")["checked"] == 1
    assert "the 7 records verified before" in check(second, "signatures")["not_checked"][0]
    said = cli("verify", "--incremental").out
    assert "0 new records were verified in full, the 8 verified before" in said
    assert cli("verify", "--json").json["data"]["extent"] == "full"


def test_incremental_finds_what_changed_below(place: Path, cli: Cli) -> None:
    """A leaf from before that was changed is found against what was pinned; an envelope from before
    only by the full audit, which is why the two are labelled apart."""
    assert cli("verify", "--incremental").code == 0
    edit(place, "UPDATE entry SET signer = 'x' WHERE number = 3")
    assert cli("verify", "--incremental").code == 0
    full = cli("verify", "--json")
    assert (full.code, check(full, "columns")["findings"][0]["code"]) == (1, "column.differs")
    edit(place, "UPDATE entry SET leaf = x'00' WHERE number = 3")
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
        f"muniment.reports.verify.{rules}", lambda *name: replace(load(*name), name="Another")
    )
    found = {finding.code for finding in verify_packet(packet, None).findings}
    assert found == {"rules.differ"}


def test_policy(place: Path, cli: Cli, tmp_path: Path) -> None:
    """A policy that is given decides which witnesses are believed: one whose quorum the ledger has
    holds, another's does not, and without one the cosignature lies unread."""
    opened = Workspace(place)
    last, key = opened.ledger.checkpoint(), new_ed25519()
    line = cosign_note(last.note.text, WITNESS, key, 1_800_000_000)
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
    assert "1 cosignatures lie there unread" in unread["not_checked"][0]
