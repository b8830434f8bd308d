"""The gate's answer as SARIF 2.1.0: a rule per control in scope, a result per one that blocks.

Source: https://docs.oasis-open.org/sarif/sarif/v2.1.0/. A gate that passes has no results, so that
a code scanning service closes what it opened.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from muniment.reports.inert import said
from muniment.schemas.text import disarm
from muniment.schemas.times import format_time

from .form import headline, recorded, why

if TYPE_CHECKING:
    from muniment.controls.coverage import ControlResult, Reason
    from muniment.controls.gate import GateDecision
    from muniment.reports.workspace import Gated

SCHEMA = (
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
)
_PLACE = "muniment.yaml"
"""Where results are shown: services want a file, and no single one is at fault."""


def to_sarif(gated: Gated) -> str:
    """The SARIF log, one run, in ASCII."""
    decision = gated.decision
    results = [
        *(_reason_result(decision, reason) for reason in decision.reasons),
        *(_control_result(decision, control) for control in decision.blocking),
    ]
    rules = [*map(_reason_rule, decision.reasons), *map(_control_rule, decision.scope)]
    place = {rule["id"]: number for number, rule in enumerate(rules)}
    for result in results:
        result["ruleIndex"] = place[result["ruleId"]]
    log = {
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [_run(gated, rules, results)],
    }
    return disarm(json.dumps(log, indent=2), sharp="\\u0023") + "\n"


def _run(
    gated: Gated, rules: Iterable[Mapping[str, Any]], results: Iterable[Mapping[str, Any]]
) -> dict[str, Any]:
    from muniment import __version__

    decision = gated.decision
    coverage = decision.coverage
    return {
        "tool": {
            "driver": {
                "name": "Muniment",
                "semanticVersion": __version__,
                "informationUri": "https://muniment.dev",
                "rules": list(rules),
            }
        },
        "automationDetails": {
            "id": f"muniment-gate/{decision.profile.id}/{coverage.system}/",
            "description": {"text": _message(headline(decision), recorded(gated))},
        },
        "invocations": [
            {
                "executionSuccessful": True,
                "exitCode": 0 if decision.passed else 1,
                "endTimeUtc": format_time(coverage.as_of),
            }
        ],
        "properties": {
            "passed": decision.passed,
            "system": str(coverage.system),
            "model_sha256": coverage.artifact,
            "profile_sha256": coverage.profile_sha256,
        },
        "results": list(results),
    }


def _control_rule(control: ControlResult) -> dict[str, Any]:
    catalog, _, short = control.id.partition(":")
    full = f"{control.title} (control {short} of {catalog}, {control.group})"
    wanted = _message(control.unblock or control.title, *control.commands)
    return _rule(control.id, _message(control.title), _message(full), wanted)


def _reason_rule(reason: Reason) -> dict[str, Any]:
    text = _message(reason.text)
    return _rule(reason.code, text, text, text)


def _rule(name: str, short: str, full: str, wanted: str) -> dict[str, Any]:
    return {
        "id": name,
        "shortDescription": {"text": short},
        "fullDescription": {"text": full},
        "help": {"text": wanted},
        "defaultConfiguration": {"level": "error"},
    }


def _control_result(decision: GateDecision, control: ControlResult) -> dict[str, Any]:
    text = f"{control.id.partition(':')[2]} {control.title} is {control.state}: {why(control)}"
    return _result(decision, control.id, _message(text, control.unblock, *control.commands))


def _reason_result(decision: GateDecision, reason: Reason) -> dict[str, Any]:
    return _result(decision, reason.code, _message(reason.text))


def _result(decision: GateDecision, rule: str, message: str) -> dict[str, Any]:
    system = decision.coverage.system
    same = f"{system.id}\n{decision.profile.id}\n{rule}"
    return {
        "ruleId": rule,
        "level": "error",
        "message": {"text": message},
        "locations": [
            {
                "physicalLocation": {
                    "artifactLocation": {"uri": _PLACE},
                    "region": {"startLine": 1},
                },
                "logicalLocations": [{"fullyQualifiedName": f"{system}/{rule}"}],
            }
        ],
        # The same gap in a later version is the same alert.
        "partialFingerprints": {"control/v1": hashlib.sha256(same.encode()).hexdigest()},
    }


def _message(*sentences: str | None) -> str:
    """Plain text of a message: no link and no placeholder is read from it (SARIF §3.11.5-6)."""
    text = "\n".join(said(item) for item in sentences if item)
    return text.replace("{", "{{").replace("}", "}}").replace("](", "] (")
