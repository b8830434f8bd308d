"""What a claim is worth at first sight: whether a record can count for the controls it names.

Told when evidence is attached, so that nobody learns at the gate what could be said at once.
"""

from __future__ import annotations

from collections.abc import Iterable

from muniment.controls.catalog import Catalog, Control
from muniment.controls.outcome import outcome
from muniment.schemas.record import Record
from muniment.schemas.text import with_article


def remarks(record: Record, catalogs: Iterable[Catalog], used: Iterable[Catalog]) -> list[str]:
    """What keeps ``record`` from carrying controls it claims, one sentence each.

    Args:
        catalogs: those of the controls it claims.
        used: those of the workspace.
    """
    claimed = set(record.statement.controls)
    named = {catalog.id: catalog for catalog in catalogs}
    controls = [
        control
        for catalog in named.values()
        for control in catalog.controls
        if control.id in claimed
    ]
    verdict = outcome(record)
    found = [] if verdict.holds else [f"this evidence counts as a no: {verdict.text}"]
    found.extend(filter(None, (_remark(record, control) for control in controls)))
    found.extend(
        f"{name}: this workspace does not use it, so that claims of its controls count only where "
        "--framework or a profile names it: add it to frameworks in muniment.yaml"
        for name in sorted(named.keys() - {catalog.id for catalog in used})
    )
    return found


def _remark(record: Record, control: Control) -> str | None:
    requirement = control.requirement
    if record.kind in requirement.supporting:
        kind = with_article(record.kind)
        return f"{control.short_id}: {kind} supports this control, but does not carry it"
    if requirement.is_unset:
        return f"{control.short_id}: nobody has written what evidence meets this control"
    if record.kind not in requirement.any_of:
        return (
            f"{control.short_id}: {with_article(record.kind)} does not count for this control; "
            f"it asks for {' or '.join(requirement.any_of)}"
        )
    if requirement.section is not None and requirement.section not in record.statement.body:
        return (
            f"{control.short_id}: this control asks for the {requirement.section} part, which is "
            f"not there: muniment kind show {record.kind}"
        )
    return None
