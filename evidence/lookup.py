"""Finding a record by what people call it: its number, or the beginning of its digest."""

from __future__ import annotations

import re

from muniment.schemas.errors import InputError

from .storage import Storage, StoredEntry

_NUMBER = re.compile(r"#[0-9]+|[0-9]{1,5}")
_DIGEST = re.compile(r"[0-9a-f]{6,64}")


def find_row(storage: Storage, text: str) -> StoredEntry:
    """The row called ``text`` as it is stored, erased or not.

    Raises:
        InputError: ``record.unknown``, ``record.ambiguous`` or ``record.malformed``.
    """
    number = text.removeprefix("#")
    with storage.read() as reader:
        if _NUMBER.fullmatch(text):
            # Ten digits and more are beyond what PostgreSQL's integer column can hold.
            row = reader.entry(int(number)) if len(number) < 10 else None
            rows = [row] if row else []
        elif _DIGEST.fullmatch(text.lower()):
            rows = reader.by_digest(text.lower())
        else:
            raise InputError(
                "record.malformed",
                f"{text!r} does not name a record",
                expected="#NUMBER or at least six digits of its digest",
                found=text,
            )
    if len(rows) != 1:
        code = "record.ambiguous" if rows else "record.unknown"
        what = "fits several records" if rows else "names no record"
        raise InputError(code, f"{text!r} {what}", hint="muniment record list")
    return rows[0]
