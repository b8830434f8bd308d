"""The derivation check: a record must say what the collector takes from its file when it is run
again.

Records whose statement names a ``source`` are held against the stored file of that digest; of one
that gives figures beside a file and names none, it is said that nothing was. What the
file does not say is the signer's to add; what it says stands in the record as it is. A file is read
once however many records name it, one file at a time, and never beyond what collectors read.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from muniment.schemas.derivation import Derivation, Derived
from muniment.schemas.errors import InputError, StoreError
from muniment.schemas.finding import Check, Finding
from muniment.schemas.record import Record
from muniment.schemas.text import counted, shorten, visible

from .trust import ERASURE_KIND

if TYPE_CHECKING:
    from .artifacts import ArtifactStore
    from .collectors import Collected

_MEASURED = ("metrics", "checks")
"""Lists whose entries a tool's file settles: none is added by hand."""
_ABSENT = object()
_LISTED = 20
"""Differences of one record that are listed; the rest are counted."""
_SAID = 3
"""Differences named in one sentence."""
_LONGEST = 80
"""Characters of a value that are shown."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One place at which a record does not say what the file says."""

    path: str
    expected: str
    """What the file says, as JSON."""
    found: str
    """What the record says."""

    def __str__(self) -> str:
        return f"{self.path}: the file says {self.expected}, the record {self.found}"


def differences(tool: Any, body: Any, path: str = "") -> Iterator[Difference]:
    """Every place at which ``body`` does not say what the tool's file says; it may say more.

    Figures are compared exactly, as JSON has them: 1.0 is 1, and true is not. Canonical JSON gives
    every float back as it was, so one side may have been written and read and the other not.
    """
    if isinstance(tool, Mapping) and isinstance(body, Mapping):
        for key, value in tool.items():
            yield from differences(value, body.get(key, _ABSENT), f"{path}.{key}" if path else key)
    elif isinstance(tool, list | tuple) and isinstance(body, list):
        for place, value in enumerate(tool):
            inner = body[place] if place < len(body) else _ABSENT
            yield from differences(value, inner, f"{path}[{place}]")
        if path in _MEASURED and len(body) > len(tool):
            yield Difference(path, f"{len(tool)} entries", f"{len(body)} entries")
    elif tool != body or isinstance(tool, bool) != isinstance(body, bool):
        yield Difference(path, _shown(tool), _shown(body))


def derive(
    records: Iterable[Record], store: ArtifactStore, done: dict[str, Derivation] | None = None
) -> list[Derivation]:
    """Hold every record that was read from a tool's file against it, and name those that have
    figures beside a file and were not.

    Args:
        records: verified; the erasures among them explain files that are gone.
        done: what was held before, by record digest; it is added to.

    Returns:
        One for each record that ``is_derived``, in ledger order.
    """
    known = {} if done is None else done
    given = sorted(records, key=lambda record: record.index)
    erased = {
        sha256: record for record in orders(given) for sha256 in record.statement.body["artifacts"]
    }
    asked = [record for record in given if is_derived(record)]
    files: dict[str, list[Record]] = {}
    for record in asked:
        if record.statement.source is None:
            known[record.sha256] = _by_hand(record)
        elif record.sha256 not in known:
            files.setdefault(_source(record)["sha256"], []).append(record)
    for sha256, named in files.items():
        known.update((item.record.sha256, item) for item in _of_file(sha256, named, store, erased))
    return [known[record.sha256] for record in asked]


def orders(records: Iterable[Record]) -> list[Record]:
    """The erasures among records."""
    return [record for record in records if record.kind == ERASURE_KIND]


def verify_derivations(
    records: Sequence[Record],
    store: ArtifactStore,
    withdrawn: Mapping[int, str] | None = None,
    *,
    what: str = "record",
) -> Check:
    """The check of its own that ``muniment verify`` makes.

    A record that was withdrawn since is noted and fails nothing.

    Args:
        withdrawn: by place, what became of the records that do not count any more, such as
            ``superseded by #9``.
        what: the records that were looked at are called.
    """
    check = Check("derivation", "every record says what the tool's file says that it was read from")
    for item in derive(records, store):
        became = (withdrawn or {}).get(item.record.index)
        if item.code is Derived.NOT_CHECKED:
            check.not_checked.append(item.text)
            continue
        check.checked += 1
        if item.is_fault and became is not None:
            text = f"{item.text}; it was {became}"
            check.notes.append(Finding(str(item.code), text, item.record.index))
        else:
            check.findings.extend(item.findings)
    erased = sum(len(record.statement.body["records"]) for record in orders(records))
    if erased:
        check.not_checked.append(f"{counted(erased, 'erased record')}: what was said is gone")
    if not check.checked and not check.not_checked:
        check.not_checked.append(f"no {what} was read from a tool's file")
    return check


class _StoppedError(Exception):
    """Why a file cannot be held against anything; the text says it of "the file"."""

    def __init__(self, code: Derived, why: str) -> None:
        super().__init__(why)
        self.code = code


class _UnknownError(_StoppedError):
    """The file is of no format that is known here."""


def _of_file(
    sha256: str,
    records: Sequence[Record],
    store: ArtifactStore,
    erased: Mapping[str, Record],
) -> Iterator[Derivation]:
    """Hold the records that name one file against what is taken from it now."""
    ready: list[Record] = []
    for record in records:
        stop = _unready(record, sha256)
        if stop is None:
            ready.append(record)
        else:
            yield _stopped(record, stop)
    if not ready:
        return
    try:
        found = _collect_again(sha256, store, erased)
    except _StoppedError as stop:
        yield from (_stopped(record, _unread(record, stop)) for record in ready)
        return
    for record in ready:
        yield _compared(record, found)


def _unready(record: Record, sha256: str) -> _StoppedError | None:
    """Why there is nothing to hold a record against; None if its file should be in the store."""
    subject = next(
        (item for item in record.statement.subjects if item.is_file and item.sha256 == sha256), None
    )
    if subject is None:
        return _StoppedError(
            Derived.REFUSED, "none of its subjects is the file that its source names"
        )
    if not subject.stored:
        why = "the file was linked only, its bytes are not in the store"
        return _StoppedError(Derived.NOT_CHECKED, why)
    return None


def _unread(record: Record, stop: _StoppedError) -> _StoppedError:
    """The same, or that nothing is known where the record names a format of other collectors."""
    from .collectors import FORMATS

    form = _source(record)["format"]
    if isinstance(stop, _UnknownError) and form not in FORMATS:
        return _StoppedError(Derived.NOT_CHECKED, f"no collector here reads {_clean(form)}")
    return stop


def _collect_again(sha256: str, store: ArtifactStore, erased: Mapping[str, Record]) -> Collected:
    """What the collector takes from a stored file.

    Raises:
        _StoppedError: nothing can be said, or nothing can be taken from it.
    """
    from .collectors import collect

    data = _read(sha256, store, erased)
    try:
        found = collect(data, "the file")
    except InputError as error:
        raise _StoppedError(Derived.REFUSED, error.message) from error
    except (MemoryError, RecursionError) as error:
        raise _StoppedError(
            Derived.NOT_CHECKED, "reading the file takes more memory or depth than there is here"
        ) from error
    except Exception as error:
        # NOTE: whoever signs chooses the file; a form that no collector foresaw is a "no".
        name = type(error).__name__
        raise _StoppedError(Derived.REFUSED, f"the collector breaks on the file: {name}") from error
    if found is None:
        raise _UnknownError(Derived.REFUSED, "the file is of no known tool's format")
    return found


def _read(sha256: str, store: ArtifactStore, erased: Mapping[str, Record]) -> bytes:
    """The stored bytes; no more of them than collectors read."""
    from .collectors import MAX_BYTES

    try:
        with store.open(sha256) as source:
            if os.fstat(source.fileno()).st_size > MAX_BYTES:
                raise _StoppedError(
                    Derived.REFUSED, "the file is larger than any that collectors read"
                )
            data = source.read(MAX_BYTES)
    except StoreError as error:
        by = erased.get(sha256) if error.code == "artifact.missing" else None
        if by is not None:
            raise _StoppedError(Derived.NOT_CHECKED, f"the file was erased by {by}") from error
        why = error.message
        if error.code == "artifact.missing":
            why = "the file is missing from the store, and no record erased it"
        raise _StoppedError(Derived.LOST, why) from error
    except OSError as error:
        raise _StoppedError(Derived.LOST, "the file cannot be read") from error
    if hashlib.sha256(data).hexdigest() != sha256:
        raise _StoppedError(Derived.LOST, "the stored bytes are not those the digest names")
    return data


def _compared(record: Record, found: Collected) -> Derivation:
    """Hold one record against what was taken from its file."""
    said = [*_of_source(record, found)] or [*differences(found.body, record.statement.body)]
    name = _file_name(record)
    if not said:
        text = f"{record} says what {name} says"
        return Derivation(record.ref, Derived.HELD, text)
    listed = "; ".join(map(str, said[:_SAID]))
    more = len(said) - _SAID
    text = f"{record} differs from {name}, which it was read from: {listed}" + (
        f"; and {more} more" if more > 0 else ""
    )
    text += _read_by(record)
    findings = [
        Finding(
            str(Derived.DIFFERS),
            f"{record} is not what {name} says: {item}{_read_by(record)}",
            record.index,
            item.expected,
            item.found,
        )
        for item in said[:_LISTED]
    ]
    if len(said) > _LISTED:
        rest = f"{record} differs from {name} in {len(said) - _LISTED} more places"
        findings.append(Finding(str(Derived.DIFFERS), rest, record.index))
    return Derivation(record.ref, Derived.DIFFERS, text, tuple(findings))


def _of_source(record: Record, found: Collected) -> Iterator[Difference]:
    """Where a record names another kind, tool or format than the file has."""
    if record.kind != found.kind:
        yield Difference("kind", _shown(found.kind), _shown(record.kind))
    for key in ("tool", "version", "format"):
        one, other = (item.get(key, _ABSENT) for item in (found.source, _source(record)))
        if one != other:
            yield Difference(f"source.{key}", _shown(one), _shown(other))


def _stopped(record: Record, stop: _StoppedError) -> Derivation:
    name = _file_name(record)
    if stop.code is Derived.NOT_CHECKED:
        text = f"{record} was not held against {name}: {stop}"
        return Derivation(record.ref, stop.code, text)
    text = f"{record} cannot have been read from {name}: {stop}{_read_by(record)}"
    if stop.code is Derived.LOST:
        text = f"{record} cannot be held against {name}, which it was read from: {stop}"
    finding = Finding(str(stop.code), text, record.index)
    return Derivation(record.ref, stop.code, text, (finding,))


def _read_by(record: Record) -> str:
    """Which collectors are said to have read the record, where these are others.

    NOTE: said, and no excuse: the signer chooses what stands there.
    """
    from .collectors import VERSION

    version = _source(record).get("collector", 1)
    if version == VERSION:
        return ""
    return f" (it says that collectors of version {version} read it; these are {VERSION})"


def is_derived(record: Record) -> bool:
    """Whether there is something to say: it was read from a tool's file, or has figures and a
    file, and nothing ties the one to the other."""
    statement = record.statement
    has_file = any(item.is_file for item in statement.subjects)
    return statement.source is not None or (has_file and any(map(statement.body.get, _MEASURED)))


def _by_hand(record: Record) -> Derivation:
    names = [_clean(item.name) for item in record.statement.subjects if item.is_file]
    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    text = f"{record} gives figures by hand, beside {names[0]}{more}, which no collector read"
    return Derivation(record.ref, Derived.NOT_CHECKED, text)


def _source(record: Record) -> Mapping[str, Any]:
    assert record.statement.source is not None
    return record.statement.source


def _file_name(record: Record) -> str:
    """The file's name as the record has it."""
    sha256 = _source(record)["sha256"]
    names = [item.name for item in record.statement.subjects if item.sha256 == sha256]
    return _clean(names[0]) if names else "its file"


def _shown(value: Any) -> str:
    return (
        "nothing"
        if value is _ABSENT
        else _clean(json.dumps(value, ensure_ascii=False, default=str))
    )


def _clean(text: str) -> str:
    return shorten(visible(text), _LONGEST)
