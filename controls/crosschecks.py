"""Checks across records: what no single record shows, such as a test set that was trained on.

Each fault lies on one record and names the others; a control that the record claims hears it as a
"no". All of it is by signed digests, dates and people.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta

from muniment.schemas.derivation import Derivation
from muniment.schemas.record import Record

from .case import begin_of, term_of
from .coverage import Reason
from .index import APPROVAL, EVAL_RESULT, OWNER, Index

Faults = dict[str, list[Reason]]
"""Faults by the digest of the record they lie on."""
_PROVENANCE, _MONITORING = "data-provenance", "monitoring-report"
_TRAINED_ON = ("train", "tuning")
_EXECUTIVE = re.compile(r"\bexecutive\b", re.IGNORECASE)
_OPERATING = re.compile(r"\boperat(?:e|es|ing|ion|ions|or|ional)\b", re.IGNORECASE)
_LOOK_BACK = timedelta(days=365)
"""How far back a gap in monitoring is held against a system."""


def cross_faults(index: Index, as_of: datetime) -> Faults:
    """Everything that the current records of one system version say against each other."""
    kinds: dict[str, list[Record]] = {}
    for record in sorted(index.current.values(), key=lambda record: record.index):
        kinds.setdefault(record.kind, []).append(record)
    provenance = kinds.get(_PROVENANCE, [])
    owners = [record for record in kinds.get(OWNER, []) if is_in_force(record, as_of)]
    faults: Faults = {}
    found = (
        *_seen_in_training(kinds.get(EVAL_RESULT, []), provenance),
        *_without_rights(provenance),
        *_without_hours(owners),
        *_one_person_twice(owners),
    )
    for record, reason in found:
        faults.setdefault(record.sha256, []).append(reason)
    return faults


def derivation_faults(derivations: Iterable[Derivation]) -> Faults:
    """Records that are not what the file says that they were read from."""
    return {
        item.record.sha256: [Reason(str(item.code), item.text, (item.record,))]
        for item in derivations
        if item.is_fault
    }


def joined(*some: Faults) -> Faults:
    """Every fault of several checks, in their order."""
    faults: Faults = {}
    for found in some:
        for sha256, reasons in found.items():
            faults[sha256] = [*faults.get(sha256, ()), *reasons]
    return faults


def is_in_force(record: Record, as_of: datetime) -> bool:
    """Whether what the record says has begun and not ended."""
    begin, end = begin_of(record), term_of(record)
    return (begin is None or begin <= as_of) and (end is None or end >= as_of)


def monitoring_gaps(records: Iterable[Record], as_of: datetime) -> Faults:
    """Gaps between the monitoring reports of one control that are longer than was planned.

    The fault lies on the report after the gap; a later report about the days between closes it.
    That no report came since the last one makes that one stale, and is no gap.
    """
    oldest = (as_of - _LOOK_BACK).date()
    reports = sorted(
        (_period(record), record.index, record)
        for record in records
        if record.kind == _MONITORING and _period(record)[1] >= oldest
    )
    faults: Faults = {}
    until: date | None = None
    before: Record | None = None
    for (start, end), _, record in reports:
        cadence = record.statement.body.get("cadenceDays")
        if before is not None and until is not None and cadence is not None:
            gap = (start - until).days - 1
            if gap > cadence:
                text = (
                    f"{record} begins {gap} days after {before} ended; "
                    f"a report was planned every {cadence}"
                )
                reason = Reason("monitoring.gap", text, (record.ref, before.ref))
                faults[record.sha256] = [reason]
        if until is None or end > until:
            until, before = end, record
    return faults


def refused_approvals(index: Index) -> Mapping[str, Sequence[Reason]]:
    """By record digest, why approvals that name it do not count for it."""
    remarks: dict[int, list[Reason]] = {}
    for reason in index.left_out:
        if reason.code.startswith("approval.") or reason.code == "evidence.other-model":
            remarks.setdefault(reason.records[0].index, []).append(reason)
    found: dict[str, list[Reason]] = {}
    for approval in index.current.values():
        if approval.kind != APPROVAL or approval.index not in remarks:
            continue
        for item in approval.statement.body["records"]:
            target = index.current.get(item["sha256"])
            if target is None:
                continue
            for reason in remarks[approval.index]:
                # NOTE: a remark that names records is about those; any other about the approval.
                if len(reason.records) == 1 or target.ref in reason.records:
                    found.setdefault(target.sha256, []).append(reason)
    return found


def _seen_in_training(
    evals: Iterable[Record], provenance: Sequence[Record]
) -> Iterator[tuple[Record, Reason]]:
    """Held-out separation: no eval on data that the model was trained on, or tuned on unsaid."""
    trained = _digests(provenance, "train")
    tuned = _digests(provenance, "tuning")
    for record in evals:
        dataset = record.statement.body.get("dataset", {})
        sha256 = dataset.get("sha256")
        other, word = trained.get(sha256), "training"
        if other is None and dataset.get("split") != "tuning":
            other, word = tuned.get(sha256), "tuning"
        if other is not None:
            text = f"{record} was measured on {dataset['name']}, which {other} names as {word} data"
            yield record, Reason("data.seen-in-training", text, (record.ref, other.ref))


def _digests(provenance: Iterable[Record], split: str) -> dict[str, Record]:
    """SHA-256 of every file that data of a split is or was made from, with the record."""
    return {
        item["sha256"]: record
        for record in provenance
        if record.statement.body.get("split") == split
        for name in ("contents", "derivedFrom")
        for item in record.statement.body.get(name, ())
    }


def _without_rights(provenance: Sequence[Record]) -> Iterator[tuple[Record, Reason]]:
    """A licence or consent basis for every source of training data, not only for its last form."""
    known = {item["sha256"] for record in provenance for item in record.statement.body["contents"]}
    for record in provenance:
        body = record.statement.body
        if body.get("split") not in _TRAINED_ON:
            continue
        names = [
            item["name"] for item in body.get("derivedFrom", ()) if item["sha256"] not in known
        ]
        if names:
            text = (
                f"{record} is training data made from {_listed(names)}, for which no record "
                "gives a licence or a consent basis"
            )
            yield record, Reason("data.no-rights", text, (record.ref,))


def _without_hours(owners: Iterable[Record]) -> Iterator[tuple[Record, Reason]]:
    for record in owners:
        if not record.statement.body["hoursPerWeek"] > 0:
            name = record.statement.body["person"]["name"]
            text = f"{record} gives {name} no hours for the duty"
            yield record, Reason("owner.no-hours", text, (record.ref,))


def _one_person_twice(owners: Sequence[Record]) -> Iterator[tuple[Record, Reason]]:
    """The executive owner is not the one who operates the system."""
    executive = [record for record in owners if _is_executive(record)]
    operating = [record for record in owners if _is_operating(record)]
    for one, others in ((executive, operating), (operating, executive)):
        for record in one:
            same = [other for other in others if _holder(other) == _holder(record)]
            if same:
                name = record.statement.body["person"]["name"]
                refs = tuple(dict.fromkeys((record.ref, *(item.ref for item in same))))
                text = f"{name} is both executive owner and operating owner"
                yield record, Reason("owner.one-person", text, refs)


def _is_executive(record: Record) -> bool:
    return bool(_EXECUTIVE.search(record.statement.body["role"]))


def _is_operating(record: Record) -> bool:
    body = record.statement.body
    # NOTE: an executive's duty may speak of the operation without being it.
    words = body["role"] if _is_executive(record) else f"{body['role']} {body['duty']}"
    return "ownership" in body or bool(_OPERATING.search(words))


def _holder(record: Record) -> str:
    return str(record.statement.body["person"]["email"]).casefold()


def _period(record: Record) -> tuple[date, date]:
    period = record.statement.body["period"]
    return date.fromisoformat(period["start"]), date.fromisoformat(period["end"])


def _listed(names: Sequence[str]) -> str:
    more = len(names) - 5
    return ", ".join(names[:5]) + (f" and {more} more" if more > 0 else "")
