"""A packet in which whatever a stranger may write is an attack on whoever sets its pages."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from muniment.controls.coverage import ControlResult, Coverage
from muniment.reports.model import Cover, Look, PacketInput
from muniment.schemas.record import Record, Signer

from ..reports import conftest as build

ATTACKS = (
    "<script>alert(1)</script><style>*{display:none}</style><!-- ",
    "</td></table></section><link rel=attachment href=file:///etc/passwd>",
    "<img src=http://evil.example.com/x.png onerror=alert(1)><base href=http://evil.example.com>",
    "<svg xmlns='http://www.w3.org/2000/svg'><image href='file:///etc/hostname'/><title>t</title>",
    "{{ packet.__class__.__mro__ }}{% include '/etc/passwd' %}&lt;&#0;&#xd800;&nbsp;",
    "x;}@import 'http://evil.example.com/x.css';body{background:url(file:///etc/passwd)",
    "🙂 👩‍👩‍👧 🏳️‍🌈 ไทย 한국어 中文 \ue000 \U0010ffff e\u0301\u0301\u0301",
    "\u202eback\u202c \u2066held\u2069 \u200b\ufeff\u200d עברית 123 العربية",
    "\x00\x07\x1b[2J\x7f\x85\u2028\u2029 line\r\nline\ttab",
    "\ud800 alone \udfff",
    "[link](javascript:alert(1)) =1+1 'quoted\" \\ %PDF-1.7 endstream endobj",
)
LONG_TITLE = "Title " * 83 + "!!"
UNBROKEN = "A" * 100_000
NOTE = "A note that does not end. " * 400_000
"""10 MB."""


def hostile_packet() -> PacketInput:
    """The packet; the same in every process."""
    source = _attacks()
    records = tuple(_spoil_record(item, source) for item in (*build.ledger(), *_extra()))
    plain: PacketInput = build.make_packet(
        records, _spoil_coverage(build.coverage(records), source)
    )
    words = Cover(next(source), next(source), tuple(ATTACKS), None, "#1d5a91")
    return replace(
        plain,
        organisation=next(source),
        profile_name=next(source),
        blocking=tuple(_spoil_control(item, source) for item in plain.blocking),
        keys=tuple(
            replace(key, name=next(source), email=next(source), state=next(source))
            for key in plain.keys
        ),
        reviewer=_spoil_signer(build.CARLA, source),
        not_included=ATTACKS,
        look=Look(words),
    )


def _attacks() -> Iterator[str]:
    """One attack after the other, without end."""
    while True:
        yield from ATTACKS


def _extra() -> Iterator[Record]:
    yield build.record(20, "policy", {"title": LONG_TITLE, "version": "1" * 500})
    yield build.record(21, "policy", {"title": UNBROKEN, UNBROKEN[:500]: UNBROKEN})
    yield build.record(22, "decision", {"title": "Notes", "rationale": NOTE})
    metrics = [
        {"name": f"metric {number}", "value": value, "threshold": -value, "direction": "higher"}
        for number, value in enumerate((9e307, -9e307, 5e-324, 0, 10**300, 0.1) * 500)
    ]
    body: dict[str, Any] = {"title": "Thousands of metrics", "metrics": metrics, "evaluated": 0}
    yield build.record(23, "eval-result", {**body, "dataset": {"name": "none"}})
    deep: Any = "the end"
    for _ in range(60):
        deep = [deep]
    yield build.record(24, "incident", {"title": "Deep", "nested": deep, "rows": [{}, [], None]})
    yield build.record(25, "policy", {"title": "", **{text: text for text in ATTACKS}})


def _spoil_record(item: Record, source: Iterator[str]) -> Record:
    """Put an attack behind every title, name and sentence that the record's author wrote."""
    body = _spoil(item.statement.body, source)
    subjects = tuple(
        replace(subject, name=f"{subject.name}{next(source)}")
        for subject in item.statement.subjects
    )
    statement = replace(item.statement, body=body, subjects=subjects)
    return replace(item, statement=statement, signer=_spoil_signer(item.signer, source))


def _spoil_signer(signer: Signer, source: Iterator[str]) -> Signer:
    return replace(signer, name=f"{signer.name}{next(source)}", email=next(source))


_WRITTEN_FREELY = frozenset(
    (
        "title", "name", "purpose", "source", "licence", "knownGaps", "statement", "findings",
        "consequence", "duty", "role", "slice", "users", "gateRole", "version",
    )
)  # fmt: skip


def _spoil(value: Any, source: Iterator[str], free: bool = False) -> Any:
    if isinstance(value, dict):
        return {key: _spoil(item, source, key in _WRITTEN_FREELY) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_spoil(item, source, free) for item in value]
    return f"{value}{next(source)}" if free and isinstance(value, str) else value


def _spoil_coverage(coverage: Coverage, source: Iterator[str]) -> Coverage:
    catalogs = tuple(
        replace(
            catalog,
            name=next(source),
            controls=tuple(_spoil_control(item, source) for item in catalog.controls),
        )
        for catalog in coverage.catalogs
    )
    left_out = tuple(replace(item, text=next(source)) for item in coverage.left_out)
    return replace(coverage, catalogs=catalogs, left_out=left_out)


def _spoil_control(item: ControlResult, source: Iterator[str]) -> ControlResult:
    reasons = tuple(replace(reason, text=next(source)) for reason in item.reasons)
    return replace(item, title=f"{item.title}{next(source)}", reasons=reasons)
