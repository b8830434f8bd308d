"""JSON read strictly (RFC 8259 within the limits of RFC 7493, I-JSON) and written canonically.

One payload must have one meaning: duplicate keys, NaN, numbers that overflow, lone surrogates and
deep nesting are refused instead of being read one way here and another way elsewhere.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from typing import Any, NoReturn

from muniment.schemas.errors import InputError

MAX_DEPTH = 64
"""Deepest nesting of objects and arrays that is read."""
MAX_INTEGER = 2**53 - 1
"""Largest whole number that every JSON reader keeps exact (RFC 7493 §2.2)."""


_ODD = re.compile(rb"null|\.0(?!\d)|\de")


def loads(data: bytes, *, what: str = "document") -> Any:
    """Read one JSON document.

    Args:
        data: UTF-8 bytes without a byte-order mark.
        what: what the bytes are, for the message.

    Raises:
        InputError: ``json.malformed``, ``json.duplicate-key``, ``json.number``, ``json.surrogate``
            or ``json.too-deep``.
    """
    fast = read_canonical(data, what)
    if fast is not None:
        return fast
    try:
        text = data.decode("utf-8", "strict")
    except UnicodeDecodeError as error:
        raise InputError("json.malformed", f"{what} is not UTF-8: {error}") from error
    try:
        value = json.loads(
            text,
            object_pairs_hook=_object,
            parse_constant=_constant,
            parse_float=_float,
            parse_int=_integer,
        )
    except InputError:
        raise
    except RecursionError as error:
        raise _too_deep(what) from error
    except ValueError as error:
        raise InputError("json.malformed", f"{what} is not JSON: {error}") from error
    _check_depth(value, what)
    if "\\u" in text:
        _check_surrogates(value)
    return value


def read_canonical(data: bytes, what: str = "document") -> Any | None:
    """Read a document that is in sorted form already; None where that is not plain to see.

    A document that writes back to its own bytes has no duplicate key, no NaN and no white space;
    the writer refuses integers too large to be exact; what is left to rule out is deep nesting.

    Raises:
        InputError: ``json.too-deep``.
    """
    import orjson

    try:
        value = orjson.loads(data)
        same = orjson.dumps(value, option=orjson.OPT_SORT_KEYS | orjson.OPT_STRICT_INTEGER) == data
    except (ValueError, orjson.JSONEncodeError):
        return None
    if not same:
        return None
    if data.count(b"[") + data.count(b"{") > MAX_DEPTH:
        _check_depth(value, what)
    return value


def canonical(value: Any) -> bytes:
    """Write ``value`` as canonical JSON (RFC 8785).

    Raises:
        InputError: ``json.number`` or ``json.malformed`` where it has no canonical form.
    """
    import orjson
    import rfc8785

    options = (
        orjson.OPT_SORT_KEYS
        | orjson.OPT_STRICT_INTEGER
        | orjson.OPT_PASSTHROUGH_DATACLASS
        | orjson.OPT_PASSTHROUGH_DATETIME
        | orjson.OPT_PASSTHROUGH_SUBCLASS
    )
    try:
        fast = orjson.dumps(value, option=options)
        if _is_canonical(fast):
            return fast
    except (TypeError, ValueError):
        pass
    try:
        return rfc8785.dumps(value)
    except (rfc8785.FloatDomainError, rfc8785.IntegerDomainError) as error:
        raise InputError(
            "json.number",
            f"a number has no exact JSON form: {error}",
            hint="NaN and Infinity are not values; leave the field out and say why in a check",
        ) from error
    except (rfc8785.CanonicalizationError, UnicodeError, RecursionError) as error:
        raise InputError("json.malformed", f"the value has no JSON form: {error}") from error


def digest(value: Any) -> str:
    """SHA-256 of a value's canonical JSON, in hexadecimal.

    Raises:
        InputError: as ``canonical``.
    """
    return hashlib.sha256(canonical(value)).hexdigest()


def _is_canonical(written: bytes) -> bool:
    """Whether what the fast writer wrote is surely canonical.

    The two differ in the order of keys beyond ASCII, in how whole and very small or large fractions
    are written, and in that NaN becomes null.
    """
    if not written.isascii() or b"\\" in written:
        return False
    outside_texts = b"".join(written.split(b'"')[::2])
    return not _ODD.search(outside_texts)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise InputError("json.duplicate-key", f"the key {twice!r} stands twice in one object")
    return result


def _constant(token: str) -> NoReturn:
    raise InputError("json.number", f"{token} is not a JSON number")


def _float(token: str) -> float:
    value = float(token)
    if math.isinf(value):
        raise InputError("json.number", f"{token} is too large for a JSON number")
    return value


def _integer(token: str) -> int:
    # NOTE: length first; int() of a million digits is quadratic.
    if len(token) > 17 or abs(value := int(token)) > MAX_INTEGER:
        raise InputError("json.number", f"{token[:40]} is too large to be kept exact")
    return value


def _check_depth(value: Any, what: str) -> None:
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [
            part
            for item in level
            if isinstance(item, dict | list)
            for part in (item.values() if isinstance(item, dict) else item)
            if isinstance(part, dict | list)
        ]
        if not level:
            return
    raise _too_deep(what)


def _too_deep(what: str) -> InputError:
    return InputError("json.too-deep", f"{what} nests deeper than {MAX_DEPTH} levels")


def _check_surrogates(value: Any) -> None:
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise InputError("json.surrogate", "a text holds half of a character") from error
    elif isinstance(value, dict):
        for key, item in value.items():
            _check_surrogates(key)
            _check_surrogates(item)
    elif isinstance(value, list):
        for item in value:
            _check_surrogates(item)
