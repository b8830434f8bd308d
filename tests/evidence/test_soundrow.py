"""What is called sound in a hurry is found without fault at leisure, whatever was signed."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muniment.evidence.dsse import Envelope
from muniment.evidence.entry import Entry
from muniment.evidence.keys import SigningKey, new_ed25519, new_p256
from muniment.evidence.leaf import leaf_bytes
from muniment.evidence.merkle import hash_leaf
from muniment.evidence.rowcheck import RowChecker, Verdict
from muniment.evidence.soundrow import Sound, SoundRows, Task
from muniment.schemas import strictjson
from muniment.schemas.errors import MunimentError
from muniment.schemas.kinds import KindRegistry
from muniment.schemas.statement import RecordRef, Statement, Subject, SystemRef, predicate_type

KINDS = KindRegistry()
KEYS = {"p256": new_p256(), "ed25519": new_ed25519()}
SYSTEM = SystemRef("credit-risk", "1.0.0")
GENESIS = {"relation": "genesis", "index": 0, "sha256": "ab" * 32}
BODY = {
    "title": "Rules",
    "version": "1",
    "inForceFrom": "2026-01-01",
    "owner": {"name": "Board", "email": "board@example.com"},
    "reviewBy": "2027-01-01",
}
PLAIN = Statement(
    subjects=(SYSTEM.descriptor(),),
    predicate_type=predicate_type("policy"),
    system=SYSTEM,
    collected_at=datetime(2026, 3, 1, 9, 0, tzinfo=UTC),
    body=BODY,
    salt="0" * 32,
    references=(GENESIS,),
)
FILE = Subject("model.onnx", {"sha256": "cd" * 32}, annotations={"size": 3, "stored": True})
STATEMENTS = {
    "plain": PLAIN,
    "of files": replace(PLAIN, subjects=(FILE, replace(FILE, name="other.onnx"))),
    "that lapses": replace(PLAIN, valid_until=datetime(2027, 3, 1, tzinfo=UTC)),
    "that supersedes": replace(PLAIN, supersedes=RecordRef(3, "ef" * 32), supersedes_because="x"),
    "with its fields' names in the body": replace(
        PLAIN,
        body={**BODY, "title": '"collectedAt":"2026-03-01T09:00:00Z","salt":"' + "0" * 32 + '",'},
    ),
    "with a digest called salt": replace(
        PLAIN, subjects=(Subject("x", {"salt": "0" * 32, "sha256": "cd" * 32}),)
    ),
}


def _row(payload: bytes, key: SigningKey) -> Task:
    """A row with everything derived from a signed payload, as far as it can be."""
    envelope = Envelope.sign(payload, key)
    leaf = leaf_bytes(envelope, key.public)
    try:
        entry = Entry.new(7, envelope, key.public)
        columns, subjects = tuple(entry.columns().values()), list(entry.subjects())
    except (MunimentError, TypeError):
        plain = Entry.new(7, Envelope.sign(PLAIN.to_payload(), key), key.public)
        columns, subjects = tuple(plain.columns().values()), list(plain.subjects())
        columns = (hash_leaf(leaf).hex(), *columns[1:])
    return (7, envelope.to_bytes(), leaf, *columns), subjects


def _sound(task: Task) -> Sound | None:
    read = SoundRows(KINDS).read(task)
    return read.sound if read is not None and read.holds() else None


def _at_leisure(task: Task) -> Verdict:
    return RowChecker(KINDS)._look(*task)


def _agrees(task: Task) -> None:
    sound = _sound(task)
    if sound is not None:
        verdict = _at_leisure(task)
        assert verdict == Verdict(sound.leaf_hash, None, None, (), None, *sound[1:])


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("name", STATEMENTS)
def test_usual_rows_are_sound(name: str, key: str) -> None:
    """Records as the product writes them are found sound without the longer way."""
    task = _row(STATEMENTS[name].to_payload(), KEYS[key])
    assert _sound(task) is not None
    _agrees(task)


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**60), 2**60),
    st.floats(),
    st.text(max_size=5),
    st.sampled_from(
        [
            {},
            [],
            "2026-02-30T00:00:00Z",
            "2026-01-31T23:59:60Z",
            "0000-01-01T00:00:00Z",
            "2026-03-01T09:00:00+00:00",
            "https://slsa.dev/verification_summary/v1",
            predicate_type("key"),
            predicate_type("approval"),
            "0" * 32,
            [{"relation": "genesis", "sha256": "00" * 32}],
            {"size": 3},
        ]
    ),
)


@st.composite
def changed(draw: st.DrawFn) -> bytes:
    """The payload of a statement with fields anywhere changed, added or taken away."""
    value = json.loads(STATEMENTS[draw(st.sampled_from(sorted(STATEMENTS)))].to_payload())
    for _ in range(draw(st.integers(0, 3))):
        node: Any = value
        while True:
            names = list(node) if isinstance(node, dict) else list(range(len(node)))
            name = draw(st.sampled_from(names)) if names else None
            inner = None if name is None else node[name]
            if not isinstance(inner, dict | list) or not inner or draw(st.integers(0, 3)) == 0:
                break
            node = inner
        if name is not None and draw(st.booleans()):
            if draw(st.booleans()):
                node[name] = copy.deepcopy(draw(VALUES))
            else:
                del node[name]
        elif isinstance(node, dict):
            extra = ["validUntil", "supersedes", "salt", "annotations", "x"]
            node[draw(st.sampled_from(extra))] = copy.deepcopy(draw(VALUES))
    if not isinstance(value, dict) or draw(st.integers(0, 9)) == 0:
        return json.dumps(value).encode()
    try:
        return strictjson.canonical(value)
    except MunimentError:
        return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


@given(payload=changed(), key=st.sampled_from(sorted(KEYS)))
def test_whatever_is_signed(payload: bytes, key: str) -> None:
    """No statement that is out of form, however rightly signed, is called sound."""
    _agrees(_row(payload, KEYS[key]))


ROWS = [
    _row(statement.to_payload(), key) for statement in STATEMENTS.values() for key in KEYS.values()
]


@given(data=st.data())
def test_whatever_is_stored(data: st.DataObject) -> None:
    """No row whose bytes or columns were changed is called sound."""
    row, subjects = data.draw(st.sampled_from(ROWS))
    column = data.draw(st.integers(1, len(row)))
    if column == len(row):
        subjects = [(0, "cd" * 32, "x"), *subjects[data.draw(st.integers(0, 1)) :]]
    elif isinstance(row[column], bytes):
        at, bit = data.draw(st.integers(0, len(row[column]) - 1)), data.draw(st.integers(0, 7))
        changed = bytearray(row[column])
        changed[at] ^= 1 << bit
        row = (*row[:column], bytes(changed), *row[column + 1 :])
    else:
        other = data.draw(st.one_of(VALUES, st.sampled_from([item[0][column] for item in ROWS])))
        row = (*row[:column], other, *row[column + 1 :])
    task = row, subjects
    assert _sound(task) is None or task in ROWS
