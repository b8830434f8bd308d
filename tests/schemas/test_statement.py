"""The statement: written and read back whole, and refused where it is not of the form."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muniment.schemas import strictjson
from muniment.schemas.errors import InputError, SchemaError
from muniment.schemas.statement import (
    GENESIS,
    MAX_PAYLOAD,
    PREDICATE_PREFIX,
    STATEMENT_TYPE,
    VSA_TYPE,
    RecordRef,
    Statement,
    Subject,
    SystemRef,
    predicate_type,
)

SYSTEM = SystemRef("credit-risk", "2.1.0")
HEX = "0123456789abcdef"
DIGEST = "a" * 64


def _statement(**more: Any) -> Statement:
    fields: dict[str, Any] = {
        "subjects": (Subject("model.onnx", {"sha256": DIGEST}),),
        "predicate_type": predicate_type("eval-result"),
        "system": SYSTEM,
        "collected_at": datetime(2026, 9, 1, 8, tzinfo=UTC),
        "body": {"evaluated": 3},
        "salt": "0" * 32,
        **more,
    }
    return Statement(**fields)


FULL = _statement(
    subjects=(
        Subject(
            "data/train.csv",
            {"sha256": DIGEST, "sha512": "b" * 128},
            uri="git+https://git.example.com/credit",
            media_type="text/csv",
            annotations={"size": 12, "stored": True, "git": {"state": "committed", "path": "x"}},
        ),
    ),
    controls=("nist-ai-rmf-1.0:MEASURE 2.3",),
    valid_until=datetime(2027, 9, 1, tzinfo=UTC),
    source={"tool": "lm-eval", "version": "1", "format": "json", "sha256": DIGEST, "notes": ["x"]},
    supersedes=RecordRef(4, "c" * 64),
    references=(
        {"relation": GENESIS, "sha256": "d" * 64},
        {"relation": "evaluates", "index": 3, "sha256": "e" * 64},
    ),
)
VSA = _statement(
    predicate_type=VSA_TYPE,
    body={"verificationResult": "PASSED", "verifiedLevels": []},
    references=({"relation": GENESIS, "sha256": "d" * 64},),
)


@pytest.mark.parametrize("statement", [_statement(), FULL, VSA, _statement(system=None)])
def test_statement_is_read_back(statement: Statement) -> None:
    """A statement that is written is read back equal, and written again as the same bytes."""
    payload = statement.to_payload()
    assert Statement.from_payload(payload) == statement
    assert Statement.from_payload(payload).to_payload() == payload


TIMES = st.datetimes(datetime(1970, 1, 1), datetime(9999, 1, 1), timezones=st.just(UTC)).map(
    lambda moment: moment.replace(microsecond=0)
)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30)
DIGESTS = st.text(HEX, min_size=64, max_size=64)
REFERENCES = st.builds(RecordRef, st.integers(0, 2**40), DIGESTS)
STATEMENTS = st.builds(
    Statement,
    subjects=st.lists(
        st.builds(
            Subject,
            TEXTS,
            st.builds(lambda digest: {"sha256": digest}, DIGESTS),
            uri=st.none() | TEXTS,
            media_type=st.none() | TEXTS,
        ),
        min_size=1,
        max_size=4,
    ).map(tuple),
    predicate_type=st.sampled_from(["link", "eval-result", "own-kind"]).map(predicate_type),
    system=st.none()
    | st.builds(
        SystemRef,
        st.from_regex(r"[a-z0-9][a-z0-9._-]{0,20}", fullmatch=True),
        st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,20}", fullmatch=True),
    ),
    collected_at=TIMES,
    body=st.dictionaries(TEXTS, st.none() | st.booleans() | TEXTS | st.lists(TEXTS), max_size=5),
    salt=st.text(HEX, min_size=32, max_size=32),
    controls=st.lists(
        st.from_regex(r"[a-z][a-z0-9.-]{0,9}:[A-Z0-9 .]{1,20}", fullmatch=True),
        unique=True,
        max_size=4,
    ).map(tuple),
    valid_until=st.none() | TIMES,
    supersedes=st.none() | REFERENCES,
    references=st.lists(
        REFERENCES.map(lambda ref: {"relation": "rests-on", **ref.to_json()}), max_size=3
    ).map(tuple),
)


@given(STATEMENTS)
def test_any_statement_is_read_back(statement: Statement) -> None:
    """Round trip: reading what was written gives the statement, whatever its fields hold."""
    assert Statement.from_payload(statement.to_payload()) == statement


@given(STATEMENTS, TIMES, st.text(HEX, min_size=32, max_size=32))
def test_fingerprint_forgets_salt_and_time(
    statement: Statement, moment: datetime, salt: str
) -> None:
    """The same evidence has one fingerprint, whenever it is signed; other evidence has another."""
    import dataclasses

    again = dataclasses.replace(statement, collected_at=moment, salt=salt)
    assert again.fingerprint() == statement.fingerprint()
    other = dataclasses.replace(statement, body={**statement.body, "more": 1})
    assert other.fingerprint() != statement.fingerprint()


def test_payload_is_canonical_json() -> None:
    """The payload is an in-toto Statement v1 in canonical JSON."""
    payload = FULL.to_payload()
    value = json.loads(payload)
    assert strictjson.canonical(value) == payload
    assert value["_type"] == STATEMENT_TYPE
    assert value["predicateType"] == f"{PREDICATE_PREFIX}eval-result/v1"
    assert value["predicate"]["collectedAt"] == "2026-09-01T08:00:00Z"


def test_gate_decision_is_a_vsa() -> None:
    """A gate decision's predicate is the VSA itself: no body of ours around it."""
    predicate = VSA.to_json()["predicate"]
    assert predicate["resourceUri"] == "muniment:credit-risk@2.1.0"
    assert predicate["timeVerified"] == "2026-09-01T08:00:00Z"
    assert predicate["verificationResult"] == "PASSED"
    assert "body" not in predicate
    assert VSA.kind == "gate-decision"


def test_kind_comes_from_the_predicate_type() -> None:
    """The kind is read from the predicate type; a stranger's type has none."""
    assert FULL.kind == "eval-result"
    assert _statement(predicate_type="https://in-toto.io/attestation/test-result/v0.1").kind is None
    assert _statement(predicate_type=f"{PREDICATE_PREFIX}Eval/v1").kind is None


def test_genesis_is_among_the_references() -> None:
    """A statement names the ledger it was made for by its genesis, or none."""
    assert FULL.genesis == "d" * 64
    assert _statement().genesis is None


Change = Callable[[dict[str, Any]], Any]

BAD: dict[str, Change] = {
    "type": lambda value: value.update(_type="https://in-toto.io/Statement/v0.1"),
    "no subject": lambda value: value.update(subject=[]),
    "no digest": lambda value: value["subject"][0].update(digest={}),
    "digest in capitals": lambda value: value["subject"][0]["digest"].update(sha256="A" * 64),
    "short digest": lambda value: value["subject"][0]["digest"].update(sha256="a" * 63),
    "unknown field": lambda value: value.update(more=1),
    "unknown predicate field": lambda value: value["predicate"].update(more=1),
    "no salt": lambda value: value["predicate"].pop("salt"),
    "short salt": lambda value: value["predicate"].update(salt="00"),
    "time with offset": lambda value: value["predicate"].update(
        collectedAt="2026-09-01T08:00:00+02:00"
    ),
    "no calendar day": lambda value: value["predicate"].update(collectedAt="2026-02-30T08:00:00Z"),
    "body no object": lambda value: value["predicate"].update(body=[]),
    "system in capitals": lambda value: value["predicate"]["system"].update(id="Credit"),
    "control without catalog": lambda value: value["predicate"].update(controls=["MEASURE 2.3"]),
    "control twice": lambda value: value["predicate"].update(controls=["a:b", "a:b"]),
    "negative place": lambda value: value["predicate"]["supersedes"].update(index=-1),
    "no predicate type": lambda value: value.pop("predicateType"),
    "no predicate": lambda value: value.pop("predicate"),
}


@pytest.mark.parametrize("name", BAD)
def test_malformed_statement_is_refused(name: str) -> None:
    """Each payload that breaks the form is refused with statement.malformed and the faults."""
    value = copy.deepcopy(FULL.to_json())
    BAD[name](value)
    with pytest.raises(SchemaError) as caught:
        Statement.from_payload(json.dumps(value).encode())
    assert caught.value.code == "statement.malformed"
    assert caught.value.problems


BAD_VSA: dict[str, Change] = {
    "no resource": lambda value: value["predicate"].pop("resourceUri"),
    "other resource": lambda value: value["predicate"].update(resourceUri="https://example.com/x"),
    "no time": lambda value: value["predicate"].pop("timeVerified"),
    "no salt": lambda value: value["predicate"].pop("muniment_salt"),
    "no references": lambda value: value["predicate"].pop("muniment_references"),
}


@pytest.mark.parametrize("name", BAD_VSA)
def test_malformed_gate_decision_is_refused(name: str) -> None:
    """A VSA that does not say what, when, and for which ledger is refused."""
    value = copy.deepcopy(VSA.to_json())
    BAD_VSA[name](value)
    with pytest.raises(SchemaError) as caught:
        Statement.from_payload(json.dumps(value).encode())
    assert caught.value.code == "statement.malformed"


@pytest.mark.parametrize("payload", [b"[]", b"1", b"null", b'"x"', b"{}"])
def test_payload_that_is_no_statement_is_refused(payload: bytes) -> None:
    """JSON that is something else altogether is refused, not a traceback."""
    with pytest.raises(SchemaError, match="not a Muniment statement"):
        Statement.from_payload(payload)


def test_statement_is_checked_before_signing() -> None:
    """What would be refused on reading is refused on writing."""
    with pytest.raises(SchemaError) as caught:
        _statement(salt="no salt").to_payload()
    assert [problem.path for problem in caught.value.problems] == ["predicate.salt"]
    with pytest.raises(InputError) as other:
        _statement(body={"evaluated": float("nan")}).to_payload()
    assert other.value.code in ("json.number", "statement.malformed")


def test_payload_is_at_most_a_mebibyte() -> None:
    """A payload over 1 MiB is refused on writing and on reading."""
    fits = MAX_PAYLOAD - len(_statement(body={"text": ""}).to_payload())
    assert len(_statement(body={"text": "x" * fits}).to_payload()) == MAX_PAYLOAD
    with pytest.raises(InputError) as caught:
        _statement(body={"text": "x" * (fits + 1)}).to_payload()
    assert caught.value.code == "statement.too-large"
    with pytest.raises(InputError) as caught:
        Statement.from_payload(b" " * (MAX_PAYLOAD + 1))
    assert caught.value.code == "statement.too-large"


@pytest.mark.parametrize("text", ["credit-risk@2.1.0", "a@1", "a.b_c@V1+x-y", "0@0"])
def test_system_reference_is_read_back(text: str) -> None:
    """A system version is written as it was read."""
    assert str(SystemRef.parse(text)) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a",
        "a@",
        "@1",
        "A@1",
        "a@1@2",
        "../a@1",
        "a/b@1",
        "a@1 ",
        "a@1\n",
        "ä@1",
        "a@" + "1" * 101,
    ],
)
def test_bad_system_reference_is_refused(text: str) -> None:
    """What names no system version is refused, path traversal and line breaks included."""
    with pytest.raises(InputError) as caught:
        SystemRef.parse(text)
    assert caught.value.code == "system.malformed"


def test_descriptor_depends_on_id_and_version_alone() -> None:
    """A record about no file has the same subject as any other about that system version."""
    assert SYSTEM.descriptor() == SystemRef("credit-risk", "2.1.0").descriptor()
    assert SYSTEM.descriptor().sha256 != SystemRef("credit-risk", "2.1.1").descriptor().sha256
    assert SYSTEM.descriptor().name == "system:credit-risk@2.1.0"


def test_subject_tells_git_and_store() -> None:
    """A subject tells its git link and whether its bytes were stored; without both, neither."""
    assert FULL.subjects[0].stored
    assert FULL.subjects[0].git == {"state": "committed", "path": "x"}
    plain = Subject("x", {"sha256": DIGEST})
    assert not plain.stored and plain.git is None
