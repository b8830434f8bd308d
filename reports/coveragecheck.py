"""The part of a packet's verification that holds its coverage against the one computed again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from muniment.schemas.finding import Check, Finding


def compare_coverage(check: Check, computed: Mapping[str, Any], stated: Any, by_same: bool) -> None:
    """Hold states, reasons, records and dates against each other, and the words as well where the
    same program chose them.

    Args:
        stated: the coverage document of the packet.
        by_same: whether the program that wrote it is this one.
    """
    said = {item["id"]: item for item in _controls(stated)}
    for control in _controls(computed):
        check.checked += 1
        expected, found = _essence(control), _essence(said.pop(control["id"], {}))
        if found != expected:
            check.findings.append(
                Finding(
                    "coverage.differs",
                    f"{control['id']} is not as the packet says",
                    expected=_difference(expected, found),
                    found=_difference(found, expected),
                )
            )
    if said or _frame(stated) != _frame(computed):
        check.findings.append(
            Finding(
                "coverage.differs",
                "the packet was evaluated for something else than it says",
                expected=str(_frame(computed)),
                found=str(_frame(stated)),
            )
        )

    if check.findings or stated == computed:
        return
    if by_same:
        text = "the packet words its coverage otherwise than the same program does"
        check.findings.append(Finding("coverage.words", text))
    else:
        check.not_checked.append(
            "the words of titles and reasons in coverage.json: another version chose them"
        )


def _controls(coverage: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [control for catalog in coverage["catalogs"] for control in catalog["controls"]]


def _essence(control: Mapping[str, Any]) -> dict[str, Any]:
    """What a control's result says, but for the words it says it in."""
    return {
        "state": control.get("state"),
        "reasons": _reasons(control.get("reasons", [])),
        "evidence": control.get("evidence"),
        "approvals": control.get("approvals"),
        "fresh_until": control.get("fresh_until"),
        "underlying": control.get("underlying"),
        "applicability": control.get("applicability"),
    }


def _frame(coverage: Mapping[str, Any]) -> dict[str, Any]:
    """What a coverage is of: everything but its controls."""
    return {
        **{name: coverage[name] for name in ("system", "as_of", "profile", "profile_sha256")},
        "artifact_sha256": coverage["artifact_sha256"],
        "crosswalk_sha256": coverage["crosswalk_sha256"],
        "sources": coverage["sources"],
        "exempt": coverage["exempt"],
        "considered": coverage["considered"],
        "left_out": _reasons(coverage["left_out"]),
        "catalogs": [(item["catalog"], item["counts"]) for item in coverage["catalogs"]],
    }


def _reasons(reasons: list[Mapping[str, Any]]) -> list[tuple[Any, Any, Any]]:
    return [(reason["code"], reason["records"], reason.get("path")) for reason in reasons]


def _difference(one: Mapping[str, Any], other: Mapping[str, Any]) -> str:
    return str({name: value for name, value in one.items() if value != other.get(name)})
