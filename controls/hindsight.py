"""What became known of records after the moment a coverage speaks of. Pure.

It never changes that coverage, and is never left unsaid beside it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from muniment.schemas.record import Record
from muniment.schemas.statement import GATE_DECISION, RecordRef, SystemRef
from muniment.schemas.times import format_time

from .coverage import Coverage
from .index import ERASURE, build_index


@dataclass(frozen=True, slots=True)
class Hindsight:
    """One thing that is known now and was not then."""

    code: str
    """``record.distrusted``, ``record.retracted``, ``record.erased``, ``key.revoked``,
    ``rules.changed`` or ``moment.later``."""
    text: str
    record: RecordRef
    """The record of then that it is about; of a moment to come, the last that is known."""
    by: RecordRef | None = None
    """The later record that says so; None where the program itself has changed."""
    since: datetime | None = None
    """When that was recorded, UTC."""

    @property
    def sentence(self) -> str:
        """For a person, with the day."""
        day = f"known since {self.since:%Y-%m-%d}" if self.since else "known now"
        return f"{day}: {self.text}"

    def to_json(self) -> dict[str, Any]:
        """The item as the ``--json`` documents show it."""
        return {
            "code": self.code,
            "text": self.text,
            "record": self.record.to_json(),
            "by": self.by.to_json() if self.by else None,
            "since": format_time(self.since) if self.since else None,
        }


Lost = tuple[Record, RecordRef, datetime, str | None]
"""A record, the later key record that speaks of it or its signer, when, and why it counts for
nothing since; None where the key was revoked and the record still counts."""


def hindsight(
    records: Sequence[Record], coverage: Coverage, lost: Iterable[Lost]
) -> list[Hindsight]:
    """All that later records say of those that were there then, in the order it became known.

    Args:
        records: verified records, with the trust they have now.
        coverage: judged as of the moment in question.
        lost: what later key records say.
    """
    system, as_of = coverage.system, coverage.as_of
    own = [record for record in records if record.statement.system == system]
    known = {record.sha256 for record in own if record.recorded_at <= as_of}
    found = [
        *_keys(lost, known),
        *_retracted(own, system, known),
        *_erased(own, as_of),
    ]
    found.sort(key=lambda item: (item.by.index if item.by else 0, item.record.index))
    return [*_rules(own, coverage), *found]


def _keys(lost: Iterable[Lost], known: set[str]) -> Iterator[Hindsight]:
    for record, by, when, text in lost:
        if record.sha256 in known:
            if text is None:
                code = "key.revoked"
                said = f"the key of {record.signer.name}, who signed {record}, was revoked"
            else:
                code = "record.distrusted"
                said = f"{record} counts for nothing any more: {text}"
            yield Hindsight(code, f"{said}, by #{by.index}", record.ref, by, when)


def _retracted(own: Sequence[Record], system: SystemRef, known: set[str]) -> Iterator[Hindsight]:
    """Retractions as they count today."""
    if not own:
        return
    by_digest = {record.sha256: record for record in own}
    latest = max(record.recorded_at for record in own)
    for reason in build_index(own, system, latest, None).left_out:
        if reason.code != "record.retracted":
            continue
        target, by = (by_digest[ref.sha256] for ref in reason.records)
        if target.sha256 in known and by.sha256 not in known:
            yield Hindsight("record.retracted", reason.text, target.ref, by.ref, by.recorded_at)


def _erased(own: Sequence[Record], as_of: datetime) -> Iterator[Hindsight]:
    """What cannot be judged again, for its bytes are gone."""
    later = [record for record in own if record.recorded_at > as_of]
    end = min((record.index for record in later), default=0)
    for order in later:
        if order.kind != ERASURE:
            continue
        for item in order.statement.body["records"]:
            if item["index"] < end:
                text = (
                    f"#{item['index']} ({item['kind']}) was erased by {order}: what it said is not "
                    "known any more, and the states shown are without it"
                )
                ref = RecordRef(item["index"], item["sha256"])
                yield Hindsight("record.erased", text, ref, order.ref, order.recorded_at)


def _rules(own: Sequence[Record], coverage: Coverage) -> Iterator[Hindsight]:
    """Whether the last gate decision of then was made with other catalogs or another profile."""
    decisions = [
        record
        for record in own
        if record.kind == GATE_DECISION and record.recorded_at <= coverage.as_of
    ]
    if not decisions:
        return
    last = max(decisions, key=lambda record: record.index)
    said = last.statement.body.get("muniment_decision", {})
    catalogs = said.get("catalogs", {})
    now = {item.catalog: item.sha256 for item in coverage.catalogs} | dict(coverage.sources)
    changed = sorted(name for name in now if catalogs.get(name, now[name]) != now[name])
    policy = last.statement.body.get("policy", {})
    is_same_name = said.get("profile") == coverage.profile.partition("@")[0]
    if is_same_name and policy.get("digest", {}).get("sha256") != coverage.profile_sha256:
        changed.append(f"profile {coverage.profile}")
    if changed:
        text = (
            f"the gate decision {last} was made with other versions of {', '.join(changed)}; "
            "the states shown follow those of today"
        )
        yield Hindsight("rules.changed", text, last.ref)
