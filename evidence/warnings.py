"""What is no fault of a record, but had better be known to whoever attached it. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from muniment.schemas.record import Record
from muniment.schemas.statement import Subject
from muniment.schemas.times import format_time


def warnings_of(record: Record, subjects: Sequence[Subject]) -> list[str]:
    """Warnings about a new record and its files, one sentence each."""
    return [*_of_files(subjects), *_lapsed(record)]


def _of_files(subjects: Sequence[Subject]) -> list[str]:
    words = {
        "modified": "differs from what is committed",
        "untracked": "is not under version control",
        "ignored": "is ignored by git",
        "outside": "is outside any repository",
    }
    found = []
    for subject in subjects:
        link = subject.git or {}
        if link.get("state") in words:
            found.append(f"{subject.name} {words[link['state']]}: recorded by digest alone")
        elif link.get("pushed") is False:
            found.append(f"{subject.name}: commit {link['commit'][:12]} is not pushed yet")
    return found


def _lapsed(record: Record) -> list[str]:
    until = record.statement.valid_until
    if until is None or until > record.recorded_at:
        return []
    return [f"it was valid until {format_time(until)}, which is past: it counts as stale"]
