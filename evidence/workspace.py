"""A workspace: a folder with ``muniment.yaml``, its ledger, artifacts and keys, and what one does
there."""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Self

from muniment.schemas import times
from muniment.schemas.errors import InputError, StoreError, VerificationError
from muniment.schemas.finding import Check, Finding, VerificationReport
from muniment.schemas.kinds import KindRegistry, own_kinds
from muniment.schemas.paths import set_path
from muniment.schemas.record import Record, Role
from muniment.schemas.statement import (
    GENESIS,
    RecordRef,
    Statement,
    Subject,
    SystemRef,
    predicate_type,
)

from .artifacts import ArtifactStore, HashedFile, hash_file, read_again
from .checkpoint import SignedCheckpoint, check_origin
from .config import FILE_NAME, STATE_FOLDER, Config
from .dsse import Envelope
from .keyfiles import AskPassphrase, KeyFiles, config_folder
from .keys import PublicKey, SigningKey, new_ed25519, new_p256
from .ledger import Ledger, check_body
from .note import ED25519, VerifierKey
from .storage import Storage, translated_errors
from .trust import ANY_APPROVER, KEY_KIND, KeyRing
from .verification import LedgerVerifier, Progress, verify_artifacts, verify_git_links

WORKSPACE_VARIABLE = "MUNIMENT_WORKSPACE"
KEY_VARIABLE = "MUNIMENT_KEY"
DEFAULT_KEY = "default"
_DIGEST = re.compile(r"[0-9a-f]{6,64}")


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a key."""

    name: str
    email: str
    type: str = "person"
    """``person`` or ``machine``."""

    def to_json(self) -> dict[str, str]:
        """As a ``key`` record's body has it."""
        return {"name": self.name, "email": self.email, "type": self.type}


@dataclass(frozen=True, slots=True)
class Attached:
    """What attaching answered."""

    record: Record
    is_new: bool
    """False if the same evidence by the same signer was there already."""
    warnings: tuple[str, ...] = ()
    """What the user should know, such as a file that is not committed."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is to be attached."""

    kind: str
    system: SystemRef | None = None
    files: Sequence[Path] = ()
    controls: Sequence[str] = ()
    """Full control ids."""
    body: Mapping[str, Any] = field(default_factory=dict)
    settings: Sequence[tuple[str, Any]] = ()
    """Paths into the body with values; they win over ``body`` and over what a tool's file says."""
    digests: Sequence[tuple[str, Path]] = ()
    """Paths into the body that get the SHA-256 of a file."""
    collected_at: datetime | None = None
    valid_until: datetime | None = None
    supersedes: str | None = None
    """A record by number or digest prefix."""
    link_only: bool = False
    """Do not copy the files into the artifact store."""


@dataclass(slots=True)
class VerifiedLedger:
    """A ledger after verification."""

    report: VerificationReport
    records: list[Record]
    """Sound and trusted records, in ledger order."""
    ring: KeyRing
    checkpoint: SignedCheckpoint | None
    """The last checkpoint, if it holds."""

    def require(self) -> SignedCheckpoint:
        """The checkpoint, if everything held.

        Raises:
            VerificationError: ``ledger.unsound``.
        """
        first = next(self.report.findings, None)
        if first is not None or self.checkpoint is None:
            raise VerificationError(
                "ledger.unsound",
                f"the ledger does not hold: {first.message if first else 'nothing was checked'}",
                hint="muniment verify lists every fault; nothing is concluded from such a ledger",
            )
        return self.checkpoint


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
        keys = KeyFiles(config_folder(), options.get("ask", lambda name: None))
        name = options.get("key") or os.environ.get(KEY_VARIABLE) or DEFAULT_KEY
        clock = options.get("clock", times.now)
        ledger_key = new_ed25519()
        vkey = VerifierKey(origin, ED25519, ledger_key.public)
        if not keys.exists(name):
            keys.save(keys.path(name), new_p256(), passphrase)
        user = keys.load(keys.path(name))
        statement = _key_statement(
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
            _make_state_folder(root)
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
            return chosen.read_text().strip()
        if self.keys.exists(DEFAULT_KEY):
            return DEFAULT_KEY
        raise InputError(
            "key.none",
            "no signing key is chosen for this workspace",
            hint="muniment key new NAME makes one; choose with --key or MUNIMENT_KEY",
            found=", ".join(self.keys.names()) or "no keys",
        )

    @cached_property
    def signing_key(self) -> SigningKey:
        """The key that signs records."""
        return self.keys.load(self.keys.path(self.key_name))

    def use_key(self, name: str) -> None:
        """Choose the key that signs in this checkout from now on."""
        self.keys.public(name)
        with translated_errors():
            (self.root / STATE_FOLDER / "key").write_text(name + "\n")

    # Adding

    def add(self, evidence: Evidence, on_bytes: Callable[[int], None] | None = None) -> Attached:
        """Sign one record and append it; all of it happens, or nothing.

        Raises:
            InputError, SchemaError: what is wrong with the evidence, all faults at once.
            TrustError: the key may not sign this.
            StoreError: a file or the ledger did not answer.
        """
        self.kinds.get(evidence.kind)
        system = self._known_system(evidence)
        hashed = [self._take(path, evidence.link_only, on_bytes) for path in evidence.files]
        subjects = [self._subject(file, not evidence.link_only) for file in hashed]
        body, source, collected_at, notes = self._body(evidence, hashed)
        statement = Statement(
            subjects=tuple(subjects) or (system.descriptor(),),
            predicate_type=predicate_type(evidence.kind),
            system=system,
            collected_at=evidence.collected_at or collected_at or self.clock(),
            body=body,
            salt=secrets.token_hex(16),
            controls=tuple(dict.fromkeys(evidence.controls)),
            valid_until=evidence.valid_until,
            source=source,
            supersedes=self.resolve(evidence.supersedes) if evidence.supersedes else None,
            references=(self._genesis_reference(),),
        )
        appended = self.append(statement)
        return Attached(appended.record, appended.is_new, (*notes, *_warnings(subjects)))

    def append(self, statement: Statement) -> Attached:
        """Sign a finished statement and append it."""
        check_body(statement, self.kinds)
        ledger_key = self.keys.load(self.keys.ledger_path(self.ledger.vkey))
        envelope = Envelope.sign(statement.to_payload(), self.signing_key)
        (appended,) = self.ledger.append(ledger_key, [(envelope, self.signing_key)], self.kinds)
        return Attached(appended.record, appended.is_new)

    def approve(
        self,
        records: Sequence[str],
        *,
        role: str | None = None,
        decision: str = "approved",
        statement: str | None = None,
        conditions: Sequence[str] = (),
    ) -> Attached:
        """Approve (or reject) records, by number or digest prefix, in the name of one function.

        Raises:
            InputError: ``record.unknown``, ``approval.own`` or ``approval.mixed``.
        """
        targets = [self._stored(text) for text in records]
        systems = {target.statement.system for target in targets}
        if len(systems) != 1 or None in systems:
            raise InputError(
                "approval.mixed", "one approval speaks of records of one system version"
            )
        own = [target for target in targets if target.key == self.keys.public(self.key_name)]
        if own:
            raise InputError(
                "approval.own",
                f"#{own[0].index} was signed with this key: approval needs a second person",
                hint="the approver chooses their own key with --key",
            )
        chosen = role or self._only_function()
        artifacts = _artifacts([target.statement for target in targets])
        refs = [RecordRef(target.index, target.sha256) for target in targets]
        body: dict[str, Any] = {
            "decision": decision,
            "role": chosen,
            "statement": statement or _approval_words(decision, chosen, refs),
            "records": [ref.to_json() for ref in refs],
            "artifacts": [{"name": name, "sha256": digest} for digest, name in artifacts.items()],
        }
        if conditions:
            body["conditions"] = list(conditions)
        return self.append(
            Statement(
                subjects=tuple(
                    [Subject(f"record:#{ref.index}", {"sha256": ref.sha256}) for ref in refs]
                    + [Subject(name, {"sha256": digest}) for digest, name in artifacts.items()]
                ),
                predicate_type=predicate_type("approval"),
                system=systems.pop(),
                collected_at=self.clock(),
                body=body,
                salt=secrets.token_hex(16),
                references=(self._genesis_reference(),),
            )
        )

    def enrol(
        self,
        public: PublicKey,
        holder: Holder,
        *,
        roles: Sequence[Role],
        functions: Sequence[str] = (),
        kinds: Sequence[str] | None = None,
        expires: datetime | None = None,
    ) -> Attached:
        """Enrol a key; the signing key must be a root's."""
        for kind in kinds or ():
            self.kinds.get(kind)
        return self.append(
            _key_statement(
                public,
                holder,
                roles,
                functions,
                self.clock(),
                references=(self._genesis_reference(),),
                kinds=kinds,
                expires=expires,
            )
        )

    # Reading

    def verified(self, progress: Progress | None = None) -> VerifiedLedger:
        """Verify the whole ledger and give its records; faults are in the report.

        Raises:
            StoreError: the ledger cannot be read.
        """
        records: list[Record] = []
        return self._verify_ledger(records.append, progress, records)

    def verify(self, progress: Progress | None = None) -> VerificationReport:
        """Verify ledger, artifacts and git links."""
        subjects: list[tuple[int, Subject]] = []

        def note_files(record: Record) -> None:
            files = [item for item in record.statement.subjects if "size" in item.annotations]
            subjects.extend((record.index, item) for item in files)

        report = self._verify_ledger(note_files, progress, []).report
        report.checks.append(verify_artifacts(subjects, self.store))
        report.checks.append(verify_git_links(subjects, self.root))
        return report

    def _verify_ledger(
        self, take: Callable[[Record], None], progress: Progress | None, records: list[Record]
    ) -> VerifiedLedger:
        try:
            vkey = self.ledger.vkey
        except VerificationError as error:
            return _no_genesis(self.config.origin, error)
        with self.storage.read() as reader:
            verifier = LedgerVerifier(reader, vkey, self.config.root, self.kinds, progress)
            for record in verifier.records():
                take(record)
        return VerifiedLedger(verifier.report, records, verifier.ring, verifier.last)

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
        known = self.systems()
        names = ", ".join(map(str, known))
        if text is not None:
            wanted = SystemRef.parse(text)
            if wanted in known:
                return wanted
            raise InputError(
                "system.unknown",
                f"{wanted} is not registered",
                expected=names or "a registered system version",
                found=text,
                hint=f"muniment system add {wanted} --name … --purpose … --owner …",
            )
        if len(known) == 1:
            return known[0]
        if not known:
            raise InputError(
                "system.none",
                "no system is registered in this workspace",
                hint="muniment system add ID@VERSION --name … --purpose … --owner …",
            )
        raise InputError(
            "system.ambiguous",
            "there are several system versions: say which",
            hint="--system ID@VERSION",
            expected=names,
        )

    def resolve(self, text: str) -> RecordRef:
        """The record called ``#17``, ``17`` or by at least six digits of its digest.

        Raises:
            InputError: ``record.unknown``, ``record.ambiguous`` or ``record.malformed``.
        """
        entry = self._stored(text)
        return RecordRef(entry.index, entry.sha256)

    # Inner steps

    def _stored(self, text: str) -> Any:
        from .entry import Entry

        number = text.removeprefix("#")
        with self.storage.read() as reader:
            if number.isdecimal() and (text.startswith("#") or len(number) < 6):
                # Ten digits and more are beyond what PostgreSQL's integer column can hold.
                row = reader.entry(int(number)) if len(number) < 10 else None
                rows = [row] if row else []
            elif _DIGEST.fullmatch(text.lower()):
                rows = reader.by_digest(text.lower())
            else:
                raise InputError(
                    "record.malformed",
                    f"{text!r} does not name a record",
                    expected="#NUMBER or at least six digits of its digest",
                    found=text,
                )
        if len(rows) != 1:
            code = "record.ambiguous" if rows else "record.unknown"
            what = "fits several records" if rows else "names no record"
            raise InputError(code, f"{text!r} {what}", hint="muniment record list")
        return Entry.from_stored(rows[0].number, rows[0].envelope, rows[0].leaf)

    def _known_system(self, evidence: Evidence) -> SystemRef:
        if evidence.kind == "system":
            if evidence.system is None:
                raise InputError("system.none", "a system record names its system")
            return evidence.system
        return self.system(str(evidence.system) if evidence.system else None)

    def _take(
        self, path: Path, link_only: bool, on_bytes: Callable[[int], None] | None
    ) -> HashedFile:
        return hash_file(path, on_bytes) if link_only else self.store.add(path, on_bytes)

    def _subject(self, file: HashedFile, stored: bool) -> Subject:
        from .gitlinks import link, subject

        found = link(file)
        name = file.path.name
        if found.path:
            name = found.path
        return subject(file, name=name, stored=stored, link=found)

    def _body(
        self, evidence: Evidence, hashed: Sequence[HashedFile]
    ) -> tuple[dict[str, Any], Mapping[str, Any] | None, datetime | None, list[str]]:
        """The body: what a tool's file says, then ``body``, then single settings."""
        body: dict[str, Any] = {}
        source, collected_at, notes = None, None, []
        for file in hashed:
            draft = self._collect(file, evidence.link_only)
            if draft is None:
                continue
            if draft.kind != evidence.kind:
                notes.append(
                    f"{file.path.name} reads as {draft.kind} ({draft.source['format']}); "
                    f"nothing was taken from it for this {evidence.kind}"
                )
            elif source is None:
                body, source = _copied(draft.body), draft.source
                collected_at = draft.collected_at
                notes.append(f"read {file.path.name} as {draft.source['format']}")
            else:
                raise InputError(
                    "attach.two-sources",
                    f"{file.path.name} would fill the same record as the file before it",
                    hint="attach each tool's file as a record of its own",
                )
        said_by_tool = _copied(body)
        _merge(body, evidence.body)
        for path, value in evidence.settings:
            set_path(body, path, value)
        for path, digest_file in evidence.digests:
            set_path(body, path, hash_file(digest_file).sha256)
        _refuse_contradiction(said_by_tool, body, "")
        return body, source, collected_at, notes

    def _collect(self, file: HashedFile, link_only: bool) -> Any:
        from .collectors import MAX_BYTES, collect

        if file.size > MAX_BYTES:
            return None
        # NOTE: read what was hashed, not what the path holds by now.
        kept = file if link_only else replace(file, path=self.store.path(file.sha256))
        return collect(b"".join(read_again(kept)), file.path.name)

    def _genesis_reference(self) -> dict[str, Any]:
        ref = self.ledger.genesis
        return {"relation": GENESIS, "index": ref.index, "sha256": ref.sha256}

    def _only_function(self) -> str:
        """The function the signing key approves for, if it has exactly one."""
        fingerprint = self.keys.public(self.key_name).fingerprint
        with self.storage.read() as reader:
            known = self.ledger.key_ring(reader, self.kinds).get(fingerprint)
        functions = sorted(known.signer.functions) if known else []
        if len(functions) > 1:
            raise InputError(
                "approval.role",
                "this key approves for several functions: say which",
                expected=", ".join(functions),
                hint="--role FUNCTION",
            )
        return functions[0] if functions else ANY_APPROVER


def _key_statement(
    public: PublicKey,
    holder: Holder,
    roles: Iterable[Role],
    functions: Sequence[str],
    now: datetime,
    *,
    references: tuple[Mapping[str, Any], ...],
    ledger: str | None = None,
    kinds: Sequence[str] | None = None,
    expires: datetime | None = None,
) -> Statement:
    import base64
    import hashlib

    body: dict[str, Any] = {
        "action": "enrol",
        "publicKey": base64.b64encode(public.spki).decode(),
        "fingerprint": public.fingerprint,
        "holder": holder.to_json(),
        "roles": [str(role) for role in roles],
        "functions": list(functions),
    }
    if kinds is not None:
        body["kinds"] = list(kinds)
    if expires is not None:
        body["expires"] = times.format_time(expires)
    if ledger is not None:
        body["ledger"] = ledger
    digest = hashlib.sha256(public.spki).hexdigest()
    return Statement(
        subjects=(Subject(f"key:{public.fingerprint}", {"sha256": digest}),),
        predicate_type=predicate_type(KEY_KIND),
        system=None,
        collected_at=now,
        body=body,
        salt=secrets.token_hex(16),
        references=references,
    )


def _artifacts(statements: Sequence[Statement]) -> dict[str, str]:
    """SHA-256 to name of every file the statements speak of, and of the models they name."""
    found: dict[str, str] = {}
    for statement in statements:
        for subject in statement.subjects:
            if "size" in subject.annotations:
                found.setdefault(subject.sha256, subject.name)
        model = statement.body.get("model")
        if isinstance(model, Mapping) and "sha256" in model:
            found.setdefault(str(model["sha256"]), str(model.get("name", "model")))
    return found


def _approval_words(decision: str, role: str, refs: Sequence[RecordRef]) -> str:
    numbers = ", ".join(f"#{ref.index}" for ref in refs)
    return f"Reviewed {numbers} for {role}: {decision}."


def _warnings(subjects: Sequence[Subject]) -> list[str]:
    words = {
        "modified": "differs from what is committed",
        "untracked": "is not under version control",
        "ignored": "is ignored by git",
        "outside": "is outside any repository",
    }
    found = []
    for subject in subjects:
        link = subject.git or {}
        if link.get("state") in words:
            found.append(f"{subject.name} {words[link['state']]}: recorded by digest alone")
        elif link.get("pushed") is False:
            found.append(f"{subject.name}: commit {link['commit'][:12]} is not pushed yet")
    return found


def _no_genesis(origin: str, error: VerificationError) -> VerifiedLedger:
    check = Check("root", "the root key is the one that is pinned", checked=1)
    check.findings.append(Finding(error.code, error.message, 0, error.expected, error.found))
    rest = Check("entries", "every entry is there, in its one form")
    rest.not_checked.append("without a sound genesis nothing says which keys hold")
    return VerifiedLedger(VerificationReport(origin, [check, rest]), [], KeyRing(), None)


def _make_state_folder(root: Path) -> None:
    state = root / STATE_FOLDER
    state.mkdir(parents=True, exist_ok=True)
    # NOTE: the folder ignores itself, so that the repository's own .gitignore stays untouched.
    (state / ".gitignore").write_text("*\n")


def _write_new(path: Path, text: str) -> None:
    with path.open("x", encoding="utf-8") as file:
        file.write(text)


def _copied(value: Any) -> Any:
    """A deep copy made of plain dicts and lists."""
    if isinstance(value, Mapping):
        return {key: _copied(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_copied(item) for item in value]
    return value


def _merge(body: dict[str, Any], more: Mapping[str, Any]) -> None:
    """Lay ``more`` over ``body``, group by group; lists and values are replaced."""
    for key, value in more.items():
        if isinstance(value, Mapping) and isinstance(body.get(key), dict):
            _merge(body[key], value)
        else:
            body[key] = _copied(value)


def _refuse_contradiction(tool: Any, body: Any, path: str) -> None:
    """What the tool's file says may be added to, never changed.

    Raises:
        InputError: ``attach.contradicts-source``.
    """
    if isinstance(tool, dict) and isinstance(body, dict):
        for key, value in tool.items():
            _refuse_contradiction(value, body.get(key), f"{path}.{key}" if path else key)
    elif isinstance(tool, list) and isinstance(body, list):
        for place, value in enumerate(tool):
            inner = body[place] if place < len(body) else None
            _refuse_contradiction(value, inner, f"{path}[{place}]")
    elif tool != body or isinstance(tool, bool) != isinstance(body, bool):
        raise InputError(
            "attach.contradicts-source",
            f"{path}: the file says {tool!r}, the record would say {body!r}",
            expected=repr(tool),
            found=repr(body),
            hint="leave the field to the file; a record must agree with the file it was read from",
        )
