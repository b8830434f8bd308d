"""The gate's answer as GitHub-flavoured Markdown: the verdict, what blocks, the rest folded."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from muniment.reports.inert import escape, said
from muniment.reports.markup import cell, cut, details, table
from muniment.schemas.text import first_up
from muniment.schemas.times import format_time

from .form import headline, recorded, summary, why

if TYPE_CHECKING:
    from muniment.controls.coverage import ControlResult
    from muniment.reports.workspace import Gated

_MOST = 190_000
"""Bytes of one table, of which there are five; GitHub refuses a summary over 1 MiB."""


def to_markdown(gated: Gated) -> str:
    """The document; every text of a record is in it as text alone."""
    decision = gated.decision
    coverage = decision.coverage
    model = f"model <code>{coverage.artifact}</code>" if coverage.artifact else "model not named"
    left_out = [reason.full() for reason in coverage.left_out]
    parts = [
        f"## {escape(first_up(headline(decision)))}",
        f"{model}, as of {escape(format_time(coverage.as_of))}; {escape(recorded(gated))}.",
        *(f"**{escape(said(reason.text))}**" for reason in decision.reasons),
        f"{escape(summary(decision))}.",
        _blocking(decision.blocking),
        _folded("waived or ruled out by a signed record", decision.excepted),
        _folded("met", decision.met),
        _folded("evaluated, but not asked for by this profile", decision.outside),
        details(
            f"{len(left_out)} remarks on records that count for nothing",
            _table(["remark"], [[cell(text)] for text in left_out]),
        )
        if left_out
        else "",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _blocking(controls: Sequence[ControlResult]) -> str:
    return _table(
        ["control", "state", "what is wanted", "why", "what would unblock it"],
        [
            [
                *_cells(control),
                "<br>".join(
                    [
                        cell(control.unblock or ""),
                        *(f"<code>{cell(line)}</code>" for line in control.commands),
                    ]
                ),
            ]
            for control in controls
        ],
    )


def _folded(what: str, controls: Sequence[ControlResult]) -> str:
    if not controls:
        return ""
    word = "control" if len(controls) == 1 else "controls"
    table = _table(["control", "state", "what is wanted", "why"], map(_cells, controls))
    return details(f"{len(controls)} {word} {what}", table)


def _cells(control: ControlResult) -> list[str]:
    """Id, state, title and reasons."""
    short = control.id.partition(":")[2]
    return [
        f"<b>{cell(short)}</b>",
        escape(str(control.state)),
        cell(control.title),
        escape(cut(why(control))),
    ]


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    return table(columns, rows, most=_MOST, where="muniment gate lists them")
