"""Erasure: bytes go by a signed order alone, and what is gone is not taken for missing."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from muniment.evidence.keys import new_p256
from muniment.evidence.statements import withdrawal_statement
from muniment.evidence.trust import KeyRing
from muniment.evidence.withdrawal import erase
from muniment.evidence.workspace import Evidence, Holder
from muniment.schemas.errors import MunimentError
from muniment.schemas.record import Role

EMPTIED = (
    "envelope = :none, fingerprint = '', predicate_type = '', kind = '', system_id = '', "
    "system_version = '', collected_at = '', signer = ''"
)


@pytest.fixture
def erased(victim: Any) -> Any:
    """A ledger whose record #5, a policy with a file, was erased by an approver in #10."""
    workspace = victim.open(key="carl")
    erase(workspace, ["#5"], "GDPR Art. 17(1)(b)", "Consent was withdrawn.")
    return victim


def notes(victim: Any) -> list[tuple[str, int | None]]:
    """What ``verify`` has to note."""
    report = victim.open().verify()
    return [(note.code, note.record) for check in report.checks for note in check.notes]


def test_an_erasure_is_no_fault(erased: Any) -> None:
    """The ledger holds, says what is gone, and its root still covers it."""
    assert erased.codes() == []
    assert notes(erased) == [("record.erased", 5)]
    assert [record.index for record in erased.open().verified().records] == [
        number for number in range(11) if number != 5
    ]


def test_only_an_approver_erases(victim: Any) -> None:
    """A contributor's order is refused, and nothing is gone."""
    with pytest.raises(Exception, match="may not sign erasure records"):
        erase(victim.open(key="bea"), ["#5"], "law", "reason")
    assert victim.codes() == []
    assert notes(victim) == []


def test_bytes_removed_without_an_order(victim: Any) -> None:
    """Whoever empties a row by hand is found out, whatever they write into the derived table."""
    victim.sql("DELETE FROM subject WHERE number = 7")
    victim.sql(f"UPDATE entry SET {EMPTIED} WHERE number = 7", none=b"")
    assert victim.codes() == ["erasure.without-order"]
    victim.sql("INSERT INTO erasure (number, by) VALUES (7, 6)")
    assert victim.codes() == ["erasure.without-order"]


def test_an_order_that_was_not_carried_out(erased: Any) -> None:
    """Bytes brought back, columns left over and files kept are each found."""
    fresh = erased.value("entry", "envelope", "number = 7")
    erased.sql("UPDATE entry SET signer = 'SHA256:x' WHERE number = 5")
    assert erased.codes() == ["erasure.undone"]
    erased.sql("UPDATE entry SET signer = '', envelope = :bytes WHERE number = 5", bytes=fresh)
    assert "erasure.undone" in erased.codes()


def test_a_file_that_came_back(erased: Any) -> None:
    """An erased artifact in the store is found."""
    workspace = erased.open()
    order = workspace.verified().records[-1]
    (sha256,) = order.statement.body["artifacts"]
    path = workspace.store.path(sha256)
    assert not path.exists()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("Nobody deploys alone.\n")
    assert erased.codes() == ["erasure.undone"]


def test_the_leaf_of_an_erased_record_still_proves_its_signature(erased: Any) -> None:
    """A changed leaf of an erased record is found by its signature and by the tree."""
    erased.change(
        "entry", "leaf", "number = 5", lambda leaf: leaf.replace(b'"digest":"', b'"digest":"A', 1)
    )
    codes = erased.codes()
    assert {"leaf.malformed", "checkpoint.root"} <= set(codes)


@pytest.mark.parametrize(
    "statement",
    [
        f"UPDATE entry SET {EMPTIED} WHERE number = 7",
        "UPDATE entry SET envelope = :none WHERE number = 6",
        "DELETE FROM subject WHERE number = 7",
        "DELETE FROM entry WHERE number = 5",
        "UPDATE entry SET leaf = :none WHERE number = 5",
        "DELETE FROM erasure",
        "DELETE FROM anchor",
        "UPDATE erasure SET number = 7",
        "INSERT INTO erasure (number, by) VALUES (7, 6)",
        "INSERT INTO erasure (number, by) VALUES (10, 10)",
        "INSERT INTO erasure (number, by) VALUES (7, 99)",
    ],
)
def test_the_database_refuses_everything_but_the_ordered_erasure(
    erased: Any, statement: str
) -> None:
    """With the triggers in force, no other byte can be changed or removed."""
    workspace = erased.open()
    before = erased.codes()
    with (
        workspace.storage._engine.connect() as connection,
        pytest.raises(DBAPIError, match="append-only"),
    ):
        values = {"none": b""} if ":none" in statement else {}
        connection.execute(text("INSERT INTO anchor VALUES (1, 'witness', 'x', :p)"), {"p": b"x"})
        connection.execute(text(statement), values)
    assert erased.codes() == before


def test_what_others_count_for_is_not_erased(victim: Any) -> None:
    """Keys, erasures, approvals and retractions stay: a "no" must not vanish by an order."""
    for record in ("#1", "#6"):
        with pytest.raises(MunimentError) as caught:
            erase(victim.open(key="carl"), [record], "law", "reason")
        assert caught.value.code in ("erasure.kind", "withdrawal.mixed")
    assert victim.codes() == []


def test_an_order_says_of_a_record_what_it_is(victim: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that makes the order claim more is refused while the bytes are still there."""
    from muniment.evidence import withdrawal
    from muniment.evidence.statements import erased_item

    def lying(*arguments: Any) -> dict[str, Any]:
        return {**erased_item(*arguments), "superseded": 4}

    monkeypatch.setattr(withdrawal, "erased_item", lying)
    with pytest.raises(MunimentError) as caught:
        erase(victim.open(key="carl"), ["#5"], "law", "reason")
    assert caught.value.code == "erasure.differs"
    assert victim.codes() == []


def test_a_row_that_is_no_erasure(sqlite_victim: Any) -> None:
    """Nonsense in the derived table is a finding, not a crash."""
    sqlite_victim.sql("INSERT INTO erasure VALUES (5, 'zz')")
    assert sqlite_victim.codes() == ["erasure.undone"]


@pytest.mark.parametrize("table", ["entry", "checkpoint", "tile", "meta", "subject"])
def test_no_row_is_replaced_by_an_insertion(sqlite_victim: Any, table: str) -> None:
    """SQLite's INSERT OR REPLACE does not get around the triggers."""
    engine = sqlite_victim.open().storage._engine
    with engine.connect() as connection, pytest.raises(DBAPIError, match="append-only"):
        connection.execute(text(f"INSERT OR REPLACE INTO {table} SELECT * FROM {table} LIMIT 1"))


def own_client(monkeypatch: pytest.MonkeyPatch, **says: Any) -> None:
    """Somebody's own program: it erases whatever it likes, and says of it what it likes."""
    from muniment.evidence import erasure, withdrawal
    from muniment.evidence.statements import erased_item

    def item(*arguments: Any) -> dict[str, Any]:
        return {**erased_item(*arguments), **says}

    monkeypatch.setattr(erasure, "KEPT_KINDS", frozenset())
    monkeypatch.setattr(erasure, "erased_item", item)
    monkeypatch.setattr(withdrawal, "erased_item", item)


@pytest.mark.parametrize("says", [{}, {"kind": "policy"}, {"kind": "link"}])
def test_a_rejection_erased_with_an_own_client(
    victim: Any, monkeypatch: pytest.MonkeyPatch, says: dict[str, Any]
) -> None:
    """An approval that is gone is a fault, whether its order says what it was or calls it evidence,
    which the approver's key could not sign."""
    own_client(monkeypatch, **says)
    erase(victim.open(key="carl"), ["#6"], "law", "reason")
    assert victim.codes() == ["erasure.kind"]


def order(victim: Any, place: int, kind: str) -> None:
    """An approver erases any record at all, and calls it what they like."""
    workspace = victim.open(key="carl")
    target = workspace.entry(f"#{place}")
    body = {
        "records": [{**target.ref.to_json(), "kind": kind}],
        "artifacts": [],
        "basis": "law",
        "reason": "reason",
    }
    about = workspace.entry("#5").statement.system
    workspace.append(
        withdrawal_statement(
            "erasure", [target], about, workspace.clock(), body, workspace.references
        )
    )


def test_a_revocation_erased_with_an_own_client(
    victim: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody's key comes back to life by an order that says it erases a key record."""
    people = victim.open(key="ada").people
    revoked = people.revoke(people.find("bea@example.com"), "Left the bank.").record
    own_client(monkeypatch)
    order(victim, revoked.index, "key")
    assert victim.codes() == ["erasure.kind"]


@pytest.mark.parametrize("is_root_alone", [True, False])
def test_a_revocation_called_a_policy(
    victim: Any, monkeypatch: pytest.MonkeyPatch, is_root_alone: bool
) -> None:
    """The key of a root who signs nothing else shows the lie; of one who also contributes, verify
    says that nobody can tell."""
    workspace = victim.open(key="ada")
    if is_root_alone:
        key = new_p256()
        workspace.keys.save(workspace.keys.path("rita"), key, None)
        workspace.people.enrol(key.public, Holder("Rita", "rita@example.com"), roles=[Role.ROOT])
        workspace = victim.open(key="rita")
    people = workspace.people
    revoked = people.revoke(people.find("bea@example.com"), "Left the bank.").record
    own_client(monkeypatch, kind="policy")
    order(victim, revoked.index, "policy")
    if is_root_alone:
        assert victim.codes() == ["erasure.kind"]
    else:
        assert victim.codes() == []
        assert ("record.erased-unproven", revoked.index) in notes(victim)


def test_an_erased_record_of_nobody(victim: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was erased must have been signed by a key that was enrolled before it."""
    monkeypatch.setattr(KeyRing, "at", lambda *_: None)
    erase(victim.open(key="carl"), ["#5"], "law", "reason")
    assert victim.codes() == ["erasure.kind"]


def test_an_incremental_verification_judges_older_records_too(
    victim: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A record that was verified before and is erased since is judged by its key all the same."""
    assert victim.open().verify(incremental=True).ok
    own_client(monkeypatch, kind="policy")
    erase(victim.open(key="carl"), ["#6"], "law", "reason")
    report = victim.open().verify(incremental=True)
    assert [finding.code for finding in report.findings] == ["erasure.kind"]


def test_a_changed_kind_column_erases_nothing(victim: Any) -> None:
    """What a record is, its signed statement says, not the column beside it."""
    victim.sql("UPDATE entry SET kind = 'policy' WHERE number = 6")
    with pytest.raises(MunimentError) as caught:
        erase(victim.open(key="carl"), ["#6"], "law", "reason")
    assert caught.value.code == "erasure.kind"
    assert victim.codes() == ["column.differs"]


def test_a_machine_erases_nothing(victim: Any) -> None:
    """A machine's key with an approver's role orders no erasure."""
    workspace = victim.open(key="ada")
    key = new_p256()
    workspace.keys.save(workspace.keys.path("bot"), key, None)
    holder = Holder("Bot", "bot@example.com", "machine")
    workspace.people.enrol(key.public, holder, roles=[Role.APPROVER], functions=["risk"])
    with pytest.raises(MunimentError) as caught:
        erase(victim.open(key="bot"), ["#5"], "law", "reason")
    assert caught.value.code == "trust.machine"
    assert victim.codes() == []


def test_the_last_record_of_a_system_stays(victim: Any) -> None:
    """A system version is not made to vanish; once it is registered anew, the old record goes."""
    with pytest.raises(MunimentError) as caught:
        erase(victim.open(key="carl"), ["#4"], "law", "reason")
    assert caught.value.code == "erasure.kind"
    workspace = victim.open(key="ada")
    old = workspace.entry("#4").statement
    body = {**old.body, "owner": {"name": "Bea", "email": "bea@example.com"}}
    workspace.add(Evidence("system", old.system, body=body, supersedes="#4"))
    erase(victim.open(key="carl"), ["#4"], "law", "reason")
    assert victim.codes() == []
    assert victim.open().systems() == [old.system]
