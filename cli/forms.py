"""The forms of one answer: what ``--format`` and ``-o`` write, the same for every command."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from .answer import Answer, as_document

Output = Annotated[
    Path | None,
    typer.Option(
        "--output", "-o", metavar="FILE", help="Write that form here; stdout stays as it is."
    ),
]
_JSON = "json"


def require_form(form: StrEnum, screen: StrEnum, output: Path | None, *, as_json: bool) -> None:
    """Refuse, before any work is done, a form that has no place to go.

    Args:
        screen: the form that a person is shown on a terminal.

    Raises:
        InputError: ``usage.format``, ``file.dash``, ``file.missing`` or ``file.special``.
    """
    from muniment.reports.files import require_target
    from muniment.schemas.errors import InputError

    if as_json and output is None and form not in (screen, _JSON):
        raise InputError(
            "usage.format",
            f"--json and --format {form} both want stdout",
            hint="leave one out, or write the second to a file with -o",
        )
    if output is not None:
        require_target(output)


def in_form(
    answer: Answer,
    form: StrEnum,
    screen: StrEnum,
    output: Path | None,
    render: Callable[[str, str], bytes],
) -> Answer:
    """The answer in the form that was asked for: on stdout, or as it is once a file is written.

    Args:
        screen: the form that a person is shown on a terminal.
        render: makes the form of what a person is shown, and of what ``--json`` prints.

    Raises:
        ReportError: ``report.unwritable``.
    """
    from muniment.reports.files import write_atomically

    from . import show

    if output is None and form in (screen, _JSON):
        # NOTE: ``command`` prints both: it takes ``--format json`` for ``--json``.
        return answer
    written = render(_captured(answer), as_document(answer.document) + "\n")
    if output is None:
        return replace(answer, text=lambda: _print(written))
    write_atomically(output, written)
    show.note(f"wrote {output}")
    return answer


def _captured(answer: Answer) -> str:
    """What the answer prints for a person, without colour."""
    from contextlib import redirect_stdout
    from io import StringIO

    with redirect_stdout(StringIO()) as said:
        answer.text()
    return said.getvalue()


def _print(written: bytes) -> None:
    from muniment.schemas.text import disarm

    print(disarm(written.decode().replace("\r\n", "\n")), end="")
