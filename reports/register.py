"""The evidence register: how much of each record its row prints, and in what words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from muniment.schemas.record import Record
from muniment.schemas.statement import Subject
from muniment.schemas.text import counted

from . import views
from .printable import MAX_TEXT, plain

BUDGET = 2_000_000
"""Characters of records' bodies that one packet prints, shared evenly among its records."""
LEAST = 400
"""A share below this many characters is not worth its space: rows then show headlines only."""
AT_ONCE = 500
"""Records that are laid out together; each lot begins a page."""
_TALL = 1500
"""Characters above which a row may run over a page's end."""
_PER_SUBJECT = 200
"""Characters of its share that a record spends on each file it speaks of."""
_SHORT = 90
"""Characters up to which phrases share a line."""
_HELD = {True: "holds", False: "FAILS", None: "no threshold"}


@dataclass(frozen=True, slots=True)
class Row:
    """What the register prints of one record, beside its signer and its controls."""

    body: str
    """Lines of the body; empty where the packet has too many records to print them."""
    files: tuple[tuple[str, str], ...]
    """Of each subject, what is known of it and its SHA-256."""
    loud: tuple[str, ...]
    """Subjects whose bytes are not those of a pushed, committed version, and why."""
    more_files: int
    """Subjects left to the embedded record."""
    tall: bool
    """Whether the row may run over a page's end."""


class Phrase(NamedTuple):
    """One thing that a body says."""

    label: str
    text: str
    alone: bool = False
    """Whether it has a line of its own however short it is."""


def share(records: int) -> int:
    """Most characters that one of so many records may take; nought for headlines only."""
    characters = min(MAX_TEXT, BUDGET // max(records, 1))
    return characters if characters >= LEAST else 0


def lots(records: Sequence[Record]) -> list[Sequence[Record]]:
    """The records in the lots that are laid out together; one empty lot where there are none."""
    return [records[at : at + AT_ONCE] for at in range(0, max(len(records), 1), AT_ONCE)]


def row(record: Record, limit: int, apart: bool) -> Row:
    """One row.

    Args:
        limit: most characters of the body, as :func:`share` gives it.
        apart: whether the record's metrics, checks and kinds of error stand in a chapter of their
            own.
    """
    body = "\n".join(_lines(list(_phrases(record, apart)), limit)) if limit else ""
    subjects = record.statement.subjects
    shown = subjects[: max(1, min(views.MAX_ROWS, limit // _PER_SUBJECT))]
    files, loud = [], []
    for subject in shown:
        git = views.git_line(subject)
        files.append((_file(subject, git), subject.sha256))
        if git and git.loud:
            loud.append(git.state)
    return Row(
        body,
        tuple(files),
        tuple(dict.fromkeys(loud)),
        len(subjects) - len(shown),
        len(body) > _TALL or len(files) > _TALL // _PER_SUBJECT,
    )


def _lines(phrases: Sequence[Phrase], limit: int) -> Iterator[str]:
    """Lines of text; short phrases in a row share one."""
    left, shared = limit, ""
    for number, phrase in enumerate(phrases):
        if left <= 0:
            yield from filter(None, [shared])
            yield _only_embedded(len(phrases) - number, "part")
            return
        text = plain(phrase.text, left)
        line = f"{plain(phrase.label, 300)}: {text}" if phrase.label else text
        left -= len(line)
        if not phrase.alone and len(line) <= _SHORT:
            shared = f"{shared}  ·  {line}" if shared else line
            continue
        yield from filter(None, [shared, line])
        shared = ""
    yield from filter(None, [shared])


def _phrases(record: Record, apart: bool) -> Iterator[Phrase]:
    """Everything in a record's body."""
    body = views.body_parts(record)
    yield from (Phrase(field.label, field.value) for field in body.fields)
    for grid in body.grids:
        yield Phrase(f"{grid.label} ({' | '.join(grid.columns)})", "", True)
        yield from (Phrase("", f"– {' | '.join(cells)}", True) for cells in grid.rows)
        if grid.more:
            yield Phrase("", _only_embedded(grid.more, "row"), True)
    if body.more:
        yield Phrase("", _only_embedded(body.more, "part"), True)
    if record.kind == "eval-result" and not apart:
        yield from _measurements(record)


def _measurements(record: Record) -> Iterator[Phrase]:
    """What would stand in the chapter of evaluation results, were there not too many."""
    for metric in views.metrics(record):
        yield Phrase(f"{metric.name}, {metric.slice}", _measured(metric), True)
    for check in views.checks(record):
        note = f"{views.text_of(check.get('outcome'))}; {views.check_note(check)}"
        yield Phrase(f"Check {views.text_of(check.get('name'))}", note.removesuffix("; –"))
    for error in views.error_classes(record):
        yield Phrase("Kind of error", views.text_of(error), True)


def _only_embedded(number: int, what: str) -> str:
    return f"… {counted(number, f'further {what}')} in the embedded record only"


def _measured(metric: views.Metric) -> str:
    limit = "" if metric.held is None else f" against {metric.threshold}"
    return f"{metric.value}{limit}, n {metric.n}, {_HELD[metric.held]}"


def _file(subject: Subject, git: views.GitLine | None) -> str:
    """Name, size and place of a file in one phrase."""
    size = subject.annotations.get("size")
    parts = [plain(subject.name, 300)]
    if isinstance(size, int):
        kept = "" if subject.stored else ", not kept in the artifact store"
        parts.append(f"{size:,} bytes{kept}")
    if git:
        parts.append(git.state)
        parts += [plain(git.words, 1000)] * bool(git.words)
    return "; ".join(parts)
