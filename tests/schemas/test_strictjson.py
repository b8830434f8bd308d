"""Strict JSON: one payload, one meaning."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muniment.schemas import strictjson
from muniment.schemas.errors import InputError
from muniment.schemas.strictjson import MAX_DEPTH, MAX_INTEGER

BAD: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "json.malformed"),
    "blank": (b"  ", "json.malformed"),
    "cut off": (b'{"a":', "json.malformed"),
    "two documents": (b"{}{}", "json.malformed"),
    "trailing comma": (b"[1,]", "json.malformed"),
    "single quotes": (b"{'a':1}", "json.malformed"),
    "comment": (b"[1] // one", "json.malformed"),
    "control character": (b'"\x01"', "json.malformed"),
    "byte-order mark": (b"\xef\xbb\xbf{}", "json.malformed"),
    "UTF-16": ("{}".encode("utf-16"), "json.malformed"),
    "Latin-1": (b'"\xe4"', "json.malformed"),
    "overlong UTF-8": (b'"\xc0\xaf"', "json.malformed"),
    "surrogate in UTF-8": (b'"\xed\xa0\x80"', "json.malformed"),
    "duplicate key": (b'{"a":1,"a":1}', "json.duplicate-key"),
    "duplicate key by escape": (b'{"a":1,"\\u0061":2}', "json.duplicate-key"),
    "duplicate key below": (b'[{"x":{"a":1,"b":2,"a":3}}]', "json.duplicate-key"),
    "NaN": (b"[NaN]", "json.number"),
    "Infinity": (b"[Infinity]", "json.number"),
    "-Infinity": (b"[-Infinity]", "json.number"),
    "1e999": (b"[1e999]", "json.number"),
    "-1e999": (b"[-1e999]", "json.number"),
    "integer above": (str(MAX_INTEGER + 1).encode(), "json.number"),
    "integer below": (str(-MAX_INTEGER - 1).encode(), "json.number"),
    "million digits": (b"1" * 1_000_000, "json.number"),
    "too deep list": (b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1), "json.too-deep"),
    "too deep object": (b'{"a":' * (MAX_DEPTH + 1) + b"1" + b"}" * (MAX_DEPTH + 1),
                        "json.too-deep"),
    "bottomless": (b"[" * 1_000_000, "json.too-deep"),
    "half a character": (b'"\\ud800"', "json.surrogate"),
    "half a character as key": (b'{"\\udc00":1}', "json.surrogate"),
    "halves the wrong way round": (b'["\\udc00\\ud800"]', "json.surrogate"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_bad_json_is_refused(name: str) -> None:
    """Each ambiguous or malformed document is refused with its own code."""
    data, code = BAD[name]
    with pytest.raises(InputError) as caught:
        strictjson.loads(data)
    assert caught.value.code == code


def test_message_names_the_document() -> None:
    """The message says which document it was."""
    with pytest.raises(InputError, match="the receipt is not JSON"):
        strictjson.loads(b"x", what="the receipt")


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b"null", None),
        (str(MAX_INTEGER).encode(), MAX_INTEGER),
        (str(-MAX_INTEGER).encode(), -MAX_INTEGER),
        (b"1.5e3", 1500.0),
        (b"1e-999", 0.0),
        (b'"\\ud83d\\ude00"', "\U0001f600"),
        (b'{"a":[1,{"a":2}]}', {"a": [1, {"a": 2}]}),
        (b"[" * MAX_DEPTH + b"]" * MAX_DEPTH, None),
        (b'["' + b"[{" * 200 + b'\\"]"]', ["[{" * 200 + '"]']),
        (b'["\\\\", "' + b"[" * 200 + b'"]', ["\\", "[" * 200]),
    ],
)
def test_good_json_is_read(data: bytes, value: Any) -> None:
    """What is within the limits is read as any reader would; brackets in texts are no nesting."""
    found = strictjson.loads(data)
    assert found == (value if value is not None else json.loads(data))


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-MAX_INTEGER, MAX_INTEGER)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=5)
    ),
    max_leaves=20,
)


def _exact(value: Any) -> bool:
    """Whether every number can be told from its JSON form: a whole float above 2^53 - 1 cannot."""
    if isinstance(value, float):
        return not value.is_integer() or abs(value) <= MAX_INTEGER
    if isinstance(value, dict):
        return all(map(_exact, value.values()))
    return not isinstance(value, list) or all(map(_exact, value))


@given(JSON.filter(_exact))
def test_canonical_is_read_back(value: Any) -> None:
    """What is written canonically is read as the same value, and written as the same bytes."""
    data = strictjson.canonical(value)
    assert strictjson.loads(data) == value
    assert strictjson.canonical(strictjson.loads(data)) == data


@given(JSON.filter(_exact))
def test_canonical_forgets_the_form(value: Any) -> None:
    """Order of keys and blanks do not change the canonical bytes."""
    data = json.dumps(value, indent=3, ensure_ascii=False, sort_keys=True).encode()
    assert strictjson.canonical(strictjson.loads(data)) == strictjson.canonical(value)


@given(st.binary(max_size=60))
def test_any_bytes_give_a_value_or_our_error(data: bytes) -> None:
    """No bytes bring out a foreign exception."""
    try:
        strictjson.loads(data)
    except InputError as error:
        assert error.code.startswith("json.")


def _nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (math.nan, "json.number"),
        ([math.inf], "json.number"),
        ({"a": 2**53}, "json.number"),
        ("\ud800", "json.malformed"),
        ({"\udc00": 1}, "json.malformed"),
        ({1: 2}, "json.malformed"),
        (object(), "json.malformed"),
        ({"a": b"bytes"}, "json.malformed"),
        (_nested(100_000), "json.malformed"),
    ],
    ids=["nan", "inf", "2^53", "surrogate", "key", "number key", "object", "bytes", "deep"],
)
def test_what_has_no_canonical_form_is_refused(value: Any, code: str) -> None:
    """A value JSON cannot hold is refused on writing as well."""
    with pytest.raises(InputError) as caught:
        strictjson.canonical(value)
    assert caught.value.code == code


def test_canonical_sorts_by_utf16() -> None:
    """Keys are sorted by UTF-16 code units, as RFC 8785 §3.2.3 has it."""
    data = strictjson.canonical({"\U0001f600": 1, "\ufb33": 2, "a": 1.0})
    assert data == '{"a":1,"\U0001f600":1,"\ufb33":2}'.encode()
