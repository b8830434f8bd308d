"""pip-audit's JSON report (tried with 2.10.1).

pip-audit says "no known vulnerabilities" when it could look up nothing; only the report tells.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from .document import Document
from .interface import Collected
from .values import check, items, mapping, named, run_status, source, text

FORMAT = "pip-audit-json"
_TOOL = "pip-audit"


def matches(document: Document) -> bool:
    """An object of dependencies and fixes, whose entries have vulnerabilities or were skipped."""
    if not document.has_keys("dependencies", "fixes"):
        return False
    if document.fault is not None:
        return document.holds(b'"vulns"') or document.holds(b'"skip_reason"')
    entries = [mapping(entry) for entry in items(document.object["dependencies"])]
    return all(entry.keys() & {"vulns", "skip_reason"} for entry in entries)


def collect(document: Document) -> Collected:
    """Draft an ``eval-result`` with one check per dependency; a skipped one was not run."""
    report = document.root(_TOOL)
    checks = [_check(document, mapping(entry)) for entry in items(report["dependencies"])]
    outcomes = Counter(entry["outcome"] for entry in checks)
    evaluated = outcomes["pass"] + outcomes["fail"]
    body = {
        "suite": _TOOL,
        "status": run_status(complete=not outcomes["not-run"], evaluated=evaluated),
        "evaluated": evaluated,
        "skipped": outcomes["not-run"],
        "metrics": [],
        "checks": checks,
    }
    notes = ["the report has neither a time nor the tool's version"]
    return Collected("eval-result", body, source(_TOOL, FORMAT, document.sha256, notes=notes), None)


def _check(document: Document, entry: Mapping[str, Any]) -> dict[str, Any]:
    package = text(entry.get("name"))
    if package is None:
        raise document.malformed(_TOOL, "a dependency has no name")
    name = " ".join(filter(None, (package, text(entry.get("version")))))
    if "skip_reason" in entry or not isinstance(entry.get("vulns"), list):
        return check(name, "not-run", message=text(entry.get("skip_reason")))
    found = [named(mapping(fault).get("id")) for fault in entry["vulns"]]
    return check(name, "fail" if found else "pass", message=text(", ".join(found)))
