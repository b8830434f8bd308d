"""JUnit XML test reports, as pytest writes them (xunit1 and xunit2, tried with pytest 9.2.0)."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from .document import Document
from .interface import Collected
from .values import check, given, metric, moment, named, number, run_status, source, stamp, text

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

FORMAT = "junit-xml"
_COUNTED = {"tests": None, "failures": "fail", "errors": "error", "skipped": "skipped"}
_HIGHER = {"accuracy", "auc", "balanced_accuracy", "f1", "precision", "r2", "recall", "roc_auc"}
_LOWER = {"error_rate", "fnr", "fpr", "log_loss", "loss", "mae", "mse", "rmse"}
_ELEMENT = re.compile(rb"<([A-Za-z_][\w.:-]*)")
_EXCEPTION = re.compile(r"[A-Za-z_][\w.]{0,99}(?=:|$)")


def matches(document: Document) -> bool:
    """XML whose first element is a ``testsuite`` or ``testsuites``."""
    head = document.data[:4000].lstrip(b"\xef\xbb\xbf \t\r\n")
    first = _ELEMENT.search(head) if head.startswith(b"<") else None
    return first is not None and first[1] in (b"testsuite", b"testsuites")


def collect(document: Document) -> Collected:
    """Draft an ``eval-result``: one check per test case, metrics from its properties.

    A case counts as evaluated if it passed or failed; one that was skipped or broke did not decide.
    """
    root = _parse(document)
    tool = _tool(root)
    suites = [suite for suite in root.iter("testsuite") if suite.find("testcase") is not None]
    cases = [case for suite in suites for case in suite.findall("testcase")]
    checks = [_check(case) for case in cases]
    outcomes = Counter(entry["outcome"] for entry in checks)
    _reconcile(document, root, outcomes)
    evaluated = outcomes["pass"] + outcomes["fail"]
    notes: list[str] = []
    started, ended = _times(root, notes)
    body = {
        **given(suite=text(", ".join(suite.get("name", "") for suite in suites))),
        "status": run_status(complete=not outcomes["error"], evaluated=evaluated),
        "evaluated": evaluated,
        "skipped": outcomes["skipped"] + outcomes["not-run"],
        "metrics": [entry for case in cases for entry in _metrics(case, notes)],
        "checks": checks,
        **given(startedAt=stamp(started), endedAt=stamp(ended)),
    }
    return Collected(
        "eval-result", body, source(tool, FORMAT, document.sha256, notes=notes), ended or started
    )


def _parse(document: Document) -> Element:
    # NOTE: entities can make a small file swell without end, or read other files; none is needed.
    from xml.etree.ElementTree import ParseError

    from defusedxml import DefusedXmlException
    from defusedxml.ElementTree import fromstring

    try:
        root: Element = fromstring(document.data, forbid_dtd=True)
    except DefusedXmlException as error:
        raise document.malformed("a test runner", "it declares a document type") from error
    except (ParseError, ValueError, LookupError) as error:
        raise document.malformed("a test runner", "it is not whole, well-formed XML") from error
    if root.tag not in ("testsuite", "testsuites"):
        raise document.malformed("a test runner", "its first element is another one")
    return root


def _tool(root: Element) -> str:
    names = {root.get("name"), *(suite.get("name") for suite in root.iter("testsuite"))}
    return "pytest" if names & {"pytest", "pytest tests"} else "JUnit"


def _check(case: Element) -> dict[str, Any]:
    name = named("::".join(filter(None, (case.get("classname"), case.get("name")))))
    # NOTE: what a failing test prints can hold the data it failed on; only its kind is kept.
    if (error := case.find("error")) is not None:
        return check(name, "error", message=_kind(error))
    if (failure := case.find("failure")) is not None:
        return check(name, "fail", message=_kind(failure))
    if (skipped := case.find("skipped")) is not None:
        return check(name, "skipped", message=text(skipped.get("message")))
    if case.get("status") in {"notrun", "disabled"} or case.get("result") == "suppressed":
        return check(name, "not-run")
    return check(name, "pass")


def _kind(element: Element) -> str | None:
    message = element.get("message") or ""
    if message.startswith(("failed on setup", "failed on teardown")):
        return " ".join(message.split()[:3])
    found = _EXCEPTION.match(message) or _EXCEPTION.match(element.get("type") or "")
    return found[0] if found else None


def _reconcile(document: Document, root: Element, outcomes: Counter[str]) -> None:
    """Refuse a report whose totals speak of more cases than it lists.

    It may list more: pytest counts a case once that fails and then breaks in its teardown.
    """
    suites = [suite for suite in root.iter("testsuite") if suite.find("testsuite") is None]
    for attribute, outcome in _COUNTED.items():
        stated = sum(
            int(figure)
            for suite in suites
            if (figure := suite.get(attribute, "0")).isdecimal() and len(figure) < 10
        )
        listed = outcomes.total() if outcome is None else outcomes[outcome]
        if outcome == "skipped":
            listed += outcomes["not-run"]
        if stated > listed:
            raise document.malformed(
                "a test runner", f"it counts {stated} {attribute} and lists {listed}"
            )


def _times(root: Element, notes: list[str]) -> tuple[datetime | None, datetime | None]:
    """When the first suite began and the last ended."""
    spans = []
    for suite in root.iter("testsuite"):
        start = moment(suite.get("timestamp"), notes)
        seconds, _ = number(suite.get("time"))
        if start is not None:
            spans.append((start, start + timedelta(seconds=min(max(seconds or 0, 0), 1e7))))
    if not spans:
        return None, None
    begin, end = min(start for start, _ in spans), max(end for _, end in spans)
    return begin, end.replace(microsecond=0)


def _metrics(case: Element, notes: list[str]) -> Iterator[dict[str, Any]]:
    """Numeric properties; one stands under ``threshold`` and bounds the only other one."""
    figures = {
        name: entry.get("value")
        for entry in case.iterfind("properties/property")
        if (name := entry.get("name")) and number(entry.get("value")) != (None, None)
    }
    threshold, _ = number(figures.pop("threshold", None))
    for name, value in figures.items():
        direction = "higher" if name in _HIGHER else "lower" if name in _LOWER else None
        known = threshold is not None and len(figures) == 1
        full = f"{named(case.get('name'))}/{named(name)}"
        if known and direction is None:
            notes.append(
                f"the threshold of {full}, {threshold}, is left out: "
                "the report does not say which side of it is good"
            )
        yield metric(
            full,
            value,
            direction=direction,
            threshold=threshold if known and direction else None,
        )
