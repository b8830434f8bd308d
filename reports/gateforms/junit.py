"""The gate's answer as JUnit XML: a suite for each catalog, a test case for each of its controls.

The form that the Jenkins xUnit plugin's ``junit-10.xsd`` fixes, which GitLab and the usual GitHub
actions read as well. GitLab shows the text of a failure, Jenkins its message too.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from muniment.reports.inert import said
from muniment.schemas.text import disarm

from .form import headline, recorded, why

if TYPE_CHECKING:
    from muniment.controls.coverage import ControlResult
    from muniment.controls.gate import GateDecision
    from muniment.reports.workspace import Gated

_DECISION = "gate"
"""Name of the suite for what the verdict rests on beside controls."""


def to_junit(gated: Gated) -> str:
    """The XML document."""
    decision = gated.decision
    root = Element("testsuites", name=headline(decision))
    if decision.reasons:
        suite = _suite(root, _DECISION)
        for reason in decision.reasons:
            case = SubElement(suite, "testcase", classname=_DECISION, name=said(reason.code))
            _fail(case, reason.code, reason.text, [])
    for name, controls in _by_catalog(decision).items():
        suite = _suite(root, name)
        for control in controls:
            _case(suite, name, control, decision)
    _count(root)
    output = SubElement(root[0], "system-out")
    output.text = said(recorded(gated))
    indent(root)
    xml = '<?xml version="1.0" encoding="UTF-8"?>\n' + tostring(root, encoding="unicode") + "\n"
    return disarm(xml, colon="&#58;", sharp="&#35;")


def _suite(root: Element, name: str) -> Element:
    return SubElement(root, "testsuite", name=said(name))


def _case(suite: Element, catalog: str, control: ControlResult, decision: GateDecision) -> None:
    short = control.id.partition(":")[2]
    case = SubElement(
        suite, "testcase", classname=said(catalog), name=said(f"{short} {control.title}")
    )
    if control in decision.blocking:
        hints = [item for item in (control.unblock, *control.commands) if item]
        _fail(case, str(control.state), why(control), hints)
    elif control in decision.outside:
        SubElement(case, "skipped", message="the profile does not block on this control")
    elif control in decision.excepted:
        SubElement(case, "skipped", message=said(f"{control.state}: {why(control)}"))


def _fail(case: Element, kind: str, text: str, hints: list[str]) -> None:
    message = said(text) or kind
    failure = SubElement(case, "failure", type=said(kind), message=said(f"{kind}: {message}"))
    failure.text = "\n".join([message, *(said(hint) for hint in hints)])


def _by_catalog(decision: GateDecision) -> dict[str, list[ControlResult]]:
    """Every control, in scope or not, under its catalog's id."""
    found: dict[str, list[ControlResult]] = {}
    everything: Iterable[ControlResult] = (*decision.scope, *decision.outside)
    for control in everything:
        found.setdefault(control.id.partition(":")[0], []).append(control)
    return found


def _count(root: Element) -> None:
    """Write the numbers; readers take a suite without them for a broken one."""
    for element in (root, *root):
        element.set("tests", str(len(element.findall(".//testcase"))))
        element.set("failures", str(len(element.findall(".//failure"))))
        element.set("errors", "0")
    for suite in root:
        suite.set("skipped", str(len(suite.findall(".//skipped"))))
