"""The ledger on both databases: what it takes and refuses, and that nothing is half-written."""

from __future__ import annotations

import errno
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import DBAPIError
from sqlmodel import Session

from muniment.evidence.dsse import Envelope
from muniment.evidence.keys import new_ed25519, new_p256
from muniment.evidence.ledger import Ledger
from muniment.evidence.merkle import EMPTY_ROOT, verify_consistency
from muniment.evidence.note import ED25519, VerifierKey
from muniment.evidence.storage import Storage, Writer
from muniment.evidence.verification import LedgerVerifier
from muniment.evidence.workspace import Evidence
from muniment.schemas import times
from muniment.schemas.errors import (
    InputError,
    MunimentError,
    SchemaError,
    StoreError,
    StoreLockedError,
    VerificationError,
)
from muniment.schemas.statement import SystemRef


def code_of(action: Callable[[], object]) -> str:
    """Code of the error that ``action`` raises."""
    with pytest.raises(MunimentError) as caught:
        action()
    return caught.value.code


def test_genesis(lab: Any) -> None:
    """A new ledger holds its genesis, which verifies and names the ledger's key."""
    lab.assert_sound(1)
    opened = Ledger.open(
        lab.storage, "evidence.example.com", lab.root.public.fingerprint, lab.kinds
    )
    assert (opened.vkey, opened.genesis) == (lab.vkey, lab.ledger.genesis)
    assert code_of(lab.storage.create) == "store.exists"
    lab.assert_sound(1)


def test_another_root_or_origin_is_refused(lab: Any) -> None:
    """A ledger opens only for the root and origin that are pinned."""
    fingerprint = lab.root.public.fingerprint
    for origin, root in [
        ("evidence.example.com", new_p256().public.fingerprint),
        ("other.example.com", fingerprint),
    ]:
        with pytest.raises(VerificationError) as caught:
            Ledger.open(lab.storage, origin, root, lab.kinds)
        assert caught.value.code == "root.differs"


def test_append(lab: Any, clock: Any) -> None:
    """A record gets the next number, the checkpoint's time and a receipt that verifies."""
    for number in range(1, 6):
        clock.move(hours=1)
        (appended,) = lab.append(lab.statement(title=f"Rule {number}"))
        assert (appended.record.index, appended.is_new) == (number, True)
        assert appended.record.recorded_at == clock()
    lab.assert_sound(6)
    last = lab.ledger.checkpoint()
    for index, receipt in enumerate(lab.ledger.receipts(range(6), last)):
        assert receipt.verify(lab.vkey) == last
        assert receipt.index == index
    recorded = lab.ledger.recording_checkpoints(range(1, 6))
    assert [recorded[index].time for index in range(1, 6)] == [
        clock() - timedelta(hours=hours) for hours in range(4, -1, -1)
    ]


def test_every_checkpoint_extends_the_ones_before(lab: Any) -> None:
    """Consistency proofs hold between all checkpoints of a growing ledger."""
    checkpoints = [lab.ledger.checkpoint()]
    for number in range(4):
        lab.append(lab.statement(title=f"Rule {number}"), lab.statement(title=f"Rule {number} b"))
        checkpoints.append(lab.ledger.checkpoint())
    assert [item.size for item in checkpoints] == [1, 3, 5, 7, 9]
    for old in checkpoints:
        for new in checkpoints:
            if old.size <= new.size:
                proof = lab.ledger.consistency(old.size, new.size)
                verify_consistency(old.size, new.size, proof, old.root, new.root)


def test_the_same_evidence_twice_is_one_record(lab: Any, clock: Any) -> None:
    """Another salt and time do not make another record; another signer or body does."""
    other = lab.enrol(["contributor"], name="Bea Example")
    (first,) = lab.append(lab.statement())
    before = lab.ledger.checkpoint()
    clock.move(days=1)
    (second,) = lab.append(lab.statement())
    assert (second.is_new, second.record) == (False, first.record)
    assert lab.ledger.checkpoint() == before
    assert lab.append(lab.statement(), key=other)[0].is_new
    assert lab.append(lab.statement(title="Others"))[0].is_new
    lab.assert_sound(5)


def test_the_same_evidence_twice_in_one_batch_is_one_record(lab: Any) -> None:
    """A duplicate inside a batch is recognised like any other."""
    one, two = lab.append(lab.statement(), lab.statement())
    assert (one.is_new, two.is_new) == (True, False)
    assert one.record == two.record
    lab.assert_sound(2)


def test_an_empty_batch_changes_nothing(lab: Any) -> None:
    """Appending nothing makes no checkpoint."""
    before = lab.ledger.checkpoint()
    assert lab.append() == []
    assert lab.ledger.checkpoint() == before
    lab.assert_sound(1)


def test_a_key_may_sign_in_the_batch_that_enrols_it(lab: Any) -> None:
    """Trust is judged at each place of a batch, not before it."""
    key = new_p256()
    batch = [
        (lab.sign(lab.enrolment(key, ["contributor"], name="Bea Example")), lab.root),
        (lab.sign(lab.statement(), key), key),
    ]
    assert code_of(lambda: lab.ledger.append(lab.key, batch[::-1], lab.kinds)) == (
        "trust.unknown-key"
    )
    lab.ledger.append(lab.key, batch, lab.kinds)
    lab.assert_sound(3)


def broken_signature(lab: Any) -> tuple[Envelope, Any]:
    envelope = lab.sign(lab.statement(title="Bad"))
    return replace(envelope, payload=lab.statement(title="Forged").to_payload()), lab.root


BAD_RECORDS: dict[str, tuple[Callable[[Any], Any], str]] = {
    "signature": (broken_signature, "signature.invalid"),
    "signer": (
        lambda lab: (lab.sign(lab.statement(), key := new_p256()), key),
        "trust.unknown-key",
    ),
    "body": (
        lambda lab: (lab.sign(lab.statement(body={"title": "x"})), lab.root),
        "body.malformed",
    ),
    "kind": (lambda lab: (lab.sign(lab.statement("unheard-of")), lab.root), "kind.unknown"),
    "ledger": (
        lambda lab: (
            lab.sign(
                lab.statement(
                    references=({"relation": "genesis", "index": 0, "sha256": "ab" * 32},)
                )
            ),
            lab.root,
        ),
        "statement.foreign-ledger",
    ),
    "no ledger": (
        lambda lab: (lab.sign(lab.statement(references=())), lab.root),
        "statement.foreign-ledger",
    ),
}


@pytest.mark.parametrize("name", BAD_RECORDS)
def test_one_bad_record_keeps_its_whole_batch_out(lab: Any, name: str) -> None:
    """A batch is all or nothing: the good records before and after a bad one are not written."""
    make, code = BAD_RECORDS[name]
    good = [(lab.sign(lab.statement(title=title)), lab.root) for title in ("One", "Two")]
    batch = [good[0], make(lab), good[1]]
    before = lab.ledger.checkpoint()
    assert code_of(lambda: lab.ledger.append(lab.key, batch, lab.kinds)) == code
    assert lab.ledger.checkpoint() == before
    lab.assert_sound(1)


def test_a_schema_fault_lists_every_problem(lab: Any) -> None:
    """What is refused for its body names all faults at once."""
    with pytest.raises(SchemaError) as caught:
        lab.append(lab.statement(body={"colour": "red"}))
    assert len(caught.value.problems) >= 5


def test_only_the_ledgers_own_key_appends(lab: Any) -> None:
    """Another Ed25519 key cannot sign a checkpoint of this ledger."""
    signed = [(lab.sign(lab.statement()), lab.root)]
    assert code_of(lambda: lab.ledger.append(new_ed25519(), signed, lab.kinds)) == (
        "ledger.wrong-key"
    )
    lab.assert_sound(1)


def test_a_clock_far_behind_is_refused(lab: Any, clock: Any) -> None:
    """More than a minute behind the last checkpoint nothing is appended: times never run back."""
    clock.move(seconds=-61)
    with pytest.raises(StoreError) as caught:
        lab.append(lab.statement())
    assert caught.value.code == "clock.backwards"
    assert caught.value.hint
    lab.assert_sound(1)


@pytest.mark.parametrize("seconds", [-60, -1, 0])
def test_a_clock_a_little_behind_stands_still(lab: Any, clock: Any, seconds: int) -> None:
    """Up to a minute behind, the record gets the time of the last checkpoint."""
    before = lab.ledger.checkpoint().time
    clock.move(seconds=seconds)
    (appended,) = lab.append(lab.statement())
    assert appended.record.recorded_at == before
    assert lab.ledger.checkpoint().time == before
    lab.assert_sound(2)


@pytest.mark.parametrize("step", range(4))
def test_a_write_that_fails_leaves_nothing(
    lab: Any, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    """Whichever write of a batch the disk refuses, the ledger is as it was, and goes on."""
    calls: list[str] = []

    def failing(write: Callable[..., None]) -> Callable[..., None]:
        def attempt(*arguments: Any) -> None:
            calls.append(write.__name__)
            if len(calls) > step:
                raise OSError(errno.ENOSPC, "No space left on device")
            write(*arguments)

        return attempt

    monkeypatch.setattr(Writer, "add", failing(Writer.add))
    monkeypatch.setattr(Writer, "add_many", failing(Writer.add_many))
    monkeypatch.setattr(Writer, "put_tile", failing(Writer.put_tile))
    batch = [lab.statement(title=title) for title in ("One", "Two")]
    assert code_of(lambda: lab.append(*batch)) == "store.full"
    assert calls == ["add_many", "add_many", "put_tile", "add"][: step + 1]
    monkeypatch.undo()
    lab.assert_sound(1)
    lab.append(*batch)
    lab.assert_sound(3)


def test_a_commit_that_fails_after_it_took_is_recognised(
    lab: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the answer to a commit is lost, trying again finds the record that is there."""
    commit = Session.commit

    def lost(self: Any) -> None:
        commit(self)
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(Session, "commit", lost)
    assert code_of(lambda: lab.append(lab.statement())) == "store.io"
    monkeypatch.undo()
    assert not lab.append(lab.statement())[0].is_new
    lab.assert_sound(2)


APPENDER = """
import sys
from pathlib import Path
from muniment.evidence.workspace import Workspace
workspace = Workspace(Path(sys.argv[1]))
policy = {
    "version": "1", "inForceFrom": "2026-01-01", "reviewBy": "2027-01-01",
    "owner": {"name": "Ada Example", "email": "ada@example.com"},
}
from muniment.evidence.workspace import Evidence
for number in range(10):
    workspace.add(Evidence("policy", body={**policy, "title": f"{sys.argv[2]}.{number}"}))
"""


def test_processes_append_at_once(
    ledger_url: str, make_workspace: Callable[..., Any], system_body: dict[str, Any]
) -> None:
    """Four processes attach ten records each: all forty are there, without a gap, and verify."""
    # The processes have the machine's own clock, so the genesis must have it too.
    workspace = make_workspace(ledger=ledger_url, clock=times.now)
    workspace.add(Evidence("system", SystemRef("credit-risk", "1.0.0"), body=system_body))
    running = [
        subprocess.Popen(
            [sys.executable, "-c", APPENDER, str(workspace.root), str(name)],
            stderr=subprocess.PIPE,
            text=True,
        )
        for name in range(4)
    ]
    for process in running:
        _, errors = process.communicate()
        assert (process.returncode, errors) == (0, "")
    verified = workspace.verified()
    assert [record.index for record in verified.records] == list(range(42))
    assert verified.report.ok
    titles = [record.statement.body["title"] for record in verified.records[2:]]
    assert sorted(titles) == sorted(f"{name}.{number}" for name in range(4) for number in range(10))


def test_threads_append_at_once(lab: Any) -> None:
    """Four threads over one connection pool append ten records each, without a gap."""

    def run(name: int) -> None:
        for number in range(10):
            lab.append(lab.statement(title=f"{name}.{number}"))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(run, range(4)))
    lab.assert_sound(41)


def test_threads_attaching_the_same_thing_make_one_record(lab: Any) -> None:
    """The same evidence attached eight times at once is one record."""
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: lab.append(lab.statement())[0], range(8)))
    assert sorted(answer.is_new for answer in answers) == [False] * 7 + [True]
    lab.assert_sound(2)


STATEMENTS = {
    "entry": "UPDATE entry SET kind = kind",
    "envelope": "UPDATE entry SET envelope = leaf WHERE number = 0",
    "subject": "UPDATE subject SET name = 'x'",
    "checkpoint": "UPDATE checkpoint SET size = 9",
    "meta": "UPDATE meta SET value = '2'",
    "delete entry": "DELETE FROM entry",
    "delete subject": "DELETE FROM subject",
    "delete checkpoint": "DELETE FROM checkpoint",
    "delete meta": "DELETE FROM meta",
    "delete tile": "DELETE FROM tile",
    "tile moved": "UPDATE tile SET number = 7",
    "tile level": "UPDATE tile SET level = 7",
    "tile replaced": "UPDATE tile SET hashes = (SELECT leaf FROM entry WHERE number = 0)",
}


@pytest.mark.parametrize("name", STATEMENTS)
def test_the_database_refuses_changes(lab: Any, name: str) -> None:
    """UPDATE and DELETE are refused by the database itself, for every table."""
    engine = create_engine(lab.url)
    with pytest.raises(DBAPIError, match="append-only"), engine.begin() as connection:
        connection.execute(text(STATEMENTS[name]))
    engine.dispose()
    lab.assert_sound(1)


@pytest.mark.parametrize("table", ["entry", "subject", "checkpoint", "meta", "tile"])
def test_postgres_refuses_truncate(
    postgres_url: str, clock: Any, kinds: Any, table: str, lab_on: Callable[..., Any]
) -> None:
    """TRUNCATE is refused as well."""
    lab = lab_on(postgres_url)
    engine = create_engine(postgres_url)
    with pytest.raises(DBAPIError, match="append-only"), engine.begin() as connection:
        connection.execute(text(f"TRUNCATE {table} CASCADE"))
    engine.dispose()
    lab.assert_sound(1)


def test_a_locked_ledger(
    ledger_url: str, lab_on: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """While another process writes, attaching gives up after waiting; reading goes on."""
    monkeypatch.setattr("muniment.evidence.database.LOCK_SECONDS", 0.2)
    lab = lab_on(ledger_url)
    engine = create_engine(ledger_url)
    is_sqlite = engine.dialect.name == "sqlite"
    with engine.connect() as connection:
        if is_sqlite:
            connection.connection.driver_connection.isolation_level = None  # type: ignore[union-attr]
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        else:
            connection.execute(text("LOCK TABLE entry IN EXCLUSIVE MODE"))
        with pytest.raises(StoreLockedError) as caught:
            lab.append(lab.statement())
        assert caught.value.code == "store.locked"
        assert "try again" in str(caught.value.hint)
        lab.assert_sound(1)
        connection.rollback()
    engine.dispose()
    lab.append(lab.statement())
    lab.assert_sound(2)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE tile SET hashes = envelope FROM entry WHERE entry.number = 0",
        "DELETE FROM checkpoint",
        "DELETE FROM tile",
        "UPDATE checkpoint SET note = envelope FROM entry WHERE entry.number = 0",
    ],
)
def test_a_damaged_ledger_takes_nothing_more(lab: Any, statement: str) -> None:
    """Where tiles or checkpoint no longer fit, an append is refused rather than signed over."""
    lab.change(statement)
    assert code_of(lambda: lab.append(lab.statement())) == "ledger.damaged"
    assert code_of(lab.ledger.checkpoint) == "ledger.damaged"
    assert lab.size() == 1


def test_another_schema_version_is_refused(lab: Any) -> None:
    """A ledger of another version of the tables is left alone."""
    lab.change("UPDATE meta SET value = '99' WHERE key = 'schema'")
    assert code_of(lab.size) == "store.version"
    assert code_of(lambda: lab.append(lab.statement())) == "store.version"


def test_a_database_without_a_ledger(ledger_url: str) -> None:
    """An empty database is no ledger: reading and writing say so, and nothing is made."""
    storage = Storage(ledger_url)
    for use in (storage.read, storage.write):
        with pytest.raises(StoreError) as caught, use():
            pass
        assert caught.value.code == "store.missing"
    assert not storage.exists()
    storage.close()
    if storage.path is not None:
        assert not storage.path.exists()


def test_tables_without_a_genesis(ledger_url: str, kinds: Any) -> None:
    """A ledger whose making was cut off before the genesis is nothing to build on or believe."""
    storage = Storage(ledger_url)
    storage.create()
    root = new_p256().public.fingerprint
    vkey = VerifierKey("evidence.example.com", ED25519, new_ed25519().public)
    empty = Ledger(storage, vkey, root)
    assert code_of(lambda: Ledger.open(storage, vkey.name, root, kinds)) == "entry.missing"
    assert code_of(empty.checkpoint) == code_of(lambda: empty.genesis) == "ledger.damaged"
    with storage.read() as reader:
        verifier = LedgerVerifier(reader, vkey, root, kinds)
        assert list(verifier.records()) == []
    assert [finding.code for finding in verifier.report.findings] == ["entry.missing"]
    storage.close()


def test_verification_by_another_root_or_ledger_key(lab: Any) -> None:
    """Held against another root or ledger key than its own, the ledger fails and says which."""
    own = lab.root.public.fingerprint
    other = VerifierKey(lab.vkey.name, ED25519, new_ed25519().public)
    for vkey, root, codes in [
        (lab.vkey, own, []),
        (lab.vkey, new_p256().public.fingerprint, ["root.differs"]),
        (other, own, ["checkpoint.behind", "note.unsigned", "root.differs"]),
    ]:
        progress: list[tuple[int, int]] = []
        with lab.storage.read() as reader:
            verifier = LedgerVerifier(
                reader, vkey, root, lab.kinds, lambda *done, seen=progress: seen.append(done)
            )
            list(verifier.records())
        assert sorted(finding.code for finding in verifier.report.findings) == codes
        assert progress == [(1, 1)]


def test_receipts_of_what_is_not_there(lab: Any) -> None:
    """There is no receipt for a number beyond the end."""
    with pytest.raises(InputError) as caught:
        list(lab.ledger.receipts([1], lab.ledger.checkpoint()))
    assert caught.value.code == "record.unknown"


def test_an_old_checkpoint_still_gives_receipts(lab: Any) -> None:
    """Receipts can be made under any checkpoint that covers the record, not only the last."""
    lab.append(lab.statement(title="One"))
    old = lab.ledger.checkpoint()
    lab.append(lab.statement(title="Two"))
    (receipt,) = lab.ledger.receipts([1], old)
    assert receipt.verify(lab.vkey) == old
    assert old.root != EMPTY_ROOT
