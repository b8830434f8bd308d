"""Which numbers and dates may stand in each block of a packet's pages, by the embedded data alone.

What pages derive is derived here again: counts are counted, times are told as days, thousands are
grouped.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import cache
from importlib import resources
from itertools import pairwise
from typing import Any

from muniment.schemas import strictjson

from .accounting import Scope, scope
from .blocks import Block
from .embedded import Entry, Facts, groups, refs
from .sentences import Sentences
from .structure import bare

MOST = (
    "RFC 8785 12 records or controls 200 entries 15 evaluation results 15 sources 2,000,000 65,536"
)
"""Limits that the chapter on omissions names."""
_DRAWN = ("data-provenance", "eval-result", "approval", "gate-decision")
_TIES = "The same in words"
_NAMES = "SHA-256 SHA256"
_OWN_PAGES = ("closing.html", "manifest.sh", "signature.sh", "inclusion.sh")


class Expected:
    """What one packet's pages may say."""

    def __init__(
        self, facts: Facts, destinations: Mapping[str, int], found: Sequence[Block]
    ) -> None:
        """Take the data, the page that each destination is on, and all blocks."""
        self.facts = facts
        self._pages = destinations
        ends = (b.cells[2] for b in found if b.section == _TIES and b.tag == "TR" and b.cells[2])
        self._ties = sum(len(re.split(r",(?=#)|;", end)) for end in ends)
        self._record = cache(self._record_scope)
        self._control = cache(self._control_scope)
        self._tied = cache(self._tied_places)
        self.told = Sentences(facts)
        self.sentences = dict(self.told.by_chapter())

    def scope_of(self, block: Block) -> Scope:
        """What may stand in a block."""
        found = self._about(block) | scope(self.sentences.get(block.chapter, []), _NAMES)
        if block.tag in ("H1", "H2", "H3", "H4", "Head"):
            found |= self.document | scope([c["title"] for c in self.facts.controls.values()])
        named = getattr(self, f"_in_{_identifier(block.chapter)}", None)
        return found | (named(block) if named else Scope())

    @property
    def document(self) -> Scope:
        """What the packet is about and where it comes from."""
        facts = self.facts
        return self._document_scope(facts)

    @staticmethod
    @cache
    def _document_scope(facts: Facts) -> Scope:
        coverage = facts.coverage
        plain = {
            k: v for k, v in coverage.items() if k not in ("catalogs", "left_out", "considered")
        }
        root = facts.sample["checkpoint"]["root"] if facts.sample else ""
        seed = base64.b64encode(bytes.fromhex(root)).decode()
        grouped = [coverage["artifact_sha256"] or "", facts.root, seed]
        return scope(
            plain,
            facts.pages["organisation"],
            facts.origin,
            facts.time,
            facts.input["profile"]["name"],
            [facts.records[0].fingerprint, facts.root],
            [" ".join(text[at : at + 8] for at in range(0, len(text), 8)) for text in grouped],
            [[c["name"], c["catalog"], c["sha256"], f"{len(c['controls'])} controls"]
             for c in facts.catalogs],
        )  # fmt: skip

    def _about(self, block: Block) -> Scope:
        """What the record or control allows that a row, or the heading above, names."""
        found = Scope()
        if block.tag == "TR":
            for place in _leading(block.key):
                found |= self._record(place)
            for control in self.facts.called(block.key):
                found |= self._control(control["id"])
        else:
            for place in block.records:
                found |= self._record(place)
            short = block.part.split(" ")[0]
            for control in self.facts.called(short):
                found |= self._control(control["id"])
        return found

    def _record_scope(self, place: int) -> Scope:
        """A record: what it says, by whom and when, and what names it."""
        facts = self.facts
        if place not in facts.records:
            return Scope()
        entry = facts.records[place]
        counts = [name for name, c in facts.controls.items() if place in _weighing(c)]
        claims = set(entry.statement["predicate"].get("controls", []))
        ties = self._tied_to(place)
        around = [place, facts.replaced().get(place), *self._naming(entry)]
        enrolled = facts.keys[entry.fingerprint]
        return scope(
            entry.statement,
            entry.sha256,
            entry.recorded,
            entry.fingerprint,
            counts,
            [f"#{number}" for number in around],
            [f"#{number}" for number in refs(_without_genesis(entry))],
            [f"#{enrolled.index}", enrolled.body["holder"]],
            _counted(entry.body),
            self._inputs(entry),
            [f"and {len(ids) - 12} more" for ids in (counts, *ties) if len(ids) > 12],
            list(ties),
            [f"claims {len(claims - set(facts.controls))} control"],
            [reason for reason in facts.coverage["left_out"] if place in [*refs(reason)][:1]],
        )

    def _inputs(self, entry: Entry) -> list[str]:
        """What a gate decision rests on: records, counted and by their places, and two digests."""
        listed = [item["digest"]["sha256"] for item in entry.body.get("inputAttestations", ())]
        if not listed:
            return []
        lists = (entry.body["inputAttestations"], entry.body["muniment_decision"]["catalogs"])
        here = [f"#{other.index}" for other in self.facts.about.values() if other.sha256 in listed]
        missing = len(listed) - len(here)
        digests = (hashlib.sha256(strictjson.canonical(item)).hexdigest() for item in lists)
        return [f"{len(listed)} records", f"{missing} not", "RFC 8785", *here, *digests]

    def _tied_to(self, place: int) -> list[list[str]]:
        """The controls that a record does something else to than count, by what it does."""
        found: dict[str, list[str]] = {}
        for name, control in self.facts.controls.items():
            said = control.get("applicability") or {}
            codes = [r["code"] for r in control["reasons"] if place in refs(r)]
            if place in _weighing(control):
                continue
            if place in refs(said):
                found.setdefault("applicability", []).append(name)
            elif codes:
                found.setdefault(codes[0], []).append(name)
        return list(found.values())

    def _naming(self, entry: Entry) -> list[int]:
        """Places of the approvals that name a record, and of what an approval names."""
        every = self.facts.about.values()
        return [
            other.index
            for other in every
            if ("approval" in (entry.kind, other.kind))
            and (entry.sha256 in _digests(other) or other.sha256 in _digests(entry))
        ]

    def _control_scope(self, name: str) -> Scope:
        control = self.facts.controls[name]
        more = [f"and {len(control['reasons']) - 1} more"]
        return scope(control, [f"#{place}" for place in refs(control)], more)

    def _tied_places(self, place: int) -> tuple[int, ...]:
        """Places of the records that a record names, or whose files it names, by digest."""
        named = _digests(self.facts.records[place])
        return tuple(
            other.index
            for other in self.facts.about.values()
            if other.index != place and named & ({other.sha256} | _files(other))
        )

    # -- chapters

    def _in_cover(self, block: Block) -> Scope:
        return self.document

    def _in_contents(self, block: Block) -> Scope:
        titles = scope([item["name"] for item in self.facts.catalogs], "within 30 days")
        return titles | scope(self._pages.get(block.link))

    def _in_summary(self, block: Block) -> Scope:
        lines = {c["name"]: c["controls"] for c in self.facts.catalogs}
        drawn = self.told.middle if block.tag == "Figure" else None
        return scope(list(lines), drawn) | self._counts(block)

    def _in_coverage_by_area(self, block: Block) -> Scope:
        return scope([[c["name"], *groups(c["controls"])] for c in self.facts.catalogs]) | (
            self._counts(block)
        )

    def _counts(self, block: Block) -> Scope:
        """The counts of a row, which are held against the coverage cell by cell elsewhere."""
        return scope(block.cells[1:]) if block.tag == "TR" and "All" in block.head else (
            scope(block.cells[1:4]) if block.tag == "TR" and "Meaning" in block.head else Scope()
        )  # fmt: skip

    def _in_the_reviewer_s_words(self, block: Block) -> Scope:
        return scope(self.facts.pages["look"])

    def _in_scope_and_system(self, block: Block) -> Scope:
        last = [entry for entry in self.facts.about.values() if entry.kind == "system"][-1:]
        found = self.document
        for entry in last if block.section else []:
            found |= self._record(entry.index)
        return found

    def _in_open_gaps(self, block: Block) -> Scope:
        if block.section != "Nothing that carries the control" or block.tag != "TR":
            return Scope()
        here = [c for c in self.facts.catalogs if c["name"] == block.part]
        bare_ = [c for item in here for c in item["controls"] if c["state"] == "missing"]
        return scope(bare_)

    def _in_control_matrix(self, block: Block) -> Scope:
        return scope([[c["name"], *groups(c["controls"])] for c in self.facts.catalogs]) if (
            len(block.cells) == 1) else Scope()  # fmt: skip

    def _in_statement_of_applicability(self, block: Block) -> Scope:
        owners = [e for e in self.facts.about.values() if e.kind == "owner-assignment"]
        return scope([e.body.get("person") for e in owners])

    def _in_test_sample(self, block: Block) -> Scope:
        sample = self.facts.sample
        size = sample["checkpoint"]["size"]
        population = sum(item["population"] for item in sample["strata"])
        said = [f"{len(sample['records'])} records of {population:,}", sample["n"], sample["rule"]]
        if block.tag != "TR":
            return scope(said, sample["system"]) | self.document
        if "Drawn" in block.head:
            return scope([s for s in sample["strata"] if s["name"] == block.key])
        return scope(f"{size:,} records") | (Scope() if block.key[:1] == "#" else self.document)

    def _in_evaluation_results(self, block: Block) -> Scope:
        """Of a metric, a check or a kind of error: itself alone."""
        if block.tag != "TR":
            return Scope()
        body = self.facts.records[block.records[0]].body
        listed = [*body.get("metrics", []), *body.get("checks", []), *body.get("errorClasses", [])]
        return scope([item for item in listed if bare(str(item["name"])) == block.key])

    def _in_data_provenance(self, block: Block) -> Scope:
        """Of a table: the record that is named above it. A heading comes before that."""
        if block.tag == "TR":
            return _union(map(self._record, block.records))
        kind = "data-provenance"
        return scope([e.body.get("dataset") for e in self.facts.about.values() if e.kind == kind])

    def _in_from_data_to_gate(self, block: Block) -> Scope:
        if block.tag in ("Figure", "P"):
            drawn = [e.index for e in self.facts.about.values() if e.kind in _DRAWN]
            return _union(map(self._record, drawn)) | scope(self._lineage_counts())
        tied = [t for place in _leading(block.key) for t in self._tied(place)]
        if not tied:
            every = self.facts.about.values()
            tied = [e.index for e in every if e.body.get("split") in ("train", "tuning")]
        return _union(map(self._record, tied)) | scope([f"#{place}" for place in tied])

    def _lineage_counts(self) -> list[Any]:
        """How many of each kind are in force and drawn, and not drawn; models; and ties, which the
        table lists one by one."""
        every, old = self.facts.about.values(), self.facts.replaced()
        found: list[Any] = [self._ties]
        for kind in _DRAWN:
            number = sum(e.kind == kind and e.index not in old for e in every)
            found += [min(number, 10), max(number - 10, 0)]
        models = {
            e.body.get("model", {}).get("sha256", "") for e in every if e.kind == "eval-result"
        }
        return [*found, len(models - {""}), *_digits(models)]

    def _in_monitoring_over_time(self, block: Block) -> Scope:
        reports = [e for e in self.facts.about.values() if e.kind == "monitoring-report"]
        if block.tag == "TR":
            return scope([[f"after #{e.index}" for e in reports], self._days()])
        return _union(self._record(e.index) for e in reports) | scope(self._days(), self._series())

    def _days(self) -> list[int]:
        """Days between the end of any report and the next, or the packet's date: all of them, and
        those beyond the cadence."""
        ends, starts = [], [datetime.fromisoformat(self.facts.coverage["as_of"]).date()]
        for entry in self.facts.about.values():
            if entry.kind == "monitoring-report":
                period = entry.body["period"]
                ends.append(
                    (datetime.fromisoformat(period["end"]).date(), entry.body.get("cadenceDays"))
                )
                starts.append(datetime.fromisoformat(period["start"]).date())
        apart = [((s - e).days, c or 0) for e, c in ends for s in starts if s > e]
        return [number for days, c in apart for number in (days, days - 1, days - c)]

    def _series(self) -> list[Any]:
        out = {n for r in self.facts.coverage["left_out"] for n in list(refs(r))[:1]}
        found = [
            e for e in self.facts.about.values()
            if e.kind == "monitoring-report" and e.index not in out
        ]  # fmt: skip
        lines: dict[tuple[str, ...], list[Any]] = {}
        for e in sorted(found, key=lambda e: e.body["period"]["end"]):
            named = tuple(sorted(e.statement["predicate"].get("controls", [])))
            lines.setdefault(named, []).append((e.body["period"], e.body.get("cadenceDays")))
        months = sorted({f"{at[:7]}" for e in found for at in e.body["period"].values()})
        year, first = map(int, months[0].split("-"))
        scale = [f"{year + (first - 1 + n) // 12}-{(first - 1 + n) % 12 + 1:02}" for n in range(12)]
        free = [line for line in lines.values() if line[-1][1] is None]
        late = sum(self._is_late(*line[-1]) for line in lines.values())
        gaps = late + sum(
            _days_between(one["end"], other["start"]) - 1 > (cadence or 999)
            for line in lines.values()
            for (one, _), (other, cadence) in pairwise(line)
        )
        said = [f"{gaps} gap", f"{late} of them at the end", f"for {len(free)} of the series"]
        return [f"{len(found)} reports in {len(lines)} series", said, scale]

    def _is_late(self, period: dict[str, str], cadence: int | None) -> bool:
        today = self.facts.coverage["as_of"][:10]
        return cadence is not None and _days_between(period["end"], today) > cadence

    def _in_evidence_register(self, block: Block) -> Scope:
        return self.document if block.tag == "P" else Scope()

    def _in_what_this_packet_leaves_out(self, block: Block) -> Scope:
        found = scope(MOST, "SHA-256", "U+202E") if block.tag == "LI" else Scope()
        for reason in self.facts.coverage["left_out"]:
            places = [f"#{number}" for number in refs(reason)]
            if places and block.key.split(",")[0] == places[0]:
                found |= scope(reason, places)
        return found

    def _in_chain_of_custody(self, block: Block) -> Scope:
        found = self.document
        for fingerprint, entry in self.facts.keys.items():
            if fingerprint in block.key:
                found |= scope(entry.body, f"#{entry.index}")
                found |= _union(
                    self._record(other.index)
                    for other in self.facts.records.values()
                    if other.kind == "key" and other.body.get("fingerprint") == fingerprint
                )
        return found | scope(
            self.facts.pages["outside"], f"QR code of the checkpoint: {self.facts.note}"
        )

    def _in_verify_this_packet_yourself(self, block: Block) -> Scope:
        folder = resources.files("muniment.reports").joinpath("templates")
        fixed = [folder.joinpath(name).read_text("utf-8") for name in _OWN_PAGES]
        return self.document | scope(fixed, f"receipt-{min(self.facts.about):06d}.sigstore.json")

    def _in_sign_off(self, block: Block) -> Scope:
        return self.document


def _identifier(chapter: str) -> str:
    return re.sub(r"\W+", "_", chapter.lower()).strip("_") or "cover"


def _leading(key: str) -> list[int]:
    match = re.match(r"#(\d+)", key)
    return [int(match[1])] if match else []


def _union(scopes: Any) -> Scope:
    found = Scope()
    for one in scopes:
        found = found | one
    return found


def _weighing(control: dict[str, Any]) -> set[int]:
    return {ref["index"] for ref in (*control["evidence"], *control["approvals"])}


def _without_genesis(entry: Entry) -> dict[str, Any]:
    predicate = dict(entry.statement["predicate"])
    predicate["references"] = [
        {"index": ref["index"], "sha256": ref["sha256"]}
        for ref in predicate.get("references", [])
        if ref["relation"] != "genesis"
    ]
    return predicate


def _digests(entry: Entry) -> set[str]:
    return set(re.findall(r"\b[0-9a-f]{64}\b", str(entry.body)))


def _files(entry: Entry) -> set[str]:
    subjects = {s["digest"]["sha256"] for s in entry.statement["subject"]}
    return subjects | {c.get("sha256", "") for c in entry.body.get("contents", [])}


def _digits(models: Iterable[str]) -> list[list[str]]:
    """What a drawing leaves of "sha256" and the first eight digits of a digest, without letters."""
    return [re.findall(r"\d+", f"256{name[:8]}") for name in models]


def _days_between(one: str, other: str) -> int:
    return (datetime.fromisoformat(other) - datetime.fromisoformat(one)).days


def _counted(body: dict[str, Any]) -> list[str]:
    """How many checks there are and how each number of them ended, how many limits there are and
    how many are not kept, and the numbers of the entries in its lists."""
    ended = [check["outcome"] for check in body.get("checks", [])]
    every = f"{len(ended)} checks"
    failed, passed = ended.count("fail") + ended.count("error"), ended.count("pass")
    unshown = [ended.count("skipped"), ended.count("not-run")]
    limits = failing = 0
    for metric in body.get("metrics", []):
        limit, value = metric.get("threshold"), metric.get("value")
        if limit is not None and metric.get("direction") in ("higher", "lower"):
            holds = value is not None and (
                value >= limit if metric["direction"] == "higher" else value <= limit
            )
            limits += 1
            failing += not holds
    longest = max((len(value) for value in body.values() if isinstance(value, list)), default=0)
    numbers = [str(number) for number in range(1, longest + 1)]
    checks = [f"{some} of {every}" for some in (failed, passed, sum(unshown))]
    return [*checks, f"{failing} of {limits} limits", *map(str, (failed, *unshown)), *numbers]
