"""``muniment fsck``, ``backup`` and ``migrate`` from the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from .conftest import Cli, change_ledger

LEDGER = Path(".muniment/ledger.db")


def test_fsck_finds_and_repairs(place: Path, cli: Cli) -> None:
    """Exit 1 while there are differences and when they are repaired, 0 from then on."""
    said = cli("fsck")
    assert (said.code, "nothing differs" in said.out, "HOLDS" in said.out) == (0, True, False)
    change_ledger(place, "UPDATE entry SET kind = 'decision' WHERE number = 5")
    said = cli("fsck", "--json")
    assert (said.code, said.json["ok"]) == (1, False)
    assert "column.differs" in said.out
    said = cli("fsck", "--repair")
    assert said.code == 1
    assert "1 repaired from the entries" in said.out
    assert cli("fsck").code == 0
    assert cli("verify").code == 0


def test_a_backup_can_take_the_ledgers_place(place: Path, cli: Cli) -> None:
    """Put where the ledger was, the copy verifies; a second backup does not replace the first."""
    said = cli("backup", "copy.db", "--json")
    assert (said.code, said.json["data"]["size"]) == (0, 7)
    assert said.json["data"]["root"] in cli("verify", "--json").out
    refused = cli("backup", "copy.db")
    assert (refused.code, "backup.exists" in refused.err) == (2, True)
    for name in ("ledger.db", "ledger.db-wal", "ledger.db-shm"):
        LEDGER.with_name(name).unlink(missing_ok=True)
    Path("copy.db").rename(LEDGER)
    assert cli("verify").code == 0
    assert "wrote copy.db: 7 records" in cli("backup", "copy.db").out


@pytest.mark.parametrize("version", ["1", "3"])
def test_other_versions_say_what_to_do(place: Path, cli: Cli, version: str) -> None:
    """An older ledger asks for ``muniment migrate``; a newer one for a newer Muniment."""
    assert "version 2 already" in cli("migrate").out
    if version == "1":
        change_ledger(place, "DROP TABLE anchor")
        change_ledger(place, "DROP TABLE erasure")
    change_ledger(place, f"UPDATE meta SET value = '{version}' WHERE key = 'schema'")
    said = cli("verify")
    assert (said.code, "store.version" in said.err) == (3, True)
    if version == "3":
        assert "install that version" in said.err
        assert cli("migrate").code == 3
    else:
        assert "hint: muniment migrate" in said.err
        assert cli("migrate", "--json").json["data"] == {"from": 1, "to": 2}
        assert cli("verify").code == 0
