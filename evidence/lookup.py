"""Finding what people mean: a record by its number or the beginning of its digest, a system by its
name."""

from __future__ import annotations

import re
from collections.abc import Sequence
from difflib import get_close_matches

from muniment.schemas.errors import InputError
from muniment.schemas.statement import SystemRef

from .storage import Storage, StoredEntry

_NUMBER = re.compile(r"#[0-9]+|[0-9]{1,5}")
_DIGEST = re.compile(r"[0-9a-f]{6,64}")
_SYSTEM_OPTIONS = (
    "--name … --purpose … --phase pilot --risk-tier high --owner 'NAME <ADDRESS>' --model FILE"
)


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


def find_system(known: Sequence[SystemRef], text: str | None) -> SystemRef:
    """The system version called ``text``; without one, the only one there is.

    Args:
        known: those that are registered.

    Raises:
        InputError: ``system.unknown``, ``system.none`` or ``system.ambiguous``.
    """
    names = ", ".join(map(str, known))
    if text is not None:
        wanted = SystemRef.parse(text)
        if wanted in known:
            return wanted
        near = get_close_matches(text, map(str, known), n=1, cutoff=0.8)
        raise InputError(
            "system.unknown",
            f"{wanted} is not registered",
            expected=names or "a registered system version",
            found=text,
            hint=f"did you mean {near[0]}?"
            if near
            else f"muniment system add {wanted} {_SYSTEM_OPTIONS}",
        )
    if len(known) == 1:
        return known[0]
    if not known:
        raise InputError(
            "system.none",
            "no system is registered in this workspace",
            hint=f"muniment system add ID@VERSION {_SYSTEM_OPTIONS}",
        )
    raise InputError(
        "system.ambiguous",
        "there are several system versions: say which",
        hint="--system ID@VERSION",
        expected=names,
    )
