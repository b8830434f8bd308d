"""Attacks by whoever holds the database, each with the findings that must name it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from muniment.evidence.dsse import Envelope
from muniment.evidence.entry import Entry
from muniment.evidence.keys import new_ed25519, new_p256
from muniment.evidence.storage import StoredEntry
from muniment.evidence.workspace import Evidence
from muniment.schemas.errors import MunimentError, VerificationError


def flip(at: int) -> Callable[[bytes], bytes]:
    """Turn the lowest bit of one byte; a negative place counts from the end."""

    def edit(data: bytes) -> bytes:
        changed = bytearray(data)
        changed[at] ^= 1
        return bytes(changed)

    return edit


def letter(mark: bytes, after: int = 0) -> Callable[[bytes], bytes]:
    """Put another base64 letter so many bytes behind the last ``mark``."""

    def edit(data: bytes) -> bytes:
        at = data.rindex(mark) + len(mark) + after
        return data[:at] + (b"B" if data[at : at + 1] == b"A" else b"A") + data[at + 1 :]

    return edit


def drop(*numbers: int) -> Callable[[Any], object]:
    """Delete entries with their subject rows."""

    def attack(victim: Any) -> None:
        for table in ("subject", "entry"):
            victim.sql(f"DELETE FROM {table} WHERE number IN ({', '.join(map(str, numbers))})")

    return attack


def change(table: str, column: str, where: str, edit: Callable[[Any], Any]) -> Any:
    """Change one value."""
    return lambda victim: victim.change(table, column, where, edit)


def run(statement: str) -> Callable[[Any], object]:
    """Run one SQL statement."""
    return lambda victim: victim.sql(statement)


def swap(victim: Any) -> None:
    """Exchange two records of one signer, every column, subjects too."""
    for table in ("entry", "subject"):
        for old, new in [(7, 100), (8, 7), (100, 8)]:
            victim.sql(f"UPDATE {table} SET number = {new} WHERE number = {old}")


def swap_whole(victim: Any) -> None:
    """The same, with the tile that fits."""
    swap(victim)
    victim.change(
        "tile",
        "hashes",
        "level = 0",
        lambda data: data[:224] + data[256:288] + data[224:256] + data[288:],
    )


def shift(victim: Any) -> None:
    """Delete a record and close the gap."""
    drop(7)(victim)
    for table in ("entry", "subject"):
        for number in (8, 9):
            victim.sql(f"UPDATE {table} SET number = {number - 1} WHERE number = {number}")


ENTRY5 = "number = 5"
ROW = "number = 5 AND position = 0"
SIZE7 = "size = 7"
UNSOUND = ["checkpoint.root", "tile.differs"]

ATTACKS: dict[str, tuple[Callable[[Any], object], list[str]]] = {
    "envelope: first byte": (change("entry", "envelope", ENTRY5, flip(0)), ["envelope.malformed"]),
    "envelope: payload": (
        change("entry", "envelope", ENTRY5, letter(b'"payload": "', 60)),
        ["json.malformed"],
    ),
    "envelope: keyid": (
        change("entry", "envelope", ENTRY5, letter(b"SHA256:", 9)),
        ["envelope.keyid"],
    ),
    "envelope: signature": (
        change("entry", "envelope", ENTRY5, letter(b'"sig": "', 60)),
        ["leaf.differs"],
    ),
    "envelope: emptied": (
        change("entry", "envelope", ENTRY5, lambda _: b""),
        ["erasure.undone", "erasure.without-order"],
    ),
    "leaf: first byte": (
        change("entry", "leaf", ENTRY5, flip(0)),
        ["checkpoint.root", "leaf.differs", "tile.differs"],
    ),
    "leaf: digest": (
        change("entry", "leaf", ENTRY5, letter(b'"digest":"', 20)),
        ["checkpoint.root", "leaf.differs", "tile.differs"],
    ),
    "leaf: key": (
        change("entry", "leaf", ENTRY5, letter(b'"rawBytes":"', 80)),
        ["checkpoint.root", "key.malformed", "tile.differs"],
    ),
    "leaf: emptied": (
        change("entry", "leaf", ENTRY5, lambda _: b""),
        ["checkpoint.root", "leaf.malformed", "tile.differs"],
    ),
    "checkpoint: origin": (change("checkpoint", "note", SIZE7, flip(0)), ["checkpoint.foreign"]),
    "checkpoint: size": (
        change("checkpoint", "note", SIZE7, lambda note: note.replace(b"\n7\n", b"\n8\n")),
        ["signature.invalid"],
    ),
    "checkpoint: root": (
        change("checkpoint", "note", SIZE7, letter(b"\n7\n", 5)),
        ["signature.invalid"],
    ),
    "checkpoint: signature": (
        change("checkpoint", "note", SIZE7, letter(b"example.com ", 60)),
        ["signature.invalid"],
    ),
    "checkpoint: one signature": (
        change(
            "checkpoint", "note", SIZE7, lambda note: b"".join(note.splitlines(keepends=True)[:-1])
        ),
        ["note.unsigned"],
    ),
    "checkpoint: size column": (
        run("UPDATE checkpoint SET size = 9 WHERE size = 7"),
        ["checkpoint.column"],
    ),
    "checkpoint: last one deleted": (
        run("DELETE FROM checkpoint WHERE size = 10"),
        ["checkpoint.behind"],
    ),
    "checkpoint: all deleted": (
        run("DELETE FROM checkpoint"),
        ["checkpoint.behind", "root.differs"],
    ),
    "checkpoint: of size 0": (
        run("INSERT INTO checkpoint (size, note) SELECT 0, note FROM checkpoint WHERE size = 7"),
        ["checkpoint.stray"],
    ),
    "checkpoint: of a size too large": (
        run("INSERT INTO checkpoint (size, note) SELECT 50, note FROM checkpoint WHERE size = 7"),
        ["checkpoint.column"],
    ),
    "tile: a bit": (change("tile", "hashes", "level = 0", flip(40)), ["tile.differs"]),
    "tile: cut": (change("tile", "hashes", "level = 0", lambda data: data[:-32]), ["tile.differs"]),
    "tile: longer": (
        change("tile", "hashes", "level = 0", lambda data: data + bytes(32)),
        ["tile.differs"],
    ),
    "tile: deleted": (run("DELETE FROM tile"), ["tile.missing"]),
    "tile: added": (
        run("INSERT INTO tile (level, number, hashes) SELECT 1, 0, hashes FROM tile"),
        ["tile.differs"],
    ),
    "subject: digest": (
        run(f"UPDATE subject SET sha256 = '{'0' * 64}' WHERE {ROW}"),
        ["subjects.differ"],
    ),
    "subject: name": (run(f"UPDATE subject SET name = 'x' WHERE {ROW}"), ["subjects.differ"]),
    "subject: position": (run(f"UPDATE subject SET position = 3 WHERE {ROW}"), ["subjects.differ"]),
    "subject: added": (
        run(
            "INSERT INTO subject (number, position, sha256, name) "
            f"SELECT number, 1, sha256, name FROM subject WHERE {ROW}"
        ),
        ["subjects.differ"],
    ),
    "subject: removed": (run(f"DELETE FROM subject WHERE {ROW}"), ["subjects.differ"]),
    "subject: of no entry": (
        run(
            "INSERT INTO subject (number, position, sha256, name) "
            f"SELECT 99, 0, sha256, name FROM subject WHERE {ROW}"
        ),
        ["subjects.stray"],
    ),
    "entry: first deleted": (drop(0), ["entry.missing"]),
    "entry: one deleted, its subjects left": (
        run("DELETE FROM entry WHERE number = 8"),
        ["entry.missing", "tile.differs"],
    ),
    "entry: a middle one deleted": (drop(5), ["checkpoint.stray", "entry.missing", "tile.differs"]),
    "entry: all deleted": (drop(*range(10)), ["entry.missing"]),
    "entry: last deleted": (drop(9), ["checkpoint.ahead", "tile.differs"]),
    "entries: swapped": (swap, UNSOUND),
    "entries: swapped, tiles too": (swap_whole, ["checkpoint.root"]),
    "entries: one deleted, gap closed": (shift, ["checkpoint.ahead", "tile.differs"]),
}


def test_the_ledger_is_sound_before(victim: Any) -> None:
    """Undamaged, every check holds: what the attacks show is theirs."""
    report = victim.open().verify()
    assert (report.ok, list(report.findings)) == (True, [])
    held = [check.name for check in report.checks if check.checked]
    assert held == [
        "entries",
        "signatures",
        "schema",
        "trust",
        "columns",
        "tree",
        "checkpoints",
        "root",
        "artifacts",
    ]


@pytest.mark.parametrize("name", ATTACKS)
def test_attack(victim: Any, name: str) -> None:
    """Each attack on the stored bytes is found, under its own codes and no others."""
    attack, codes = ATTACKS[name]
    attack(victim)
    assert victim.codes() == codes


COLUMNS = [
    "leaf_hash",
    "fingerprint",
    "predicate_type",
    "kind",
    "system_id",
    "system_version",
    "collected_at",
    "signer",
]


@pytest.mark.parametrize("column", COLUMNS)
@pytest.mark.parametrize("number", [0, 5, 9])
def test_every_derived_column_is_held_against_the_record(
    victim: Any, column: str, number: int
) -> None:
    """A derived column that was edited is found, whichever and wherever it is."""
    victim.sql(f"UPDATE entry SET {column} = 'x' WHERE number = {number}")
    report = victim.open().verify()
    (finding,) = report.findings
    assert (finding.code, finding.record, finding.found) == ("column.differs", number, "x")
    assert column in finding.message


def test_the_table_has_no_other_columns() -> None:
    """The test above leaves no column of the table out."""
    assert set(StoredEntry._fields) == {*COLUMNS, "number", "envelope", "leaf"}


@pytest.mark.parametrize("column", ["envelope", "leaf"])
@pytest.mark.parametrize("value", ["'text'", "12", "1000000000000", "1.5"])
def test_a_value_of_another_type_is_a_finding(sqlite_victim: Any, column: str, value: str) -> None:
    """SQLite keeps any type in any column; what is no bytes is a fault, not a crash."""
    sqlite_victim.sql(f"UPDATE entry SET {column} = {value} WHERE number = 5")
    assert f"{column}.malformed" in sqlite_victim.codes()


def test_an_entry_under_an_impossible_number(victim: Any) -> None:
    """A row below 0, where no honest reader looks, is found: it cannot hide from the count."""
    victim.sql(
        "INSERT INTO entry SELECT -1, envelope, leaf, 'x', fingerprint, predicate_type, kind, "
        "system_id, system_version, collected_at, signer FROM entry WHERE number = 4"
    )
    assert "entry.stray" in victim.codes()


def test_truncation_is_not_seen_without_an_outside_checkpoint(victim: Any) -> None:
    """What nobody can see from the database alone: the last record and its checkpoint taken off.

    The ledger is then exactly the one of a moment earlier, every signature holds, and ``verify``
    says so. Only a checkpoint that somebody outside has kept tells the difference: it is ahead of
    the ledger. That is why checkpoints go out into packets, git and to witnesses.
    """
    kept = victim.open().ledger.checkpoint()
    drop(7, 8, 9)(victim)
    victim.sql("DELETE FROM checkpoint WHERE size = 10")
    victim.change("tile", "hashes", "level = 0", lambda data: data[: 7 * 32])
    assert victim.codes() == []
    assert victim.open().ledger.checkpoint().size < kept.size


def test_a_deleted_checkpoint_can_only_make_records_younger_in_the_ledger(victim: Any) -> None:
    """A checkpoint taken from the middle is not seen either, but moves recorded times later only.

    A batch rightly has one checkpoint, so a missing one is no fault in itself. A record is then
    dated by the next checkpoint: nobody can make one look older than it is.
    """
    before = victim.open().verified().records
    victim.sql("DELETE FROM checkpoint WHERE size = 6")
    assert victim.codes() == []
    after = victim.open().verified().records
    assert after[5].recorded_at == before[6].recorded_at > before[5].recorded_at
    assert [item.recorded_at for item in after[6:]] == [item.recorded_at for item in before[6:]]


def test_no_signature_is_given_to_a_swapped_record(victim: Any) -> None:
    """Two rows swapped while an approver signs: the approver's own reading finds it."""
    victim.sql("UPDATE entry SET number = 99 WHERE number = 5")
    victim.sql("UPDATE entry SET number = 5 WHERE number = 7")
    victim.sql("UPDATE entry SET number = 7 WHERE number = 99")
    with pytest.raises(MunimentError) as caught:
        victim.open(key="carl").approve(["#5"])
    assert caught.value.code == "ledger.damaged"


# Forgeries: whole records and checkpoints made up.

POLICY_BODY = {
    "version": "1",
    "inForceFrom": "2026-01-01",
    "reviewBy": "2027-01-01",
    "owner": {"name": "Ada Example", "email": "ada@example.com"},
}
LATER = datetime(2026, 5, 1, 9, 0, tzinfo=UTC)


def test_a_forged_record_without_the_ledgers_key(victim: Any) -> None:
    """A record put in with rows and tiles recomputed is under no checkpoint."""
    victim.insert(victim.statement(), victim.key("bea"))
    assert victim.codes() == ["checkpoint.behind"]


def test_a_forged_checkpoint(victim: Any) -> None:
    """A checkpoint signed with another key is not the ledger's."""
    victim.insert(victim.statement(), victim.key("bea"))
    victim.sign(new_ed25519(), LATER)
    assert victim.codes() == ["checkpoint.behind", "note.unsigned"]


def test_a_record_rewritten_with_its_leaf(victim: Any) -> None:
    """A payload exchanged together with leaf, tile and columns is not what its signer signed."""
    workspace = victim.open()
    with workspace.storage.read() as reader:
        row = reader.entry(9)
    old = Entry.from_stored(9, row.envelope, row.leaf)
    forged = replace(old.envelope, payload=victim.statement().to_payload())
    entry = Entry.new(9, forged, old.key)
    row = {"envelope": forged.to_bytes(), "leaf": entry.leaf, **entry.columns()}
    victim.sql(f"UPDATE entry SET {', '.join(f'{k} = :{k}' for k in row)} WHERE number = 9", **row)
    victim.change("tile", "hashes", "level = 0", lambda data: data[:-32] + entry.leaf_hash)
    assert victim.codes() == ["checkpoint.root", "signature.invalid"]


def test_a_false_index_column_leads_no_new_record_astray(victim: Any) -> None:
    """New records name the true genesis, though the column that holds its digest was changed."""
    victim.sql(f"UPDATE entry SET leaf_hash = '{'ab' * 32}' WHERE number = 0")
    workspace = victim.open(key="bea", clock=lambda: LATER)
    workspace.add(Evidence("policy", body={**POLICY_BODY, "title": "After the change"}))
    assert victim.codes() == ["column.differs"]
    assert len(victim.open().verified().records) == 11


def test_a_checkpoint_over_another_tree(victim: Any) -> None:
    """A checkpoint by the ledger's own key over other entries than these does not fit."""
    victim.sign(victim.ledger_key(), LATER, root=bytes(32))
    assert victim.codes() == ["checkpoint.root"]


def test_a_record_with_another_kind_of_statement_under_a_stolen_ledger_key(victim: Any) -> None:
    """A body that breaks its kind, or a kind nobody knows, does not become a record."""
    victim.insert(victim.statement(body={"title": "x"}), victim.key("bea"))
    victim.sign(victim.ledger_key(), LATER)
    unheard = victim.statement(predicate_type="https://muniment.dev/evidence/unheard/v1")
    victim.insert(unheard, victim.key("bea"))
    victim.sign(victim.ledger_key(), LATER)
    assert victim.codes() == ["body.malformed", "kind.unknown"]
    assert len(victim.open().verified().records) == 10


def test_a_checkpoint_with_time_running_backwards(victim: Any) -> None:
    """The ledger's own key cannot date a record before its predecessors."""
    victim.insert(victim.statement(), victim.key("bea"))
    victim.sign(victim.ledger_key(), datetime(2026, 1, 1, tzinfo=UTC))
    assert victim.codes() == ["checkpoint.time", "statement.future"]


def test_another_pinned_root(victim: Any) -> None:
    """A ledger of another root than the pinned one is refused whole; no record counts."""
    settings = victim.root / "muniment.yaml"
    old = victim.open().config.root
    settings.write_text(settings.read_text().replace(old, victim.key("bea").public.fingerprint))
    assert victim.codes() == ["root.differs"]
    assert victim.open().verified().records == []


def test_a_ledger_of_another_origin(victim: Any) -> None:
    """A ledger of another name than the pinned one is refused whole."""
    settings = victim.root / "muniment.yaml"
    settings.write_text(settings.read_text().replace("evidence.example.com", "other.example.com"))
    assert victim.codes() == ["root.differs"]


@pytest.mark.parametrize("place", range(0, 1000, 100))
def test_a_damaged_genesis_is_a_finding(victim: Any, place: int) -> None:
    """Whatever byte of the genesis is changed, verification answers no and raises nothing."""
    victim.change("entry", "envelope", "number = 0", flip(place))
    (code,) = victim.codes()
    assert code.split(".")[0] in ("envelope", "json", "leaf", "statement", "signature", "key")


def test_a_genesis_that_signs_nonsense(victim: Any) -> None:
    """A genesis replaced by another key's, whole and well signed, is not the pinned root's."""
    stranger = new_p256()
    genesis = victim.open().verified().records[0].statement
    drop(*range(10))(victim)
    victim.sql("DELETE FROM checkpoint")
    victim.sql("DELETE FROM tile")
    for body, code in [
        ({"action": "enrol"}, "body.malformed"),
        (dict(genesis.body), "trust.genesis"),
    ]:
        forge_genesis(victim, genesis, body, stranger)
        assert victim.codes() == [code]


def forge_genesis(victim: Any, genesis: Any, body: Any, key: Any) -> None:
    """Put a genesis with ``body``, signed by ``key``, in the place of whatever is there."""
    drop(0)(victim)
    statement = replace(genesis, body=body)
    envelope = Envelope.sign(statement.to_payload(), key)
    entry = Entry.new(0, envelope, key.public)
    row = {
        "number": 0,
        "envelope": envelope.to_bytes(),
        "leaf": entry.leaf,
        **entry.columns(),
    }
    names, values = ", ".join(row), ", ".join(f":{name}" for name in row)
    victim.sql(f"INSERT INTO entry ({names}) VALUES ({values})", **row)


def test_nothing_is_concluded_from_a_damaged_ledger(victim: Any) -> None:
    """A ledger with any fault refuses to stand for coverage or a gate."""
    victim.sql("UPDATE entry SET kind = 'x' WHERE number = 5")
    with pytest.raises(VerificationError) as caught:
        victim.open().verified().require()
    assert caught.value.code == "ledger.unsound"
