"""A workspace: a folder with ``muniment.yaml``, its ledger, artifacts and keys, and what one does
there."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from muniment.schemas import times
from muniment.schemas.errors import (
    DamageError,
    InputError,
    StoreError,
    TrustError,
    VerificationError,
)
from muniment.schemas.files import read_small
from muniment.schemas.finding import VerificationReport
from muniment.schemas.kinds import KindRegistry, check_body, own_kinds
from muniment.schemas.record import Record, Role
from muniment.schemas.statement import (
    GENESIS,
    RecordRef,
    Statement,
    Subject,
    SystemRef,
    predicate_type,
)
from muniment.schemas.text import with_article

from .artifacts import ArtifactStore, hash_file
from .checkpoint import check_origin
from .config import FILE_NAME, STATE_FOLDER, Config, make_state_folder
from .draft import Draft, Evidence, draft
from .dsse import Envelope
from .entry import Entry
from .keyfiles import AskPassphrase, KeyFiles, config_folder
from .keys import RecordKey, new_ed25519, new_p256
from .ledger import Ledger
from .lookup import find_row, find_system
from .note import ED25519, VerifierKey
from .people import People
from .pinned import Pinned
from .policy import Policy
from .statements import Holder, key_statement
from .storage import Storage, check_shareable, translated_errors
from .verification import LedgerVerifier, Progress
from .verified import VerifiedLedger
from .warnings import warnings_of
from .withdrawal import require_author

if TYPE_CHECKING:
    from .timestamp import Timestamp

__all__ = ["Attached", "Evidence", "Holder", "Workspace"]

WORKSPACE_VARIABLE = "MUNIMENT_WORKSPACE"
KEY_VARIABLE = "MUNIMENT_KEY"
DEFAULT_KEY = "default"


@dataclass(frozen=True, slots=True)
class Attached:
    """What attaching answered."""

    record: Record
    is_new: bool
    """False if the same evidence by the same signer was there already."""
    warnings: tuple[str, ...] = ()
    """What the user should know, such as a file that is not committed."""


class Workspace:
    """One workspace.

    Args:
        root: the folder that holds ``muniment.yaml``.
        key: name of the signing key; by default the one chosen for this checkout.
        ask: asks for a passphrase when a key file is encrypted.
        clock: the time, UTC.
    """

    def __init__(
        self,
        root: Path,
        *,
        key: str | None = None,
        ask: AskPassphrase = lambda name: None,
        clock: Callable[[], datetime] = times.now,
    ) -> None:
        self.root = root
        self.config = Config.load(root / FILE_NAME)
        self.clock = clock
        self.keys = KeyFiles(config_folder(), ask)
        self._key_name = key or os.environ.get(KEY_VARIABLE)

    @classmethod
    def find(cls, start: Path | str | None = None, **options: Any) -> Self:
        """Open the workspace at or above ``start`` (by default ``$MUNIMENT_WORKSPACE``, else here).

        Raises:
            InputError: ``workspace.missing``.
        """
        chosen = start or os.environ.get(WORKSPACE_VARIABLE)
        here = Path(chosen or ".").resolve()
        candidates = [here] if chosen else [here, *here.parents]
        for folder in candidates:
            if (folder / FILE_NAME).is_file():
                return cls(folder, **options)
        raise InputError(
            "workspace.missing",
            f"there is no {FILE_NAME} in {here}{'' if chosen else ' or above it'}",
            hint="muniment init makes a workspace",
        )

    @classmethod
    def init(
        cls,
        folder: Path | str,
        *,
        organisation: str,
        origin: str,
        frameworks: Sequence[str],
        holder: Holder,
        functions: Sequence[str] = (),
        passphrase: str | None = None,
        ledger: str | None = None,
        **options: Any,
    ) -> Self:
        """Make a workspace: keys, genesis, ``muniment.yaml``.

        The user's key of the chosen name is taken if it exists, else made.

        Raises:
            InputError: ``workspace.exists`` and what is wrong with the arguments.
            StoreError: the ledger cannot be made.
        """
        root = Path(folder).resolve()
        if (root / FILE_NAME).exists():
            raise InputError("workspace.exists", f"{root} is a workspace already")
        check_origin(origin)
        if ledger is not None:
            check_shareable(ledger)
        keys = KeyFiles(config_folder(), options.get("ask", lambda name: None))
        name = options.get("key") or os.environ.get(KEY_VARIABLE) or DEFAULT_KEY
        clock = options.get("clock", times.now)
        ledger_key = new_ed25519()
        vkey = VerifierKey(origin, ED25519, ledger_key.public)
        if not keys.exists(name):
            keys.save(keys.path(name), new_p256(), passphrase)
        user = keys.open(name)
        statement = key_statement(
            user.public, holder, [*Role], functions, clock(), references=(), ledger=str(vkey)
        )
        kinds = KindRegistry()
        check_body(statement, kinds)
        config = Config(
            organisation,
            origin,
            user.public.fingerprint,
            tuple(frameworks),
            **({"ledger": ledger} if ledger else {}),
        )
        with translated_errors():
            make_state_folder(root)
        storage = Storage(config.ledger, root)
        if storage.exists():
            raise StoreError(
                "store.exists",
                f"there is a ledger but no {FILE_NAME} beside it",
                hint=f"bring {FILE_NAME} back from git, or move {STATE_FOLDER} away",
            )
        keys.save(keys.ledger_path(vkey), ledger_key, passphrase)
        envelope = Envelope.sign(statement.to_payload(), user)
        Ledger.create(storage, ledger_key, origin, envelope, user, kinds, clock)
        storage.close()
        with translated_errors():
            (root / STATE_FOLDER / "key").write_text(name + "\n")
            # NOTE: last, so that a workspace file always has its ledger.
            _write_new(root / FILE_NAME, config.to_yaml())
        return cls(root, **options)

    # Parts

    @cached_property
    def kinds(self) -> KindRegistry:
        """Built-in kinds and the workspace's own."""
        return KindRegistry(own_kinds(self.root / self.config.kinds))

    @cached_property
    def store(self) -> ArtifactStore:
        """The artifact store."""
        return ArtifactStore(self.root / self.config.artifacts)

    @cached_property
    def storage(self) -> Storage:
        """The ledger's database."""
        return Storage(self.config.ledger, self.root)

    @cached_property
    def ledger(self) -> Ledger:
        """The ledger, its genesis checked against the pinned root.

        Raises:
            StoreError: ``store.missing``.
            VerificationError: the genesis does not hold.
        """
        return Ledger.open(
            self.storage, self.config.origin, self.config.root, self.kinds, self.clock
        )

    @cached_property
    def key_name(self) -> str:
        """Name of the key that signs.

        Raises:
            InputError: ``key.none``.
        """
        if self._key_name:
            return self._key_name
        chosen = self.root / STATE_FOLDER / "key"
        if chosen.is_file():
            return read_small(chosen, 1000).decode("utf-8", "replace").strip()
        if self.keys.exists(DEFAULT_KEY):
            return DEFAULT_KEY
        raise InputError(
            "key.none",
            "no signing key is chosen for this workspace",
            hint="muniment key new NAME makes one; choose with --key or MUNIMENT_KEY",
            found=", ".join(self.keys.names()) or "no keys",
        )

    @cached_property
    def signing_key(self) -> RecordKey:
        """The key that signs records."""
        return self.keys.open(self.key_name)

    def use_key(self, name: str) -> None:
        """Choose the key that signs in this checkout from now on."""
        self.keys.public(name)
        with translated_errors():
            (self.root / STATE_FOLDER / "key").write_text(name + "\n")

    @cached_property
    def people(self) -> People:
        """People and their keys."""
        return People(self)

    # Adding

    def add(self, evidence: Evidence, on_bytes: Callable[[int], None] | None = None) -> Attached:
        """Sign one record and append it; all of it happens, or nothing.

        Raises:
            InputError, SchemaError: what is wrong with the evidence, all faults at once; or the
                key may not sign this.
            StoreError: a file or the ledger did not answer.
        """
        kind = self.kinds.get(evidence.kind)
        system = self._known_system(evidence)
        supersedes = self._superseded(evidence)
        drafted = draft(evidence, kind)
        statement = self._statement(evidence, drafted, system, supersedes)
        self._check_signer(statement)
        # NOTE: the artifacts go in last; before this line nothing is written anywhere.
        subjects = [
            self._take(path, evidence.link_only, drafted, on_bytes) for path in evidence.files
        ]
        spoken_of = (*subjects, *evidence.subjects)
        appended = self.append(replace(statement, subjects=spoken_of or statement.subjects))
        if not evidence.link_only:
            self._keep(appended.record, evidence.files, subjects)
        warnings = (*drafted.notes, *warnings_of(appended.record, subjects))
        return Attached(appended.record, appended.is_new, warnings)

    def _statement(
        self, evidence: Evidence, drafted: Draft, system: SystemRef, supersedes: RecordRef | None
    ) -> Statement:
        """The statement without its files."""
        return Statement(
            subjects=(system.descriptor(),),
            predicate_type=predicate_type(evidence.kind),
            system=system,
            collected_at=evidence.collected_at or drafted.collected_at or self.clock(),
            body=drafted.body,
            salt=secrets.token_hex(16),
            controls=tuple(dict.fromkeys(evidence.controls)),
            valid_until=evidence.valid_until,
            source=drafted.source,
            supersedes=supersedes,
            supersedes_because=evidence.supersedes_because,
            references=self.references,
        )

    def _superseded(self, evidence: Evidence) -> RecordRef | None:
        if evidence.supersedes is None:
            return None
        target = self.entry(evidence.supersedes)
        if target.statement.kind != evidence.kind:
            raise InputError(
                "attach.supersedes",
                f"{with_article(evidence.kind)} cannot take the place of #{target.index}, "
                f"{with_article(target.statement.kind or 'record')}",
                hint="only like supersedes like",
            )
        require_author(self, [target])
        return target.ref

    def _check_signer(self, statement: Statement) -> None:
        """Refuse early what the ledger would refuse in the end.

        Raises:
            InputError: the key may not sign this; the code begins with ``trust.``.
        """
        fingerprint = self.signing_key.public.fingerprint
        with as_input_error():
            self.people.ring().authorise(statement, fingerprint, self.clock())

    def append(self, statement: Statement) -> Attached:
        """Sign a finished statement and append it.

        Raises:
            SchemaError: the body breaks its kind.
            InputError: the key may not sign this; the code begins with ``trust.``.
            VerificationError: the ledger is damaged, or not the one this machine verified before.
        """
        check_body(statement, self.kinds)
        self._require_remembered()
        ledger_key = self.keys.load(self.keys.ledger_path(self.ledger.vkey))
        envelope = Envelope.sign(statement.to_payload(), self.signing_key)
        with as_input_error():
            (appended,) = self.ledger.append(ledger_key, [(envelope, self.signing_key)], self.kinds)
        return Attached(appended.record, appended.is_new)

    def _require_remembered(self) -> None:
        from .outside import require_remembered

        require_remembered(config_folder(), self.ledger)

    def approve(
        self,
        records: Sequence[str],
        *,
        role: str | None = None,
        decision: str = "approved",
        statement: str | None = None,
        conditions: Sequence[str] = (),
    ) -> Attached:
        """Approve (or reject) records, by number or digest prefix; see ``approval``."""
        from .approval import approve

        return approve(
            self, records, role=role, decision=decision, words=statement, conditions=conditions
        )

    def timestamp(self, url: str | None = None, roots: Path | None = None) -> Timestamp:
        """Get an RFC 3161 time stamp over the latest checkpoint.

        Args:
            url: the authority; by default the one in ``muniment.yaml``.
            roots: PEM file with trusted root certificates; by default that in ``muniment.yaml``.

        Raises:
            InputError: no authority or no roots are chosen, or they cannot be used.
            VerificationError: the token does not hold; nothing was stored.
            StoreError: the ledger or the authority did not answer.
        """
        from .timestamp import Authority, stamp

        authority = Authority.of(self.config, self.root, url, roots)
        return stamp(self.storage, self.ledger.vkey, authority)

    # Reading

    def verified(
        self, progress: Progress | None = None, about: Collection[SystemRef] | None = None
    ) -> VerifiedLedger:
        """Verify the whole ledger and give its records; faults are in the report.

        Args:
            about: systems; the records are then all that speak of these, and few others. Of what
                this machine verified before, only these are looked at again (``recall``).

        Raises:
            StoreError: the ledger cannot be read.
        """
        found = None if about is None else self._recall(about, progress)
        if found is None:
            records: list[Record] = []
            found = self.verify_ledger(records.append, progress, records, about=about)
        if found.report.ok:
            from .outside import check_remembered

            found.report.checks.append(check_remembered(config_folder(), self.ledger))
        return found

    def _recall(
        self, about: Collection[SystemRef], progress: Progress | None
    ) -> VerifiedLedger | None:
        """The records of some systems by what this machine verified before, if it did, and if that
        is as it was."""
        from .recall import NotRecalledError, recall

        config = self.config
        try:
            since, vkey = Pinned.load(config_folder(), config.origin, config.root), self.ledger.vkey
        except VerificationError:
            return None
        if since is None:
            return None
        with self.storage.read() as reader:
            try:
                found = recall(reader, vkey, config.root, self.kinds, since, about, progress)
            except NotRecalledError:
                return None
        return VerifiedLedger.of(*found)

    def verify(
        self,
        progress: Progress | None = None,
        *,
        since: bytes | None = None,
        policy: Path | None = None,
        ref: str | None = None,
        incremental: bool = False,
    ) -> VerificationReport:
        """Verify ledger, artifacts, git links, and what others hold of the ledger.

        If all of it holds, this machine remembers the last checkpoint.

        Args:
            since: an old checkpoint that the ledger must extend, a signed note.
            policy: file that says which witnesses are trusted, instead of the workspace's own.
            ref: the git ref that holds checkpoints, which then must be there; by default
                ``refs/notes/muniment``, if it is.
            incremental: hold what such a verification found sound before against its root alone,
                and remember the new end; the first time, everything is verified.

        Raises:
            InputError: ``policy.malformed``, ``pinned.malformed``, ``git.no-checkpoints``, or a
                file cannot be read.
        """
        from .audit import audit

        return audit(self, progress, since=since, policy=policy, ref=ref, incremental=incremental)

    def withdrawn(self, records: Sequence[Record]) -> Mapping[int, str]:
        """By place, what became of records that others withdrew; here nobody knows who may."""
        return {}

    def policy(self, path: Path | None = None) -> Policy:
        """The policy in a file, by default the one that ``muniment.yaml`` names.

        Raises:
            InputError: ``policy.none``, ``policy.malformed``, or the file cannot be read.
        """
        if path is None and self.config.policy is None:
            raise InputError(
                "policy.none",
                "no policy says which witnesses are trusted",
                hint=f"write it to a file (C2SP tlog-policy) and name that in {FILE_NAME}: "
                "policy: FILE",
            )
        return Policy.parse(read_small(path or self.root / str(self.config.policy), 1 << 20))

    def verify_ledger(
        self,
        take: Callable[[Record], None],
        progress: Progress | None,
        records: Sequence[Record] = (),
        *,
        files_only: bool = False,
        incremental: bool = False,
        about: Collection[SystemRef] | None = None,
    ) -> VerifiedLedger:
        """Verify the ledger alone, giving each sound record to ``take`` as it comes.

        Args:
            files_only: give only those that speak of a file, for an audit.
            incremental: rest on what was verified before.
        """
        try:
            vkey = self.ledger.vkey
        except VerificationError as error:
            return VerifiedLedger.without_genesis(self.config.origin, error)
        config = self.config
        since = Pinned.load(config_folder(), config.origin, config.root) if incremental else None
        with self.storage.read() as reader:
            verifier = LedgerVerifier(reader, vkey, config.root, self.kinds, progress, since)
            for record in verifier.records(files_only=files_only, about=about):
                take(record)
            pin = verifier.pin() if files_only else None
        return replace(VerifiedLedger.of(verifier, records), pin=pin)

    def systems(self) -> list[SystemRef]:
        """System versions that are registered, in the order they were."""
        with self.storage.read() as reader:
            rows = reader.find(kind="system")
        return list(dict.fromkeys(SystemRef(row.system_id, row.system_version) for row in rows))

    def system(self, text: str | None) -> SystemRef:
        """The system version called ``text``; without one, the only one there is.

        Raises:
            InputError: ``system.unknown``, ``system.none`` or ``system.ambiguous``.
        """
        return find_system(self.systems(), text)

    def resolve(self, text: str) -> RecordRef:
        """The record called ``#17``, ``17`` or by at least six digits of its digest.

        Raises:
            InputError: ``record.unknown``, ``record.ambiguous`` or ``record.malformed``.
        """
        return self.entry(text).ref

    # Inner steps

    def entry(self, text: str) -> Entry:
        """The record called ``text``, proved to be the one that the ledger's checkpoint signs.

        Raises:
            InputError: ``record.unknown``, ``record.ambiguous``, ``record.malformed`` or
                ``record.erased``.
            StoreError: ``ledger.damaged``.
        """
        return self.ledger.proven(find_row(self.storage, text).number)

    def _known_system(self, evidence: Evidence) -> SystemRef:
        if evidence.kind == "system":
            if evidence.system is None:
                raise InputError("system.none", "a system record names its system")
            return evidence.system
        return self.system(str(evidence.system) if evidence.system is not None else None)

    def _take(
        self,
        path: Path,
        link_only: bool,
        drafted: Draft,
        on_bytes: Callable[[int], None] | None,
    ) -> Subject:
        """Hash a file, store its bytes, and look it up in git."""
        from .gitlinks import link, subject

        file = hash_file(path, on_bytes) if link_only else self.store.add(path, on_bytes)
        drafted.check_taken(file, path)
        found = link(file)
        return subject(file, name=found.path or file.path.name, stored=not link_only, link=found)

    def _keep(self, record: Record, files: Sequence[Path], subjects: Sequence[Subject]) -> None:
        """Store again what an erasure of another record removed before this one was appended."""
        for path, stored in zip(files, subjects, strict=True):
            if self.store.has(stored.sha256):
                continue
            if self.store.add(path).sha256 != stored.sha256:
                raise StoreError(
                    "artifact.missing",
                    f"{record} was added, but an erasure removed the bytes of {path.name} "
                    "meanwhile, and the file has changed since",
                    hint=f'muniment retract "#{record.index}", and attach the file again',
                    expected=stored.sha256,
                )

    @property
    def references(self) -> tuple[dict[str, Any], ...]:
        """What binds a statement to this ledger."""
        return ({"relation": GENESIS, **self.ledger.genesis.to_json()},)


@contextmanager
def as_input_error() -> Iterator[None]:
    """What is refused before it is stored is the request's mistake, not the ledger's fault."""
    try:
        yield
    except DamageError:
        raise
    except VerificationError as error:
        hint = error.hint or (
            "muniment key list shows the keys as they stand"
            if error.code == "trust.key-record"
            else "choose another key with --key; see muniment key list"
            if isinstance(error, TrustError)
            else None
        )
        raise InputError(
            error.code, error.message, hint=hint, expected=error.expected, found=error.found
        ) from error


def _write_new(path: Path, text: str) -> None:
    with path.open("x", encoding="utf-8") as file:
        file.write(text)
