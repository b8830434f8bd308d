"""The crosswalk: typed pairs of controls, and the paths along which evidence carries over.

A pair is read both ways. Evidence carries over only where a pair is ``close``; elsewhere it helps.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cache
from typing import Any

from muniment.schemas import strictjson
from muniment.schemas.errors import InputError
from muniment.schemas.validation import Validator, closed

from .data import read_yaml

_CONTROL = "^[a-z0-9][a-z0-9._-]{0,99}:[A-Za-z0-9][A-Za-z0-9 ._()/-]{0,99}$"


class Fit(StrEnum):
    """How well two controls fit each other, best first."""

    CLOSE = "close"
    """Same object and similar duty: evidence carries over."""
    PARTIAL = "partial"
    """Evidence helps, but does not settle the duty."""
    UNRATED = "unrated"
    """The source pairs the two and says no more; it counts as ``partial``."""


class Source(StrEnum):
    """Who says that two controls belong together."""

    PUBLISHED = "published"
    """An authority, in a source that the crosswalk which ships was read from."""
    IMPORTED = "imported"
    """Whoever made a file in ``frameworks/``, by an import or by hand."""
    INFERRED = "inferred"
    """Our judgement; no authority is behind it."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Two controls of different catalogs that belong together."""

    first: str
    """Full id, ``catalog:control``."""
    second: str
    source: Source
    fit: Fit
    doubt: str | None = None
    """What is uncertain about the pair itself."""

    def turned(self) -> Pair:
        """The same pair, read the other way."""
        return replace(self, first=self.second, second=self.first)

    def to_json(self) -> dict[str, Any]:
        """The pair as a crosswalk document and the path of a reason hold it."""
        doubt = {"doubt": self.doubt} if self.doubt else {}
        return {
            "from": self.first,
            "to": self.second,
            "source": str(self.source),
            "fit": str(self.fit),
            **doubt,
        }


@dataclass(frozen=True, slots=True)
class Outside:
    """A pair whose other side is in no catalog, such as an article that has no control here."""

    control: str
    topic: str
    source: Source
    fit: Fit


@dataclass(frozen=True, slots=True)
class Path:
    """One or two pairs that lead from one control to another."""

    hops: tuple[Pair, ...]

    @property
    def start(self) -> str:
        """Full id of the control whose evidence is carried."""
        return self.hops[0].first

    @property
    def end(self) -> str:
        """Full id of the control it is carried to."""
        return self.hops[-1].second

    @property
    def fit(self) -> Fit:
        """That of the weakest hop."""
        return max((hop.fit for hop in self.hops), key=_WEAKNESS.__getitem__)

    @property
    def carries(self) -> bool:
        """Whether evidence carries over; otherwise it only helps."""
        return self.fit is Fit.CLOSE

    @property
    def source(self) -> Source:
        """That of the hop with the least authority behind it."""
        return max((hop.source for hop in self.hops), key=_DISTANCE.__getitem__)

    @property
    def rank(self) -> tuple[Any, ...]:
        """Better paths sort first: fit, then fewer hops, then the better source."""
        return _WEAKNESS[self.fit], len(self.hops), _DISTANCE[self.source], self.ids

    @property
    def ids(self) -> tuple[str, ...]:
        """The controls along the path."""
        return (self.start, *(hop.second for hop in self.hops))

    def __str__(self) -> str:
        steps = (f" → {hop.second} ({hop.fit}, {hop.source})" for hop in self.hops)
        return self.start + "".join(steps)


_WEAKNESS = {fit: place for place, fit in enumerate(Fit)}
_DISTANCE = {source: place for place, source in enumerate(Source)}


@dataclass(frozen=True, slots=True)
class Crosswalk:
    """Pairs between catalogs."""

    id: str
    name: str
    pairs: tuple[Pair, ...]
    outside: tuple[Outside, ...] = ()
    """For people only; nothing is computed from these."""

    @property
    def sha256(self) -> str:
        """Digest of the document, in hexadecimal; two loads agree."""
        return strictjson.digest(self.to_json())

    def to_json(self) -> dict[str, Any]:
        """The crosswalk document: what a packet embeds."""
        return {
            "crosswalk": self.id,
            "name": self.name,
            "pairs": [pair.to_json() for pair in self.pairs],
        }

    @classmethod
    def from_json(cls, value: Any) -> Crosswalk:
        """Read what ``to_json`` wrote, perhaps by a stranger.

        Raises:
            SchemaError: ``crosswalk.malformed``, with every fault.
            InputError: ``crosswalk.duplicate`` or ``crosswalk.same-catalog``.
        """
        _form().require(value, "crosswalk.malformed", "a crosswalk")
        pairs = tuple(
            Pair(
                item["from"],
                item["to"],
                Source(item["source"]),
                Fit(item["fit"]),
                item.get("doubt"),
            )
            for item in value["pairs"]
        )
        _check_pairs(pairs)
        return cls(value["crosswalk"], value["name"], pairs)

    def joined(self, others: Iterable[Crosswalk]) -> Crosswalk:
        """This crosswalk with the pairs of others that it does not have."""
        seen = {frozenset((pair.first, pair.second)) for pair in self.pairs}
        found = list(self.pairs)
        for pair in (pair for other in others for pair in other.pairs):
            ends = frozenset((pair.first, pair.second))
            if ends not in seen:
                found.append(pair)
            seen.add(ends)
        return replace(self, pairs=tuple(found))

    def among(self, controls: AbstractSet[str]) -> Crosswalk:
        """The pairs between catalogs of which ``controls`` are all the controls.

        Args:
            controls: full ids; a catalog that has none here takes no part.

        Raises:
            InputError: ``crosswalk.unknown-control``, a catalog lacks a control that a pair names.
        """
        catalogs = {control.partition(":")[0] for control in controls}
        pairs = []
        for pair in self.pairs:
            ends = (pair.first, pair.second)
            if not all(end.partition(":")[0] in catalogs for end in ends):
                continue
            if lacking := next((end for end in ends if end not in controls), None):
                raise InputError(
                    "crosswalk.unknown-control",
                    f"crosswalk {self.id} pairs {pair.first} with {pair.second}, but there is no "
                    f"control {lacking}",
                    found=lacking,
                )
            pairs.append(pair)
        return replace(self, pairs=tuple(pairs), outside=())

    def reaching(self, catalogs: Iterable[str], used: Iterable[str]) -> list[str]:
        """Ids of the catalogs among ``used`` from which a path may lead into ``catalogs``."""
        joined = {
            (one.partition(":")[0], other.partition(":")[0])
            for pair in self.pairs
            for one, other in ((pair.first, pair.second), (pair.second, pair.first))
        }
        among, ends = list(dict.fromkeys(used)), set(catalogs)
        near = {one for one, other in joined if other in ends and one in among}
        far = {one for one, other in joined if other in near and one in among}
        return [name for name in among if name in near | far]

    def published(self) -> Crosswalk:
        """The pairs that an authority published: neither our judgement nor a file's."""
        kept = tuple(pair for pair in self.pairs if pair.source is Source.PUBLISHED)
        return replace(self, pairs=kept)


class Paths:
    """The paths of a crosswalk by the control they lead to."""

    def __init__(self, crosswalk: Crosswalk, sources: AbstractSet[str]) -> None:
        """Keep the paths that lead through catalogs with ids in ``sources`` alone."""
        self._into: dict[str, list[Pair]] = {}
        for pair in (*crosswalk.pairs, *(pair.turned() for pair in crosswalk.pairs)):
            if pair.first.partition(":")[0] in sources:
                self._into.setdefault(pair.second, []).append(pair)

    def to(self, control: str) -> tuple[Path, ...]:
        """The best path from every other control, best first.

        One hop of any fit, or two that are both close: help for what only helps is no help. A path
        leads to another catalog, or one duty would stand for its neighbour.
        """
        best: dict[str, Path] = {}
        for last in self._into.get(control, ()):
            for path in (Path((last,)), *self._through(last)):
                known = best.get(path.start)
                if known is None or path.rank < known.rank:
                    best[path.start] = path
        return tuple(sorted(best.values(), key=lambda path: path.rank))

    def _through(self, last: Pair) -> list[Path]:
        if last.fit is not Fit.CLOSE:
            return []
        home = last.second.partition(":")[0]
        return [
            Path((first, last))
            for first in self._into.get(last.first, ())
            if first.fit is Fit.CLOSE and first.first.partition(":")[0] != home
        ]


NONE = Crosswalk("none", "No crosswalk", ())
"""Carries nothing."""


@cache
def load_crosswalk() -> Crosswalk:
    """The crosswalk that ships: NIST AI RMF 1.0, ISO/IEC 42001:2023 and the EU AI Act."""
    data = read_yaml("catalogs/crosswalk.yaml")
    topics = data["outside"]
    doubts = {(item["from"], item["to"]): item["doubt"] for item in data["doubts"]}
    pairs, outside = [], []
    for block in data["blocks"]:
        source, fit = Source(block["source"]), Fit(block["fit"])
        for short, partners in block["pairs"].items():
            first = f"{block['from']}:{short}"
            for partner in partners:
                second = f"{block['to']}:{partner}"
                if partner in topics:
                    topic = f"{partner}, {topics[partner]}"
                    outside.append(Outside(first, topic, source, fit))
                else:
                    pairs.append(Pair(first, second, source, fit, doubts.get((first, second))))
    return Crosswalk(data["crosswalk"], data["name"], tuple(pairs), tuple(outside))


def _check_pairs(pairs: Sequence[Pair]) -> None:
    seen = set()
    for pair in pairs:
        if pair.first.partition(":")[0] == pair.second.partition(":")[0]:
            raise InputError(
                "crosswalk.same-catalog",
                f"{pair.first} is paired with {pair.second}, which is of the same catalog",
            )
        ends = frozenset((pair.first, pair.second))
        if ends in seen:
            raise InputError(
                "crosswalk.duplicate", f"{pair.first} is paired twice with {pair.second}"
            )
        seen.add(ends)


@cache
def _form() -> Validator:
    text = {"type": "string", "minLength": 1, "maxLength": 2000}
    control = {"type": "string", "pattern": _CONTROL}
    pair = closed(
        {
            "from": control,
            "to": control,
            "source": {"enum": [str(item) for item in Source]},
            "fit": {"enum": [str(item) for item in Fit]},
        },
        doubt=text,
    )
    return Validator(
        closed(
            {
                "crosswalk": {"type": "string", "pattern": "^[a-z0-9][a-z0-9._-]{0,99}$"},
                "name": text,
                "pairs": {"type": "array", "items": pair, "maxItems": 10_000},
            }
        )
    )
