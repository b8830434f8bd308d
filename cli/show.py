"""Text for a terminal: tables, states and progress. Untrusted text never reaches it raw."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from io import StringIO
from typing import TYPE_CHECKING

from muniment.schemas.text import disarm, visible

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

_PLAIN_WIDTH = 120
_LEAST_WIDTH = 40
STYLES = {
    "failed": "bold red",
    "missing": "red",
    "stale": "yellow",
    "unapproved": "yellow",
    "partial": "yellow",
    "met": "green",
    "waived": "cyan",
    "not-applicable": "dim",
}


def line(text: str = "", style: str = "") -> None:
    """One line on stdout."""
    from rich.text import Text

    _put(Text(visible(text, keep="\n"), style=style), soft_wrap=True)


def hanging(text: str, indent: int, label: str = "") -> None:
    """Prose on stdout, its lines broken between words alone and set in by ``indent`` columns.

    Args:
        label: stands before the first line, further in than the others.
    """
    import textwrap

    blank = " " * indent
    for part in visible(label + text, keep="\n").split("\n"):
        line(
            textwrap.fill(
                part,
                _width(),
                initial_indent=blank,
                subsequent_indent=blank + " " * len(label),
                break_long_words=False,
                break_on_hyphens=False,
            )
        )


def _width() -> int:
    return max(shutil.get_terminal_size((_PLAIN_WIDTH, 24)).columns, _LEAST_WIDTH)


def _put(what: Text | Table, *, soft_wrap: bool = False) -> None:
    """Print what rich draws; colour only on a terminal that wants it."""
    from rich.console import Console

    drawn = StringIO()
    # NOTE: printed by us, not by rich, which would end the process itself on a broken pipe.
    Console(file=drawn, force_terminal=sys.stdout.isatty(), width=_width(), highlight=False).print(
        what, soft_wrap=soft_wrap
    )
    lines = drawn.getvalue().removesuffix("\n").split("\n")
    print(disarm("\n".join(part.rstrip() for part in lines)))


def note(text: str) -> None:
    """One line of talk on stderr."""
    print(disarm(visible(text)), file=sys.stderr)


def table(
    columns: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    style: int = -1,
    states: bool = False,
) -> None:
    """A table on stdout.

    Args:
        style: number of the column whose words are states and carry their colour.
        states: a cell that is a state, or a number with one, carries its colour in any column.
    """
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    shown = Table(
        box=SIMPLE_HEAD, pad_edge=False, show_edge=False, collapse_padding=True, header_style="bold"
    )
    for number, name in enumerate(columns):
        shown.add_column(name, overflow="fold", no_wrap=number == 0)
    for row in rows:
        shown.add_row(
            *(
                Text(
                    visible(cell, keep="\n"),
                    style=STYLES.get(cell.lstrip("0123456789 "), "")
                    if states or at == style
                    else "",
                )
                for at, cell in enumerate(row)
            )
        )
    _put(shown)


def pairs(items: Iterable[tuple[str, str]]) -> None:
    """Names with their values, one a line."""
    listed = list(items)
    width = max((len(name) for name, _ in listed), default=0)
    for name, value in listed:
        line(f"{name:<{width}}  {value}")


@contextmanager
def progress(what: str) -> Iterator[Callable[[int, int], None]]:
    """A bar on stderr for work that takes over a second; silent where nobody looks."""
    if not sys.stderr.isatty():
        yield lambda done, total: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
