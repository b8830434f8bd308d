"""The auditor's test sample: which records a published rule draws. Pure.

docs/formats.md, section Sample, has the rule, exact enough to draw again with a few lines of any
language from the receipts alone.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from muniment.schemas.errors import InputError
from muniment.schemas.record import Record
from muniment.schemas.statement import GATE_DECISION, SystemRef

from .index import ERASURE, LINK, PACKET, RETRACTION, SAMPLE_TEST
from .standing import erased

RULE = "muniment-sample/v1"
"""Name and version of the rule; it stands at the beginning of everything that is hashed."""
MAX_DRAWN = 1000
"""Most records of one sample."""
NO_CONTROL, GONE = "none", "erased"
"""Strata by control of records that claim none, and of those whose controls are not known."""
_KEY = "key"
_NOT_DRAWN = frozenset({LINK, RETRACTION, ERASURE, GATE_DECISION, SAMPLE_TEST, PACKET, _KEY})
"""Kinds that only speak of other records, of what was concluded from them, or of keys."""
_SALT = re.compile(r"[!-~](?:[ -~]{0,198}[!-~])?")


class By(StrEnum):
    """What the population is divided by."""

    KIND = "kind"
    CONTROL = "control"


@dataclass(frozen=True, slots=True)
class Seed:
    """What the draw depends on, besides the records themselves."""

    size: int
    """Number of entries under the checkpoint; later records are not drawn from."""
    root: str
    """Root hash of the checkpoint, 64 hexadecimal digits."""
    salt: str = ""
    """The auditor's word; empty where there is none."""

    def mark(self, what: str, value: str) -> bytes:
        """The digest by which strata and records are put in order."""
        lines = (RULE, self.root, self.salt, what, value)
        return hashlib.sha256("".join(f"{line}\n" for line in lines).encode()).digest()


@dataclass(frozen=True, slots=True)
class Candidate:
    """One record of the population."""

    index: int
    sha256: str
    kind: str
    controls: tuple[str, ...] | None
    """Full ids of the controls it claims itself; None of an erased record: not known."""

    @property
    def is_erased(self) -> bool:
        """Whether all that is left of it is what the order of erasure says."""
        return self.controls is None


@dataclass(frozen=True, slots=True)
class Stratum:
    """One part of the population."""

    name: str
    population: int
    drawn: int

    def to_json(self) -> dict[str, Any]:
        """The stratum in the signed record and in documents."""
        return {"name": self.name, "population": self.population, "drawn": self.drawn}


@dataclass(frozen=True, slots=True)
class Drawn:
    """One record of the sample."""

    candidate: Candidate
    stratum: str

    def to_json(self) -> dict[str, Any]:
        """Place, digest and stratum."""
        candidate = self.candidate
        return {"index": candidate.index, "sha256": candidate.sha256, "stratum": self.stratum}


@dataclass(frozen=True, slots=True)
class Sample:
    """What the rule draws from the records about one system version."""

    system: SystemRef
    seed: Seed
    by: By
    n: int
    """How many were asked for; fewer are drawn where there are not so many."""
    strata: tuple[Stratum, ...]
    """By name."""
    drawn: tuple[Drawn, ...]
    """In ledger order."""
    unseen: tuple[str, ...]
    """Controls that records of the population claim, and none that was drawn."""

    @property
    def population(self) -> int:
        """Number of records that could be drawn."""
        return sum(stratum.population for stratum in self.strata)

    def to_body(self) -> dict[str, Any]:
        """The sample as a ``sample-test`` record states it, without outcomes."""
        salt = {"salt": self.seed.salt} if self.seed.salt else {}
        return {
            "rule": RULE,
            "checkpoint": {"size": self.seed.size, "root": self.seed.root},
            **salt,
            "by": str(self.by),
            "n": self.n,
            "strata": [stratum.to_json() for stratum in self.strata],
            "records": [item.to_json() for item in self.drawn],
        }

    def to_json(self) -> dict[str, Any]:
        """The sample as a packet embeds it."""
        return {"system": self.system.to_json(), **self.to_body()}


def check_salt(text: str) -> str:
    """The auditor's word, if it may be one.

    Raises:
        InputError: ``sample.salt``.
    """
    if not _SALT.fullmatch(text):
        raise InputError(
            "sample.salt",
            "that cannot be the auditor's word",
            expected="1 to 200 ASCII characters that print, no blank at either end",
            found=text[:200],
        )
    return text


def check_number(n: int) -> int:
    """The number of records that are asked for, if there may be so many.

    Raises:
        InputError: ``sample.number``.
    """
    if not 1 <= n <= MAX_DRAWN:
        raise InputError(
            "sample.number",
            "a sample has at least one record, and not too many to be tested",
            expected=f"1 to {MAX_DRAWN}",
            found=str(n),
        )
    return n


def population(records: Iterable[Record], system: SystemRef, size: int) -> list[Candidate]:
    """The records that can be drawn, in ledger order; see ``docs/formats.md``.

    Superseded, retracted and distrusted records are among them, and erased ones, by what the order
    says: nothing that is done after the checkpoint takes a record out of the draw.

    Args:
        records: all that are verified, in any order; those about other systems are passed over.
        size: number of entries under the checkpoint.
    """
    own = [record for record in records if record.statement.system == system]
    found = {
        item.index: Candidate(item.index, item.sha256, item.kind, None)
        for item in erased(own)
        if item.index < min(size, item.by) and item.kind not in _NOT_DRAWN
    }
    for record in own:
        if record.index < size and record.kind not in _NOT_DRAWN:
            controls = tuple(sorted(set(record.statement.controls)))
            found[record.index] = Candidate(record.index, record.sha256, record.kind, controls)
    return [found[index] for index in sorted(found)]


def draw(records: Iterable[Record], system: SystemRef, seed: Seed, n: int, by: By) -> Sample:
    """Draw ``n`` records about a system version.

    Args:
        records: all that are verified, in any order.

    Raises:
        InputError: ``sample.number``, ``sample.salt`` or ``sample.empty``.
    """
    check_number(n)
    if seed.salt:
        check_salt(seed.salt)
    candidates = population(records, system, seed.size)
    if not candidates:
        raise InputError(
            "sample.empty",
            f"no record about {system} stands under the checkpoint of size {seed.size}",
        )
    strata = _strata(candidates, by)
    shares = allocate({name: len(items) for name, items in strata.items()}, seed, n)
    drawn = [
        Drawn(item, name)
        for name, items in strata.items()
        for item in sorted(items, key=lambda item: seed.mark("record", item.sha256))[: shares[name]]
    ]
    seen = {control for item in drawn for control in item.candidate.controls or ()}
    return Sample(
        system,
        seed,
        by,
        n,
        tuple(Stratum(name, len(strata[name]), shares[name]) for name in sorted(strata)),
        tuple(sorted(drawn, key=lambda item: item.candidate.index)),
        tuple(sorted({name for item in candidates for name in item.controls or ()} - seen)),
    )


def allocate(sizes: Mapping[str, int], seed: Seed, n: int) -> dict[str, int]:
    """How many records each stratum gives.

    1. put the strata in the order of their digests
    2. each gives one, as far as ``n`` goes
    3. the rest is divided in proportion to what each has left, whole numbers first, then one each
       by the largest remainder; of equal remainders the stratum that stands first in that order

    Args:
        sizes: records in each stratum, at least one.
        n: at least 1; where it is more than all, all are given.
    """
    names = sorted(sizes, key=lambda name: seed.mark("stratum", name))  # (1)
    n = min(n, sum(sizes.values()))
    shares = {name: int(place < n) for place, name in enumerate(names)}  # (2)
    rest, left = n - len(names), sum(sizes.values()) - len(names)
    if rest <= 0:
        return shares
    parts = {name: rest * (sizes[name] - 1) for name in names}  # (3)
    for name in names:
        shares[name] += parts[name] // left
    over = n - sum(shares.values())
    for name in sorted(names, key=lambda name: -(parts[name] % left))[:over]:
        shares[name] += 1
    return shares


def differences(stated: Mapping[str, Any], sample: Sample) -> Iterator[tuple[str, str, str]]:
    """What of a stated sample the rule does not give: a sentence, what is expected, what is found.

    Args:
        stated: the body of a ``sample-test`` record, or what ``Sample.to_json`` gave.
    """
    body = sample.to_body()
    expected, found = (_places(item["records"]) for item in (body, stated))
    if expected != found:
        yield (
            "these are not the records that the rule draws",
            _listed(expected - found) or "none besides",
            _listed(found - expected) or "nothing for them",
        )
    elif len(stated["records"]) != len(expected):
        yield "a record is listed twice", f"{len(expected)} records", f"{len(stated['records'])}"
    if _by_name(stated["strata"]) != _by_name(body["strata"]):
        yield (
            "these are not the strata that the rule makes",
            _words(body["strata"]),
            _words(stated["strata"]),
        )


def _strata(candidates: Sequence[Candidate], by: By) -> dict[str, list[Candidate]]:
    """The population divided; every record stands in one stratum and no other.

    By control, a record stands with the control that the fewest records claim, so that a control
    with little evidence is not lost behind one with much.
    """
    claims = Counter(name for item in candidates for name in item.controls or ())
    found: dict[str, list[Candidate]] = {}
    for item in candidates:
        if by is By.KIND:
            name = item.kind
        elif item.controls is None:
            name = GONE
        else:
            name = min(item.controls, key=lambda name: (claims[name], name), default=NO_CONTROL)
        found.setdefault(name, []).append(item)
    return found


def _places(items: Iterable[Mapping[str, Any]]) -> set[tuple[int, str, str]]:
    return {(item["index"], item["sha256"], item["stratum"]) for item in items}


def _listed(items: Iterable[tuple[int, str, str]]) -> str:
    return ", ".join(f"#{index} {sha[:12]} ({name})" for index, sha, name in sorted(items))


def _by_name(strata: Iterable[Mapping[str, Any]]) -> list[tuple[Any, ...]]:
    return sorted((item["name"], item["population"], item["drawn"]) for item in strata)


def _words(strata: Iterable[Mapping[str, Any]]) -> str:
    return ", ".join(f"{name} {drawn} of {total}" for name, total, drawn in _by_name(strata))
