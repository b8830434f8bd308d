"""The forms of the gate's answer, and the words that all of them use."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, assert_never

from muniment.reports.inert import said

if TYPE_CHECKING:
    from muniment.controls.coverage import ControlResult
    from muniment.controls.gate import GateDecision
    from muniment.reports.workspace import Gated


class GateForm(StrEnum):
    """How ``muniment gate`` writes its answer."""

    TEXT = "text"
    JSON = "json"
    JUNIT = "junit"
    SARIF = "sarif"
    MARKDOWN = "markdown"


def render(gated: Gated, form: GateForm, *, text: str, document: str) -> str:
    """The answer in one form, ending with a line feed.

    Args:
        text: what a person is shown on a terminal.
        document: what ``--json`` prints.
    """
    from .junit import to_junit
    from .markdown import to_markdown
    from .sarif import to_sarif

    match form:
        case GateForm.TEXT:
            return text
        case GateForm.JSON:
            return document
        case GateForm.JUNIT:
            return to_junit(gated)
        case GateForm.SARIF:
            return to_sarif(gated)
        case GateForm.MARKDOWN:
            return to_markdown(gated)
        case _:
            assert_never(form)


def headline(decision: GateDecision) -> str:
    """The verdict in one line."""
    verdict = "PASSED" if decision.passed else "NOT PASSED"
    return said(f"gate {decision.profile} for {decision.coverage.system}: {verdict}")


def why(control: ControlResult) -> str:
    """The reasons of a control's state, with the records they rest on."""
    return said("; ".join(reason.full() for reason in control.reasons))


def summary(decision: GateDecision) -> str:
    """How many controls stand how, in one sentence."""
    parts = [f"{len(decision.blocking)} of {len(decision.scope)} controls block"]
    if decision.excepted:
        parts.append(f"{_are(len(decision.excepted))} waived or ruled out by a signed record")
    return ", ".join([*parts, f"{_are(len(decision.met))} met"])


def _are(number: int) -> str:
    return f"{number} is" if number == 1 else f"{number} are"


def recorded(gated: Gated) -> str:
    """Where the decision stands, in one sentence."""
    if gated.attached is None:
        return "dry run: the decision was not recorded"
    return f"the decision is signed and recorded as {gated.attached.record}"
