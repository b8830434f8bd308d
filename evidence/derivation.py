"""The derivation check: a record must say what the collector takes from its file when it is run
again.

Records whose statement names a ``source`` are held against the stored file of that digest. What the
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
from muniment.schemas.record import Record, Role
from muniment.schemas.text import counted, shorten, visible

from .trust import ERASURE_KIND, RETRACTION_KIND

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
    """Hold every record that was read from a tool's file against it.

    Args:
        records: verified; the erasures among them explain files that are gone.
        done: what was held before, by record digest; it is added to.

    Returns:
        One for each record with a ``source``, in ledger order.
    """
    known = {} if done is None else done
    given = sorted(records, key=lambda record: record.index)
    erased = {
        sha256: record
        for record in given
        if record.kind == ERASURE_KIND
        for sha256 in record.statement.body["artifacts"]
    }
    read = [record for record in given if record.statement.source is not None]
    files: dict[str, list[Record]] = {}
    for record in read:
        if record.sha256 not in known:
            files.setdefault(_source(record)["sha256"], []).append(record)
    for sha256, named in files.items():
        known.update((item.record.sha256, item) for item in _of_file(sha256, named, store, erased))
    return [known[record.sha256] for record in read]


def verify_derivations(
    records: Sequence[Record], store: ArtifactStore, *, what: str = "record"
) -> Check:
    """The check of its own that ``muniment verify`` makes.

    A record that its author or an approver took back or replaced since is noted and fails nothing.

    Args:
        what: the records that were looked at are called.
    """
    check = Check("derivation", "every record says what the tool's file says that it was read from")
    withdrawn = _withdrawn(records)
    for item in derive(records, store):
        later = withdrawn.get(item.record.sha256)
        if item.code is Derived.NOT_CHECKED:
            check.not_checked.append(item.text)
            continue
        check.checked += 1
        if item.is_fault and later is not None:
            text = f"{item.text}; {later} withdrew it"
            check.notes.append(Finding(str(item.code), text, item.record.index))
        else:
            check.findings.extend(item.findings)
    by_hand = [record for record in records if _is_by_hand(record)]
    if by_hand:
        check.not_checked.append(
            f"figures given by hand, beside a file that no collector read: {_numbers(by_hand)}"
        )
    erased = sum(
        len(record.statement.body["records"]) for record in records if record.kind == ERASURE_KIND
    )
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


def _of_file(
    sha256: str,
    records: Sequence[Record],
    store: ArtifactStore,
    erased: Mapping[str, Record],
) -> Iterator[Derivation]:
    """Hold the records that name one file against what is taken from it now."""
    ready: list[Record] = []
    for record in records:
        why = _unready(record, sha256)
        if why is None:
            ready.append(record)
        else:
            yield _stopped(record, _StoppedError(Derived.NOT_CHECKED, why))
    if not ready:
        return
    try:
        found = _collect_again(sha256, store, erased)
    except _StoppedError as stop:
        yield from (_stopped(record, stop) for record in ready)
        return
    for record in ready:
        yield _compared(record, found)


def _unready(record: Record, sha256: str) -> str | None:
    """Why there is nothing to hold a record against; None if its file should be in the store."""
    from .collectors import FORMATS

    subject = next(
        (item for item in record.statement.subjects if item.is_file and item.sha256 == sha256), None
    )
    if subject is None:
        return "none of its subjects is the file that its source names"
    if not subject.stored:
        return "the file was linked only, its bytes are not in the store"
    form = _source(record)["format"]
    if form not in FORMATS:
        return f"no collector here reads {_clean(form)}"
    return None


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
        raise _StoppedError(Derived.REFUSED, "the file is of no known tool's format")
    return found


def _read(sha256: str, store: ArtifactStore, erased: Mapping[str, Record]) -> bytes:
    """The stored bytes; no more of them than collectors read."""
    from .collectors import MAX_BYTES

    try:
        with store.open(sha256) as source:
            if os.fstat(source.fileno()).st_size > MAX_BYTES:
                raise _StoppedError(Derived.NOT_CHECKED, "the file is too large to look into")
            data = source.read(MAX_BYTES)
    except StoreError as error:
        why = error.message
        if error.code == "artifact.missing":
            by = erased.get(sha256)
            why = f"the file was erased by {by}" if by else "the file is missing from the store"
        raise _StoppedError(Derived.NOT_CHECKED, why) from error
    except OSError as error:
        raise _StoppedError(Derived.NOT_CHECKED, "the file cannot be read") from error
    if hashlib.sha256(data).hexdigest() != sha256:
        raise _StoppedError(Derived.NOT_CHECKED, "the stored bytes are not those the digest names")
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
    findings = [
        Finding(
            str(Derived.DIFFERS),
            f"{record} is not what {name} says: {item}",
            record.index,
            item.expected,
            item.found,
        )
        for item in said[:_LISTED]
    ]
    if len(said) > _LISTED:
        rest = f"{record} differs from {name} in {len(said) - _LISTED} more places"
        findings.append(Finding(str(Derived.DIFFERS), rest, record.index))
    return _weighed(Derivation(record.ref, Derived.DIFFERS, text, tuple(findings)), record)


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
    text = f"{record} cannot have been read from {name}: {stop}"
    finding = Finding(str(stop.code), text, record.index)
    return _weighed(Derivation(record.ref, stop.code, text, (finding,)), record)


def _weighed(fault: Derivation, record: Record) -> Derivation:
    """A fault, unless the collectors that read the record were others than these."""
    from .collectors import VERSION

    version = _source(record).get("collector", 1)
    if version == VERSION:
        return fault
    text = f"collectors of version {version} read it, these are {VERSION}, which explains it or not"
    return Derivation(record.ref, Derived.NOT_CHECKED, f"{fault.text} ({text})")


def _withdrawn(records: Iterable[Record]) -> dict[str, Record]:
    """Records that their author or an approver took back or replaced, by digest."""
    about = {record.sha256: record for record in records}
    found: dict[str, Record] = {}
    for later in about.values():
        named = [later.statement.supersedes.sha256] if later.statement.supersedes else []
        if is_retraction := later.kind == RETRACTION_KIND:
            named = [item["sha256"] for item in later.statement.body["records"]]
        for target in (about[sha256] for sha256 in named if sha256 in about):
            is_own = later.signer.person == target.signer.person
            may = is_own or Role.APPROVER in later.signer.roles
            is_like = is_retraction or later.kind == target.kind
            if may and is_like and target.index < later.index and later.distrusted is None:
                found[target.sha256] = later
    return found


def _is_by_hand(record: Record) -> bool:
    """Whether it has figures and a file, and nothing ties the one to the other."""
    statement = record.statement
    has_file = any(item.is_file for item in statement.subjects)
    return statement.source is None and has_file and any(map(statement.body.get, _MEASURED))


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


def _numbers(records: Sequence[Record]) -> str:
    more = len(records) - _LISTED
    return ", ".join(map(str, records[:_LISTED])) + (f" and {more} more" if more > 0 else "")
