"""What a packet's tables say of states, counts and records, held cell by cell against its data.

Each function yields the cells that say something else.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

from .blocks import Block, rows
from .embedded import STATES, Facts, groups, states
from .structure import bare

_COUNTS = ("applicable", "not applicable", "not decided")


def matrices(facts: Facts, found: list[Block]) -> Iterator[str]:
    """The matrix of every framework: each control once, in order, with state, records, approvals
    and the day until which it stands."""
    listed = list(rows(found, "Control matrix", "Control", "Title", "State"))
    wanted = [
        control
        for catalog in facts.catalogs
        for part in groups(catalog["controls"]).values()
        for control in part
    ]
    if len(listed) != len(wanted):
        yield f"{len(listed)} rows for {len(wanted)} controls"
    for control, row in zip(wanted, listed, strict=False):
        until = control["fresh_until"]
        standing = control["state"] == "met" and until is not None
        cells = [
            _short(control),
            bare(control["title"]),
            bare(STATES[control["state"]]),
            _named(_weighed(control)),
            _named(_places(control["approvals"])),
        ]
        if row.cells[:5] != cells:
            yield f"{row.cells[:5]} instead of {cells}"
        if standing and not row.cells[5].startswith(f"freshuntil{until[:10]}"):
            yield f"{row.cells[5]} instead of {until[:10]}"
        if not standing and control["reasons"]:
            reasons = control["reasons"]
            more = f"(and{len(reasons) - 1}more)" if len(reasons) > 1 else ""
            if row.cells[5] != bare(reasons[0]["text"]) + more:
                yield f"{row.cells[5]} is no reason of {control['id']}"


def other_states(facts: Facts, found: list[Block]) -> Iterator[str]:
    """Every state of a control outside the matrices, and which controls are listed where."""
    blocking = [item["control"] for item in facts.gate["blocking"]]
    every = facts.controls
    told = [b.part.split(" ")[0] for b in found if b.tag == "H4" and b.section.endswith("the gate")]
    if told != [_short(every[name]) for name in blocking]:
        yield f"{told} block instead of {blocking}"
    for block in found:
        for control in facts.called(block.part.split(" ")[0]) if block.tag == "P" else []:
            named = bare(block.text).partition(bare(control["id"]))
            if named[1] and (named[0], named[2]) != (bare(STATES[control["state"]]), ""):
                yield f"{block.text} is not its state"
    lists: dict[tuple[str, str], Iterable[str]] = {
        ("Open gaps", "Why"): [
            name for name, c in every.items()
            if c["state"] in ("failed", "stale", "unapproved", "partial") and name not in blocking
        ],
        ("Open gaps", "On what ground"): [
            name for name, c in every.items() if c["state"] in ("waived", "not-applicable")
        ],
        ("Statement of applicability", "Decided"): [
            name for name in every if name.startswith("iso-42001-2023:A.")
        ],
    }  # fmt: skip
    for (chapter, column), names in lists.items():
        listed = list(rows(found, chapter, "Control", "State", column))
        if sorted(row.key for row in listed) != sorted(_short(every[name]) for name in names):
            yield f"{chapter}, {column}: other controls"
    for chapter in ("Summary", "Open gaps", "Evidence carried over", "Statement of applicability"):
        for row in rows(found, chapter, "Control", "State"):
            known = {bare(STATES[c["state"]]) for c in facts.called(row.cell("Control"))}
            if row.cell("State") not in known:
                yield f"{row.cells} instead of {known}"


def decisions(facts: Facts, found: list[Block]) -> Iterator[str]:
    """What the statement of applicability says was decided, and by which record."""
    for row in rows(found, "Statement of applicability", "Control", "Decided"):
        (control,) = [c for c in facts.called(row.key) if c["id"].startswith("iso-42001-2023:A.")]
        said = control.get("applicability")
        word = _COUNTS[2] if said is None else _COUNTS[0 if said["applicable"] else 1]
        if not row.cell("Decided").startswith(bare(word)):
            yield f"{row.cells} instead of {word}"
        if said is not None and not row.cell("Decided").endswith(f"#{said['record']['index']}"):
            yield f"{row.cells} names another record than {said['record']['index']}"
        if row.cell("Records") != _named(_weighed(control)):
            yield f"{row.cells} names other records"


def lapses(facts: Facts, found: list[Block]) -> Iterator[str]:
    """What is met and lapses within 30 days."""
    wanted = []
    for control in facts.controls.values():
        until = control["fresh_until"]
        if control["state"] == "met" and until and _days(facts.coverage["as_of"], until) < 30:
            wanted.append(
                (until, _short(control), until[:10], _named(_places(control["evidence"])))
            )
    listed = [
        (row.key, row.cell("Lapses"), row.cell("Evidence"))
        for row in rows(found, "Open gaps", "Lapses")
    ]
    ordered = sorted(wanted, key=lambda item: item[0])
    if listed != [item[1:] for item in ordered]:
        yield f"{listed} instead of {ordered}"


def counts(facts: Facts, found: list[Block]) -> Iterator[str]:
    """The summary's states then and now, and both heat maps."""
    now, before = states(facts.controls.values()), facts.before()
    table = {row.key: row for row in rows(found, "Summary", "State", "Controls", "Meaning")}
    wanted = [name for name in STATES if now[name] or before[name]]
    if list(table) != [bare(STATES[name]) for name in wanted]:
        yield f"states {list(table)} instead of {wanted}"
    for name in wanted:
        row = table.get(bare(STATES[name]))
        cells = [str(now[name])]
        if facts.previous is not None:
            change = now[name] - before[name]
            cells += [str(before[name]), f"{change:+}".replace("-", "−") if change else "±0"]
        if row is None or row.cells[1:-1] != cells:
            yield f"{row and row.cells} instead of {cells}"
    yield from _heat(facts, list(rows(found, "Summary", "All")), whole=False)
    yield from _heat(facts, list(rows(found, "Coverage by area", "All")), whole=True)


def _heat(facts: Facts, listed: list[Block], *, whole: bool) -> Iterator[str]:
    """Lines in the order of the frameworks and their areas, one for one, some left out."""
    lines: list[tuple[str, Counter[str]]] = []
    for catalog in facts.catalogs:
        parts = [(name, states(part)) for name, part in groups(catalog["controls"]).items()]
        lines += parts if whole else [(catalog["name"], states(catalog["controls"])), *parts]
    waiting = iter(lines)
    for row in listed:
        start = row.cells[0].removesuffix("…")
        for name, count in waiting:
            if bare(name) == row.cells[0] or (
                start != row.cells[0] and bare(name).startswith(start)
            ):
                shown = [n for n, word in STATES.items() if bare(word) in row.head]
                cells = [*(str(count[n]) for n in shown), str(sum(count.values()))]
                if row.cells[1:] != cells:
                    yield f"{row.cells} instead of {cells}"
                break
        else:
            yield f"{row.cells} is no area, or out of order"
    if whole and len(listed) != len(lines):
        yield f"{len(listed)} areas of {len(lines)}"


def register(facts: Facts, found: list[Block]) -> Iterator[str]:
    """Each record once, in the ledger's order, with digest, time and what it counts for."""
    listed = list(rows(found, "Evidence register", "Record"))
    if [row.key for row in listed] != [f"#{index}" for index in facts.about]:
        yield "other records, or in another order"
    for row, entry in zip(listed, facts.about.values(), strict=False):
        counted = [name for name, c in facts.controls.items() if _counts_for(c, entry.index)]
        wanted = [
            f"Recorddigest:{entry.sha256}",
            f"countsfor{_listed(facts, counted)}" if counted else "",
            f"recorded{entry.recorded[:10]}{entry.recorded[11:16]}UTC",
        ]
        yield from (f"{row.key}: no {text}" for text in wanted if text not in row.cells[1])


def sampled(facts: Facts, found: list[Block]) -> Iterator[str]:
    """The strata and the records that were drawn."""
    sample = facts.sample or {"strata": [], "records": []}
    strata = [[s["name"], f"{s['population']:,}", f"{s['drawn']:,}"] for s in sample["strata"]]
    if [row.cells for row in rows(found, "Test sample", "Drawn")] != strata:
        yield f"other strata than {strata}"
    drawn = [(f"#{r['index']}", r["sha256"][:16]) for r in sample["records"]]
    listed = list(rows(found, "Test sample", "Passed", "Note"))
    same = [
        row.key == key and digest in row.cells[1]
        for row, (key, digest) in zip(listed, drawn, strict=False)
    ]
    if len(listed) != len(drawn) or not all(same):
        yield f"other records than {drawn}"


CHECKS = (matrices, other_states, decisions, lapses, counts, register, sampled)


def faults(facts: Facts, found: list[Block]) -> list[str]:
    """What the tables say that the data do not."""
    return [fault for check in CHECKS for fault in check(facts, found)]


def _short(control: Mapping[str, Any]) -> str:
    return bare(str(control["id"]).partition(":")[2])


def _places(listed: Iterable[Mapping[str, Any]]) -> list[int]:
    return [ref["index"] for ref in listed]


def _weighed(control: Mapping[str, Any]) -> list[int]:
    """Evidence, and what the reasons name, without approvals, by place."""
    said = {ref["index"] for reason in control["reasons"] for ref in reason["records"]}
    approvals = set(_places(control["approvals"]))
    return sorted({*_places(control["evidence"]), *(said - approvals)})


def _named(places: list[int]) -> str:
    """Twelve records at most."""
    text = ",".join(f"#{place}" for place in places[:12]) or "–"
    return f"{text}and{len(places) - 12:,}more" if len(places) > 12 else text


def _listed(facts: Facts, names: list[str]) -> str:
    text = ",".join(_short(facts.controls[name]) for name in names[:12]) or "–"
    return f"{text}and{len(names) - 12}more" if len(names) > 12 else text


def _counts_for(control: Mapping[str, Any], place: int) -> bool:
    return place in _places([*control["evidence"], *control["approvals"]])


def _days(begin: str, end: str) -> int:
    return (datetime.fromisoformat(end) - datetime.fromisoformat(begin)).days
