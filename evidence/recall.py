"""The records of some systems, in a ledger that was verified before: what they were found to be
then is held against what they are, and the end of the ledger against what came since.

What a full verification remembers (``pinned``) settles the records of each system: which they are,
every byte of them, and when they were recorded. So a machine that verified a ledger can answer for
one system without going through all the others again. Where anything is not as it was, nothing is
concluded here: the whole ledger must be verified, and held against what is remembered of it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import closing
from datetime import datetime
from hashlib import sha256
from heapq import merge

from muniment.schemas.errors import MunimentError
from muniment.schemas.kinds import KindRegistry
from muniment.schemas.record import Record
from muniment.schemas.statement import RecordRef, Statement, SystemRef
from muniment.schemas.text import counted
from muniment.schemas.times import format_time

from .admission import DatedEntry, admit, digest_of_keys, entitle
from .checkpoint import claimed_time
from .dsse import decode, pae, split_envelope
from .entry import Entry
from .garbage import uncollected
from .leaf import join_leaf, leaf_ending, leaf_key
from .merkle import Frontier, hash_leaf
from .note import VerifierKey
from .pinned import Pinned, chain, digest_of_rules
from .storage import Reader
from .tiles import node_reader
from .verification import SYSTEM_KIND, LedgerVerifier, Progress

_Row = tuple[int, bytes, bytes, bytes, datetime]
"""Number, envelope, leaf, leaf hash and recorded time."""


class NotRecalledError(Exception):
    """Something is not as it was when it was verified, or the rules are not."""


def recall(
    reader: Reader,
    vkey: VerifierKey,
    root: str,
    kinds: KindRegistry,
    since: Pinned,
    about: Collection[SystemRef],
    progress: Progress | None,
) -> tuple[LedgerVerifier, list[Record]]:
    """The records of ``about``, those of before recalled and those since then verified in full.

    Args:
        reader: a consistent view of the ledger.
        root: the pinned fingerprint.
        since: what was verified before.

    Returns:
        The verification of what came since, and the records, a few of other systems among them.

    Raises:
        NotRecalledError: the whole ledger must be verified.
    """
    recalling = _Recall(reader, vkey, root, kinds, since, about, progress)
    new = list(recalling.records(about=about))
    return recalling, [*recalling.old, *new]


class _Tree(Frontier):
    """The tree of the entries from where it was verified before; the tiles are not looked at."""

    def finish(self) -> None:
        """Nothing is left to compare."""


class _Recall(LedgerVerifier):
    """A verification that begins where an earlier one ended."""

    def __init__(
        self,
        reader: Reader,
        vkey: VerifierKey,
        root: str,
        kinds: KindRegistry,
        since: Pinned,
        about: Collection[SystemRef],
        progress: Progress | None,
    ) -> None:
        super().__init__(reader, vkey, root, kinds, progress, since)
        self._before = since
        self._systems = about
        self.old: list[Record] = []

    def _resume(self, size: int) -> int:
        since = self._before
        tree = _Tree.of(since.size, node_reader(self._reader.tile))
        keys = [dated for dated in self._keys if dated[0].index < since.size]
        if (
            size < since.size
            or tree.root() != since.root
            or str(self._vkey) != since.ledger
            or digest_of_keys(keys) != since.keys
            or digest_of_rules(self._kinds) != since.rules
        ):
            raise NotRecalledError
        self._tree = tree
        self._time = since.time
        try:
            with uncollected():
                # NOTE: by these rows it was chosen which system is meant.
                for _ in self._rows(since.registrations, kind=SYSTEM_KIND):
                    pass
                self._replay(keys, merge(*map(self._own_rows, self._systems)))
        except (MunimentError, ValueError, OverflowError) as error:
            raise NotRecalledError from error
        return since.size

    def _rows(self, expected: bytes, **columns: str) -> Iterator[_Row]:
        """The rows with these columns, each the one that was verified, in ledger order.

        Args:
            expected: the digest over them.

        Raises:
            NotRecalledError: at the end, if they are not the ones that were.
        """
        times: dict[bytes, datetime | None] = {}
        found = b""
        with closing(self._reader.find_covered(self._before.size, **columns)) as rows:
            for number, envelope, leaf, note in rows:
                if note not in times:
                    # NOTE: the chain is over the time that was found signed.
                    times[note] = claimed_time(note, self._vkey)
                recorded_at, hashed = times[note], hash_leaf(leaf)
                if recorded_at is None:
                    raise NotRecalledError
                found = chain(found, number, recorded_at, hashed)
                yield number, envelope, leaf, hashed, recorded_at
        if found != expected:
            raise NotRecalledError

    def _own_rows(self, system: SystemRef) -> Iterator[_Row]:
        """The rows of one system."""
        expected = self._before.systems.get(system, b"")
        return self._rows(expected, system_id=system.id, system_version=system.version)

    def _replay(self, keys: Sequence[DatedEntry], rows: Iterable[_Row]) -> None:
        """Judge the old key records, and between them the records of these systems."""
        coming = iter(keys)
        key = next(coming, None)
        for number, envelope, leaf, hashed, recorded_at in rows:
            while key is not None and key[0].index < number:
                self._admit(*key)
                key = next(coming, None)
            payload64, keyid, signature64 = split_envelope(envelope)
            payload, signer = decode(payload64), leaf_key(leaf)
            ending = leaf_ending(signer)
            if leaf != join_leaf(sha256(pae(payload)).digest(), signature64, ending):
                raise NotRecalledError
            assert self._genesis is not None
            record = entitle(
                RecordRef(number, hashed.hex()),
                Statement.reread(payload),
                signer.fingerprint,
                self.ring,
                recorded_at,
                self._genesis,
            )
            if keyid.decode() != signer.fingerprint or record.statement.system not in self._systems:
                raise NotRecalledError
            self._checks.trust.note_distrust(record)
            self.old.append(record)
        while key is not None:
            self._admit(*key)
            key = next(coming, None)

    def _admit(self, entry: Entry, recorded_at: datetime) -> None:
        admit(entry, self.ring, recorded_at, self._kinds, self._genesis)
        self._genesis = self._genesis or entry.sha256

    def _conclude(self, size: int) -> None:
        since = self._before
        self.report.extent = "incremental"
        self.report.conclusions.append(
            f"{counted(size - since.size, 'new record')} looked at in full; of "
            f"{counted(since.size, 'record')} verified before, as of {format_time(since.time)}, "
            f"the {counted(len(self.old), 'record')} of the systems in question"
        )
