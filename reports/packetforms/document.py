"""The packet as one JSON document."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from muniment.reports import lineage, sampleview, timeline, views
from muniment.schemas.times import format_time

from .facts import RecordFacts, register

if TYPE_CHECKING:
    from muniment.reports.lineage import Tie
    from muniment.reports.model import (
        Cover,
        KeyEvent,
        KeyLine,
        OutsideProof,
        PacketInput,
        PreviousPacket,
    )
    from muniment.reports.sampleview import Tested
    from muniment.reports.timeline import Report, Series
    from muniment.reports.views import Metric
    from muniment.schemas.record import Record

SCHEMA_VERSION = 1
"""Version of the document; it rises when a field changes its meaning or goes."""


def to_json(packet: PacketInput) -> bytes:
    """The document, in the frame that every ``--json`` document has; ASCII alone."""
    # NOTE: ASCII, so that no bidi mark or control code of a stranger's reaches a terminal.
    framed = {"schema_version": SCHEMA_VERSION, "ok": True, "data": document(packet)}
    return f"{json.dumps(framed, indent=2)}\n".encode()


def document(packet: PacketInput) -> dict[str, Any]:
    """Everything the pages of a packet say."""
    soa = views.soa(packet)
    return {
        "muniment_version": packet.muniment_version,
        "organisation": packet.organisation,
        "verdict": views.verdict(packet),
        "passed": packet.passed,
        "profile_name": packet.profile_name,
        "blocking": [control.id for control in packet.blocking],
        "attention": [control.id for control in views.attention(packet)],
        "soon_stale": [control.id for control in views.soon_stale(packet)],
        "coverage": packet.coverage.to_json(),
        "soa": None if soa is None else soa.to_json(),
        "evaluations": [_evaluation(record) for record in views.evaluations(packet)],
        "records": [_record(facts) for facts in register(packet)],
        "not_included": list(packet.not_included),
        "ledger": {
            "origin": packet.origin,
            "root": packet.root_fingerprint,
            "size": packet.tree_size,
            "root_hash": packet.root_hash,
            "time": format_time(packet.checkpoint_time),
            "checkpoint": packet.checkpoint,
        },
        "keys": [_key(key) for key in packet.keys],
        "key_events": [_key_event(event) for event in packet.key_events],
        "outside": [_outside(proof) for proof in packet.outside],
        "outside_earlier": packet.outside_earlier,
        "previous": None if packet.previous is None else _previous(packet.previous),
        "cover": _cover(packet.look.cover),
        "sample": None if packet.sample is None else packet.sample.to_json(),
        "sample_results": [_tested(test) for test in sampleview.results(packet.records)],
        "lineage": [one for tie in lineage.lineage(packet).ties for one in _tie(tie)],
        "monitoring": [_series(series) for series in timeline.monitoring(packet)],
    }


def _record(facts: RecordFacts) -> dict[str, Any]:
    record = facts.record
    return {
        **record.ref.to_json(),
        "kind": record.kind,
        "about": views.headline(record),
        "signer": record.signer.to_json(),
        "recorded_at": format_time(record.recorded_at),
        "distrusted": record.distrusted,
        "counts_for": list(facts.counts_for),
        "approved_by": [approval.ref.to_json() for approval in facts.approved_by],
        "superseded_by": facts.superseded_by,
        "fresh_until": format_time(facts.fresh_until) if facts.fresh_until else None,
        "statement": record.statement.to_json(),
    }


def _key(key: KeyLine) -> dict[str, Any]:
    return {
        "fingerprint": key.fingerprint,
        "name": key.name,
        "email": key.email,
        "type": key.type,
        "roles": sorted(key.roles),
        "functions": sorted(key.functions),
        "enrolled": key.enrolled,
        "expires": format_time(key.expires) if key.expires else None,
        "state": key.state,
    }


def _key_event(event: KeyEvent) -> dict[str, Any]:
    return {
        "record": event.index,
        "recorded_at": format_time(event.recorded_at),
        "what": event.what,
        "by": event.by.fingerprint,
    }


def _outside(proof: OutsideProof) -> dict[str, Any]:
    return {
        "kind": proof.kind,
        "source": proof.source,
        "time": format_time(proof.time) if proof.time else None,
        "held": proof.held,
        "note": proof.note,
    }


def _previous(packet: PreviousPacket) -> dict[str, Any]:
    counts = {str(state): number for state, number in packet.counts.items()}
    return {"issued": format_time(packet.issued), "size": packet.size, "counts": counts}


def _cover(cover: Cover) -> dict[str, Any]:
    """The reviewer's words; nothing of it is computed."""
    return {
        "reviewer": cover.reviewer,
        "scope": cover.scope,
        "conclusions": list(cover.conclusions),
    }


def _tested(test: Tested) -> dict[str, Any]:
    return {
        "record": test.record.ref.to_json(),
        "checkpoint": test.size,
        "counts": dict(zip(sampleview.OUTCOMES, test.counts, strict=True)),
        "exceptions": [{"record": index, "note": note} for index, note in test.exceptions],
    }


def _tie(tie: Tie) -> list[dict[str, Any]]:
    """Digests of two records, or of a model and a record, each."""
    return [
        {"from": start.key, "to": tie.end.key, "how": tie.how, "proved": tie.proved}
        for start in tie.starts
    ]


def _series(series: Series) -> dict[str, Any]:
    return {"overdue": series.overdue, "reports": [_report(item) for item in series.reports]}


def _report(report: Report) -> dict[str, Any]:
    return {
        "record": report.record.ref.to_json(),
        "start": report.start.isoformat(),
        "end": report.end.isoformat(),
        "cadence": report.cadence,
        "gap": report.gap,
        "after": report.after,
    }


def _evaluation(record: Record) -> dict[str, Any]:
    return {
        "record": record.ref.to_json(),
        "metrics": [_metric(metric) for metric in views.metrics(record)],
    }


def _metric(metric: Metric) -> dict[str, Any]:
    """As the pages print it; the figures themselves are in the record's statement."""
    return {
        "name": metric.name,
        "slice": metric.slice,
        "n": metric.n,
        "value": metric.value,
        "threshold": metric.threshold,
        "held": metric.held,
    }
