"""The sentences with counts in them that a packet prints, put together from its embedded data."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from .accounting import MONTHS
from .embedded import GAPS, STATES, Facts, states


def day(time: str) -> str:
    """``21 November 2026``."""
    at = datetime.fromisoformat(time)
    return f"{at.day} {MONTHS[at.month - 1]} {at.year}"


class Sentences:
    """Those of one packet."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts

    def by_chapter(self) -> Iterator[tuple[str, list[str]]]:
        """Chapter to the sentences with counts in it."""
        facts = self.facts
        coverage = facts.coverage
        others = len(facts.about)
        issued = sum(entry.kind == "packet" for entry in facts.about.values())
        yield "", [self.verdict, f"{facts.size:,} records, signed"]
        yield "Contents", [f"{facts.manifest['pages']['count']} pages in all."]
        yield (
            "Summary",
            [self.verdict, self._trend(), self._donut()],
        )
        yield (
            "Scope and system",
            [
                f"It rests on {others} verified records under checkpoint {facts.size:,} of the "
                f"ledger {facts.origin}.",
                f"{coverage['considered']} of {others}",
                *([f"as {issued:,} of them say"] if issued else []),
            ],
        )
        blocking = {item["control"] for item in facts.gate["blocking"]}
        bare_ = [
            c for n, c in facts.controls.items() if c["state"] == "missing" and n not in blocking
        ]
        carries = "have no evidence of a kind that carries them"
        yield "Open gaps", [f"{len(bare_)} further controls {carries}", "within 30 days"]
        yield "Evidence carried over", self._crossing()
        yield "Statement of applicability", [self._applicability(), "ISO/IEC 42001"]
        yield "Evidence register", [f"up to {self.share:,} characters of the record’s body"]
        yield (
            "What this packet leaves out",
            [
                f"{self.share:,} characters",
                f"shared among {others:,}",
                *facts.pages["not_included"],
            ],
        )
        yield "Chain of custody", [f"It fixes all {facts.size:,} records", facts.note]
        yield "Sign-off", [self.verdict]

    @property
    def share(self) -> int:
        """Characters of each body that the register prints."""
        return min(65_536, 2_000_000 // len(self.facts.about))

    @property
    def verdict(self) -> str:
        """For a gate that is shut by several controls."""
        facts = self.facts
        gaps = sum(item["state"] in GAPS for item in facts.controls.values())
        system, profile = facts.coverage["system"], facts.input["profile"]["name"]
        return (
            f"{system['id']}@{system['version']} does not pass the {profile} gate as of "
            f"{day(facts.coverage['as_of'])}: {len(facts.gate['blocking'])} controls block it, "
            f"and {gaps} of {len(facts.controls)} controls are open."
        )

    def _trend(self) -> str:
        before = self.facts.previous
        if before is None:
            return "No packet over these frameworks was issued for this system version before"
        size = before.body["checkpoint"]["size"]
        return (
            f"{self.facts.size - size:,} records came since the packet of "
            f"{day(before.recorded)}, checkpoint {size:,}."
        )

    def _donut(self) -> str:
        now = states(self.facts.controls.values())
        told = (f"{now[name]} {word.lower()}" for name, word in STATES.items() if now[name])
        return f"All controls: {', '.join(told)}"

    @property
    def middle(self) -> str:
        """What is written in the ring of all controls."""
        met, total = states(self.facts.controls.values())["met"], len(self.facts.controls)
        return f"{100 * met // total}% {met} of {total} met"

    def _crossing(self) -> list[str]:
        held: set[str] = set()
        pairs: dict[str, set[frozenset[str]]] = {"published": set(), "inferred": set()}
        for name, control in self.facts.controls.items():
            for reason in control["reasons"]:
                if reason["code"] in ("evidence.carried", "evidence.not-carried"):
                    held |= {name} if reason["code"] == "evidence.carried" else set()
                    for hop in reason["path"]:
                        ends = frozenset((hop["from"], hop["to"]))
                        pairs[hop["source"]].add(ends)
        count = {name: len(found) for name, found in pairs.items()}
        return [
            f"{len(held)} controls rest on evidence",
            f"an authority published {count['published']}; {count['inferred']} are inferred",
        ]

    def _applicability(self) -> str:
        found = dict.fromkeys(("applicable", "not applicable", "not decided"), 0)
        for name, control in self.facts.controls.items():
            if name.startswith("iso-42001-2023:A."):
                said = control.get("applicability")
                word = "not decided" if said is None else "applicable"
                found[word if said is None or said["applicable"] else "not applicable"] += 1
        return ", ".join(f"{number} {word}" for word, number in found.items())
