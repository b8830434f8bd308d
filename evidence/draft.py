"""The draft of a record: what is to be attached, and the body that comes of it.

A body has three layers: what a tool's own file says, then the fields the user gives, then single
settings. What the file says may be added to, never changed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from muniment.schemas.errors import InputError, SchemaError, StoreError
from muniment.schemas.kinds import Kind
from muniment.schemas.paths import set_path
from muniment.schemas.statement import Subject, SystemRef

from .artifacts import HashedFile, hash_file, read_again
from .derivation import differences


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is to be attached."""

    kind: str
    system: SystemRef | None = None
    files: Sequence[Path] = ()
    controls: Sequence[str] = ()
    """Full control ids."""
    body: Mapping[str, Any] = field(default_factory=dict)
    settings: Sequence[tuple[str, Any]] = ()
    """Paths into the body with values; they win over ``body``."""
    digests: Sequence[tuple[str, Path]] = ()
    """Paths into the body that get the SHA-256 of a file."""
    collected_at: datetime | None = None
    valid_until: datetime | None = None
    supersedes: str | None = None
    supersedes_because: str | None = None
    """A record by number or digest prefix."""
    link_only: bool = False
    """Do not copy the files into the artifact store."""
    subjects: Sequence[Subject] = ()
    """What it speaks of beside the files."""
    read: Mapping[Path, str] = field(default_factory=dict)
    """SHA-256 of files that were read before: they are not looked into again."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A body that fits its kind, and where it came from."""

    body: Mapping[str, Any]
    source: Mapping[str, Any] | None = None
    """The predicate's ``source``, if a tool's file filled the body."""
    collected_at: datetime | None = None
    """When the facts held, if the tool's file says so."""
    read: Mapping[Path, str] = field(default_factory=dict)
    """SHA-256 of each file that was looked into."""
    notes: tuple[str, ...] = ()
    """What was and was not taken from the files."""

    def check_taken(self, taken: HashedFile, path: Path) -> None:
        """Refuse a file that is not the one the body was read from.

        Raises:
            StoreError: ``file.changed``.
        """
        if self.read.get(path, taken.sha256) != taken.sha256:
            raise StoreError(
                "file.changed",
                f"{path} changed while it was read",
                expected=self.read[path],
                found=taken.sha256,
                hint="attach it when nothing writes to it any more",
            )


def draft(evidence: Evidence, kind: Kind) -> Draft:
    """The body of ``evidence``, held against its kind; nothing is written yet.

    Raises:
        InputError: ``attach.two-sources``, ``attach.contradicts-source`` or a file cannot be read.
        SchemaError: ``body.malformed``, with every fault.
    """
    found = _read_files(evidence)
    body = _copied(found.body)
    _merge(body, evidence.body)
    for path, value in evidence.settings:
        set_path(body, path, value)
    for path, file in evidence.digests:
        set_path(body, path, hash_file(file).sha256)
    _refuse_contradiction(found.body, body)
    problems = kind.problems(body)
    if problems:
        notes = [*found.notes, f"muniment kind show {kind.name} --template prints every field"]
        raise SchemaError(
            "body.malformed",
            f"this is no {kind.name}: {len(problems)} "
            + ("fault" if len(problems) == 1 else "faults"),
            problems,
            hint="; ".join(notes),
        )
    read = {**found.read, **evidence.read}
    return Draft(body, found.source, found.collected_at, read, found.notes)


def _read_files(evidence: Evidence) -> Draft:
    """What the tools' files say, before anything is added."""
    from .collectors import MAX_BYTES, collect

    drafted = Draft({})
    read: dict[Path, str] = {}
    notes: list[str] = []
    for path in evidence.files:
        if path in evidence.read:
            continue
        file = _small(path, MAX_BYTES)
        if file is None:
            notes.append(f"{path.name} is too large to look into: its digest is recorded")
            continue
        read[path] = file.sha256
        found = collect(b"".join(read_again(file)), path.name)
        if found is None:
            notes.append(f"no known tool's format in {path.name}: the fields are yours to give")
        elif found.kind != evidence.kind:
            notes.append(
                f"{path.name} reads as {found.kind} ({found.source['format']}); "
                f"nothing was taken from it for this {evidence.kind}"
            )
        elif drafted.source is None:
            drafted = Draft(_copied(found.body), found.source, found.collected_at)
            notes.append(f"read {path.name} as {found.source['format']}")
        else:
            raise InputError(
                "attach.two-sources",
                f"{path.name} would fill the same record as the file before it",
                hint="attach each tool's file as a record of its own",
            )
    return Draft(drafted.body, drafted.source, drafted.collected_at, read, tuple(notes))


def _small(path: Path, limit: int) -> HashedFile | None:
    """The file, hashed, unless it is larger than ``limit`` bytes."""
    try:
        if path.is_file() and path.stat().st_size > limit:
            return None
    except OSError:
        # NOTE: hashing words what is wrong with the file.
        pass
    return hash_file(path)


def _copied(value: Any) -> Any:
    """A deep copy made of plain dicts and lists."""
    if isinstance(value, Mapping):
        return {key: _copied(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_copied(item) for item in value]
    return value


def _merge(body: dict[str, Any], more: Mapping[str, Any]) -> None:
    """Lay ``more`` over ``body``, group by group; lists and values are replaced."""
    for key, value in more.items():
        if isinstance(value, Mapping) and isinstance(body.get(key), dict):
            _merge(body[key], value)
        else:
            body[key] = _copied(value)


def _refuse_contradiction(tool: Mapping[str, Any], body: Mapping[str, Any]) -> None:
    """Hold ``body`` against what the tool's file says.

    Raises:
        InputError: ``attach.contradicts-source``.
    """
    first = next(differences(tool, body), None)
    if first is None:
        return
    raise InputError(
        "attach.contradicts-source",
        f"{first.path}: the file says {first.expected}, the record would say {first.found}",
        expected=first.expected,
        found=first.found,
        hint="a record must agree with the file it was read from; what the file does not say "
        "belongs in a record of its own",
    )
