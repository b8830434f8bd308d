"""Policies: which ledgers and witnesses are trusted, and how many must agree. Pure.

Source: C2SP tlog-policy. A policy is text, one definition a line::

    log      VKEY [URL]
    witness  NAME VKEY [URL]
    group    NAME THRESHOLD|any|all MEMBER…
    quorum   NAME|none
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from muniment.schemas.errors import CheckpointError, InputError, MunimentError, SignatureError
from muniment.schemas.times import format_time

from .note import COSIGNATURE_V1, ED25519, SignedNote, VerifierKey

NONE = "none"
"""The quorum that asks for no witness."""
_ILLEGAL = re.compile(rb"[\x00-\x08\x0b-\x1f\x7f]")
_BLANK = re.compile(r"[ \t]+")
_COUNT = re.compile(r"[1-9][0-9]{0,5}")
_LATEST = (1 << 63) - 1
"""Largest time a cosignature may carry (C2SP tlog-cosignature)."""
_APART = timedelta(days=1)
"""How far clocks may be apart before a cosignature's time is called impossible."""


@dataclass(frozen=True, slots=True)
class Log:
    """A ledger that the policy accepts."""

    vkey: VerifierKey
    """Its name is the ledger's origin."""
    url: str | None = None


@dataclass(frozen=True, slots=True)
class Witness:
    """A witness that the policy knows."""

    name: str
    """Its name within the policy; without meaning elsewhere."""
    vkey: VerifierKey
    url: str | None = None
    """Submission prefix: checkpoints are sent to ``URL/add-checkpoint``."""


@dataclass(frozen=True, slots=True)
class Group:
    """Witnesses, or groups of them, of which some must agree."""

    name: str
    threshold: int
    members: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a policy says of one checkpoint."""

    cosigned: dict[str, int]
    """Names of the witnesses whose cosignature holds, each with its time (seconds since 1970)."""
    faults: dict[str, MunimentError]
    """Names of the witnesses whose line is there and does not hold, with the reason."""
    is_met: bool
    """Whether the quorum is met."""


@dataclass(frozen=True, slots=True)
class Policy:
    """A policy that was read."""

    logs: tuple[Log, ...]
    """Empty where the ledger is known from elsewhere."""
    witnesses: tuple[Witness, ...]
    groups: tuple[Group, ...]
    """Each only names what stands before it."""
    quorum: str
    """Name of a witness or group, or ``none``."""

    @classmethod
    def parse(cls, data: bytes) -> Policy:
        """Read a policy file.

        Raises:
            InputError: ``policy.malformed``, naming the line.
        """
        return _Parser().run(data)

    def witness(self, name: str) -> Witness:
        """The witness of that name.

        Raises:
            InputError: ``witness.unknown``.
        """
        for witness in self.witnesses:
            if witness.name == name:
                return witness
        raise InputError(
            "witness.unknown",
            f"the policy names no witness {name!r}",
            expected=", ".join(item.name for item in self.witnesses) or "no witness is named",
            found=name,
        )

    def accepts(self, vkey: VerifierKey) -> bool:
        """Whether a ledger is one of the policy's, or the policy leaves that open."""
        return not self.logs or vkey in [log.vkey for log in self.logs]

    def is_met_by(self, names: Collection[str]) -> bool:
        """Whether these witnesses are a quorum."""
        standing = set(names)
        for group in self.groups:
            if sum(member in standing for member in group.members) >= group.threshold:
                standing.add(group.name)
        return self.quorum == NONE or self.quorum in standing

    def judge(self, note: SignedNote, period: tuple[datetime, datetime] | None = None) -> Judgement:
        """Check the cosignatures on a checkpoint; lines of others than its witnesses are ignored.

        Whether the ledger itself signed is not looked at here.

        Args:
            period: as for ``cosigned_at``.
        """
        cosigned: dict[str, int] = {}
        faults: dict[str, MunimentError] = {}
        for witness in self.witnesses:
            try:
                cosigned[witness.name] = cosigned_at(note, witness.vkey, period)
            except CheckpointError as error:
                if error.code != "note.unsigned":
                    faults[witness.name] = error
            except SignatureError as error:
                faults[witness.name] = error
        return Judgement(cosigned, faults, self.is_met_by(cosigned))


def cosigned_at(
    note: SignedNote, vkey: VerifierKey, period: tuple[datetime, datetime] | None = None
) -> int:
    """When a witness cosigned a note, seconds since 1970.

    Args:
        period: when the checkpoint was signed, and now; the time must lie between, give or take a
            day.

    Raises:
        CheckpointError: ``note.unsigned``, ``note.malformed`` or ``witness.time``.
        SignatureError: ``signature.invalid``.
    """
    time = note.verify(vkey) or 0
    if time > _LATEST:
        raise CheckpointError(
            "note.malformed", "the cosignature's time is impossible", found=str(time)
        )
    if period is not None:
        earliest, latest = period[0] - _APART, period[1] + _APART
        if not earliest.timestamp() <= time <= latest.timestamp():
            raise CheckpointError(
                "witness.time",
                f"{vkey.name} states a time at which it cannot have cosigned",
                expected=f"{format_time(earliest)} to {format_time(latest)}",
                found=f"{time} seconds since 1970",
            )
    return time


@dataclass(slots=True)
class _Parser:
    """One reading of one file."""

    line: int = 0
    logs: list[Log] = field(default_factory=list)
    witnesses: list[Witness] = field(default_factory=list)
    groups: list[Group] = field(default_factory=list)
    quorum: str | None = None
    members: set[str] = field(default_factory=set)

    def run(self, data: bytes) -> Policy:
        # NOTE: names are bytes without further meaning; this keeps different bytes different.
        for number, line in enumerate(data.split(b"\n"), 1):
            self.line = number
            if _ILLEGAL.search(line):
                raise self.wrong("holds a control character")
            words = _BLANK.split(line.decode("utf-8", "surrogateescape").strip(" \t"))
            if words[0] and not words[0].startswith("#"):
                self.take(words[0], words[1:])
        if self.quorum is None:
            raise InputError(
                "policy.malformed",
                "the policy has no quorum line",
                expected="quorum NAME, or quorum none",
            )
        return Policy(tuple(self.logs), tuple(self.witnesses), tuple(self.groups), self.quorum)

    def take(self, word: str, rest: list[str]) -> None:
        forms = {
            "log": (1, 2, "log VKEY [URL]", self.take_log),
            "witness": (2, 3, "witness NAME VKEY [URL]", self.take_witness),
            "group": (3, 1 << 20, "group NAME THRESHOLD|any|all MEMBER…", self.take_group),
            "quorum": (1, 1, "quorum NAME|none", self.take_quorum),
        }
        if word not in forms:
            raise self.wrong("begins with no known word", ", ".join(forms), word)
        least, most, form, function = forms[word]
        if not least <= len(rest) <= most:
            raise self.wrong("has too few or too many words", form, " ".join([word, *rest]))
        function(rest)

    def take_log(self, words: list[str]) -> None:
        vkey = self.key(words[0], ED25519, "a ledger's key (type 1)")
        if vkey.key in [log.vkey.key for log in self.logs]:
            raise self.wrong("names a ledger key a second time", found=words[0])
        self.logs.append(Log(vkey, *words[1:]))

    def take_witness(self, words: list[str]) -> None:
        self.check_new(words[0])
        vkey = self.key(words[1], COSIGNATURE_V1, "a witness's key (type 4)")
        if vkey.key in [witness.vkey.key for witness in self.witnesses]:
            raise self.wrong("names a witness key a second time", found=words[1])
        self.witnesses.append(Witness(words[0], vkey, *words[2:]))

    def take_group(self, words: list[str]) -> None:
        name, threshold, *members = words
        self.check_new(name)
        for member in members:
            self.check_defined(member)
            if member in self.members:
                raise self.wrong("counts a member a second time", found=member)
            self.members.add(member)
        counts = {"any": 1, "all": len(members)}
        count = counts.get(threshold) or (int(threshold) if _COUNT.fullmatch(threshold) else 0)
        if not 1 <= count <= len(members):
            raise self.wrong(
                "has an impossible threshold", f"any, all, or 1 to {len(members)}", threshold
            )
        self.groups.append(Group(name, count, tuple(members)))

    def take_quorum(self, words: list[str]) -> None:
        if self.quorum is not None:
            raise self.wrong("is a second quorum line")
        if words[0] != NONE:
            self.check_defined(words[0])
        self.quorum = words[0]

    def names(self) -> set[str]:
        return {item.name for item in self.witnesses} | {item.name for item in self.groups}

    def check_new(self, name: str) -> None:
        if name == NONE or name in self.names():
            raise self.wrong("gives a name that is taken", found=name)

    def check_defined(self, name: str) -> None:
        if name not in self.names():
            raise self.wrong("uses a name that no line before it defines", found=name)

    def key(self, text: str, kind: int, expected: str) -> VerifierKey:
        try:
            vkey = VerifierKey.parse(text)
        except MunimentError as error:
            raise self.wrong(f"holds no usable key: {error.message}", expected, text) from error
        except UnicodeError as error:
            raise self.wrong("holds a key whose name is not UTF-8") from error
        if vkey.type != kind:
            raise self.wrong("holds a key of another type", expected, text)
        return vkey

    def wrong(self, why: str, expected: str | None = None, found: str | None = None) -> InputError:
        shown = None if found is None else found.encode("utf-8", "replace").decode()[:200]
        return InputError(
            "policy.malformed",
            f"line {self.line} of the policy {why}",
            expected=expected,
            found=shown,
        )
