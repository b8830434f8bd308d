"""The records about one system version, sorted out once: what is current, claimed and approved.

Everything here follows the records' places in the ledger, never the order they are passed in.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from muniment.controls.coverage import Reason
from muniment.controls.outcome import outcome
from muniment.controls.threshold import MEASURING
from muniment.schemas.errors import InputError
from muniment.schemas.record import Record, Role
from muniment.schemas.statement import GATE_DECISION, RecordRef, SystemRef

SYSTEM, LINK, APPROVAL, EVAL_RESULT = "system", "link", "approval", "eval-result"
OWNER = "owner-assignment"
RETRACTION, ERASURE = "retraction", "erasure"
ATTESTATION = "attestation"
WAIVER, APPLICABILITY = "waiver", "applicability"

_ABOUT_MODEL = frozenset(
    {EVAL_RESULT, "monitoring-report", "model-card", "risk-assessment", "impact-assessment"}
)
"""Kinds whose ``body.model`` is the model they speak of. A supplier's model is another matter."""
_SPEAKS_OF_RECORDS = frozenset({LINK, GATE_DECISION, RETRACTION, ERASURE, WAIVER, APPLICABILITY})
"""Kinds that carry no control themselves. An approval may."""
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(slots=True)
class Index:
    """One system version at one time; filled by ``build_index`` and only read afterwards."""

    considered: tuple[Record, ...] = ()
    """Records about the system, in ledger order."""
    current: dict[str, Record] = field(default_factory=dict)
    """Records that nothing superseded, by digest."""
    artifact: str | None = None
    """SHA-256 of the model in question."""
    artifact_from: RecordRef | None = None
    """The system record that names it."""
    claims: dict[str, dict[str, Record]] = field(default_factory=dict)
    """Full control id to the records that claim it, by digest."""
    links: dict[tuple[str, str], list[Record]] = field(default_factory=dict)
    """Control id and record digest to the link records that tie them."""
    elsewhere: dict[str, dict[str, Record]] = field(default_factory=dict)
    """Full control id to claiming records that speak of another model."""
    votes: dict[str, dict[str, Record]] = field(default_factory=dict)
    """Record digest to each approver's latest word on it, by person."""
    measuring: list[Record] = field(default_factory=list)
    """Current records with metrics that speak of no other model, in ledger order."""
    left_out: list[Reason] = field(default_factory=list)

    def approvals(self, record: Record) -> tuple[Record, ...]:
        """The approvals of ``record`` that stand."""
        return tuple(vote for vote in self._votes(record) if is_approved(vote))

    def rejections(self, record: Record) -> tuple[Record, ...]:
        """The rejections of ``record`` that stand."""
        return tuple(vote for vote in self._votes(record) if not is_approved(vote))

    def is_second_word(self, record: Record) -> bool:
        """Whether ``record`` is itself a standing approval of somebody else's record."""
        return (
            record.kind == APPROVAL
            and is_approved(record)
            and any(
                self.votes.get(sha, {}).get(record.signer.person) is record
                for sha in _named_records(record, self.current)
            )
        )

    def names_model(self, record: Record) -> bool:
        """Whether ``record`` names the model in question, or there is none to name."""
        return self.artifact is None or _about_model(record) == self.artifact

    def _votes(self, record: Record) -> list[Record]:
        votes = self.votes.get(record.sha256)
        return sorted(votes.values(), key=lambda vote: vote.index) if votes else []


def is_approved(approval: Record) -> bool:
    """Whether an approval record says yes."""
    return approval.statement.body.get("decision") == "approved"


def build_index(
    records: Iterable[Record], system: SystemRef, as_of: datetime, artifact: str | None
) -> Index:
    """Sort out the records.

    1. keep what is about the system, was recorded by ``as_of`` and has not lost its trust
    2. drop what a later record supersedes or retracts
    3. settle the model in question
    4. set aside what speaks of another model
    5. gather each approver's latest word
    6. gather claims, those of links included

    Raises:
        InputError: ``artifact.malformed``.
    """
    index = Index()
    known = [record for record in records if record.statement.system == system]
    about = {record.sha256: record for record in known if record.recorded_at <= as_of}  # (1)
    later = [record for record in known if record.recorded_at > as_of]
    distrusted = [record for record in about.values() if record.distrusted is not None]
    for record in distrusted:
        _leave_out(
            index, "record.distrusted", f"{record} does not count: {record.distrusted}", record
        )
        del about[record.sha256]
    index.considered = tuple(sorted(about.values(), key=lambda record: record.index))
    _drop_withdrawn(index, about, distrusted, later)  # (2)
    _settle_model(index, artifact)  # (3)
    bound = list(_bound_to_model(index, about))  # (4)
    index.measuring = [record for record in bound if record.kind in MEASURING]
    for record in bound:
        if record.kind == APPROVAL:
            _gather_votes(index, record, about)  # (5)
    speaking = {record.sha256 for record in bound}
    for record in index.current.values():  # (6)
        _gather_claims(
            index, record, index.claims if record.sha256 in speaking else index.elsewhere
        )
    _gather_links(index, speaking)
    return index


def _drop_withdrawn(
    index: Index,
    about: Mapping[str, Record],
    distrusted: Sequence[Record],
    later: Sequence[Record],
) -> None:
    """Keep what no later record retracted or superseded.

    What was retracted supersedes nothing. What was erased still does, or a record that was put
    right would come back to life; but whether it rightly did is not known any more, so it takes no
    "no" away.

    Args:
        later: records of after the moment in question.
    """
    gone = _retracted(index, about)
    retracted = frozenset(gone)
    # NOTE: what was erased later stood there at the moment in question, and superseded then.
    end = min((record.index for record in later), default=0)
    withdrawn = frozenset(_withdrawn_by_approvers(index))
    for record in later:
        if record.kind == ERASURE:
            gone |= _stay_superseded(index, record, end, withdrawn)
    for record in (*index.considered, *distrusted):
        # NOTE: bytes that are gone are gone, whatever became of the key that ordered it.
        if record.kind == ERASURE:
            gone |= _erased(index, record, withdrawn)
    for record in index.considered:
        named = record.statement.supersedes
        target = about.get(named.sha256) if named else None
        if target is None or target.index >= record.index or record.sha256 in retracted:
            continue
        if why := _cannot_supersede(record, target):
            text = f"{record} names {target} as superseded, but {why}: {target} still stands"
            _leave_out(index, "record.supersede-refused", text, record, target)
            continue
        if target.sha256 not in gone:
            text = f"{target} is superseded by {record}"
            _leave_out(index, "record.superseded", text, target, record)
        gone.add(target.sha256)
    index.current = {
        record.sha256: record for record in index.considered if record.sha256 not in gone
    }


def _retracted(index: Index, about: Mapping[str, Record]) -> set[str]:
    """Digests of records that were rightly taken back; a retraction cannot be."""
    gone: set[str] = set()
    for record in index.considered:
        if record.kind != RETRACTION:
            continue
        for sha in _named_records(record, about):
            target = about[sha]
            if target.index >= record.index or target.kind in (RETRACTION, ERASURE):
                continue
            if not _may_withdraw(record, target):
                text = f"{record} takes {target} back, but {record.signer.name} may not"
                _leave_out(index, "record.retract-refused", text, record, target)
                continue
            gone.add(sha)
            text = f"{target} was retracted by {record}: {record.statement.body['reason']}"
            _leave_out(index, "record.retracted", text, target, record)
    return gone


def _erased(index: Index, erasure: Record, withdrawn: Set[str]) -> set[str]:
    """Say what an erasure took away; digests of what the erased records had superseded."""
    body = erasure.statement.body
    places = ", ".join(f"#{item['index']} ({item['kind']})" for item in body["records"])
    was, it = ("was", "it") if len(body["records"]) == 1 else ("were", "they")
    text = (
        f"{places} {was} erased by {erasure}, {body['basis']}: what {it} said is not known any more"
    )
    _leave_out(index, "record.erased", text, erasure)
    return _stay_superseded(index, erasure, erasure.index, withdrawn)


def _withdrawn_by_approvers(index: Index) -> Iterator[str]:
    """Digests that approvers took back: of one that is gone its author is not known."""
    for record in index.considered:
        if record.kind == RETRACTION and Role.APPROVER in record.signer.roles:
            for item in record.statement.body["records"]:
                yield item["sha256"]


def _stay_superseded(index: Index, erasure: Record, end: int, withdrawn: Set[str]) -> set[str]:
    """Digests of what the erased records before place ``end`` had superseded.

    Left standing is what says "no", and what was superseded by a record that an approver had taken
    back before it was erased.
    """
    replaced = {
        item["superseded"]: item
        for item in erasure.statement.body["records"]
        if item.get("superseded", item["index"]) < item["index"] < end
    }
    gone = set()
    for record in index.considered:
        item = replaced.get(record.index)
        if item is None or not item["kind"] == record.kind != APPROVAL:
            continue
        if item["sha256"] in withdrawn or not outcome(record).holds:
            text = f"{record} stands: #{item['index']}, which superseded it, is erased"
            _leave_out(index, "record.supersede-refused", text, record, erasure)
        else:
            text = f"{record} was superseded by #{item['index']}, which is erased"
            _leave_out(index, "record.superseded", text, record, erasure)
            gone.add(record.sha256)
    return gone


def _may_withdraw(later: Record, earlier: Record) -> bool:
    """Its author may, and an approver; a vote is nobody's to withdraw but its signer's."""
    is_own = later.signer.person == earlier.signer.person
    return is_own or (Role.APPROVER in later.signer.roles and earlier.kind != APPROVAL)


def _cannot_supersede(later: Record, earlier: Record) -> str | None:
    """Why ``later`` may not take the place of ``earlier``; None if it may.

    Only like takes the place of like: else a "no" could be made to vanish behind something
    unrelated.
    """
    if not _may_withdraw(later, earlier):
        return f"{later.signer.name} may not"
    if later.kind != earlier.kind:
        return f"it is a {later.kind}, not a {earlier.kind}"
    model, other = (_about_model(item) for item in (later, earlier))
    if other is not None and model != other:
        return f"it speaks of model {_short(model)}, not of {_short(other)}"
    dropped = set(earlier.statement.controls) - set(later.statement.controls)
    if dropped and Role.APPROVER not in later.signer.roles:
        return f"it does not speak of {', '.join(sorted(dropped))}"
    return None


def _about_model(record: Record) -> str | None:
    return _model_digest(record) if record.kind in _ABOUT_MODEL else None


def _settle_model(index: Index, artifact: str | None) -> None:
    if artifact is not None:
        index.artifact = artifact.lower()
        if not _SHA256.fullmatch(index.artifact):
            raise InputError(
                "artifact.malformed",
                "the model's digest is not a SHA-256",
                expected="64 hexadecimal digits",
                found=artifact[:100],
            )
    registered: Record | None = None
    for record in index.current.values():
        # NOTE: a later system record without a model does not unbind; that would turn evidence
        # about any model into evidence about this one.
        if record.kind == SYSTEM and _model_digest(record):
            registered = record
    named = _model_digest(registered) if registered else None
    if index.artifact is None and registered is not None:
        index.artifact, index.artifact_from = named, registered.ref
    elif registered is not None and named != index.artifact:
        _leave_out(
            index,
            "model.not-registered",
            f"the model in question is {_short(index.artifact)}, but {registered} names "
            f"{_short(named)}",
            registered,
        )
    if index.artifact is None:
        _leave_out(
            index,
            "model.unbound",
            "no system record and no caller names the model, so evidence is not bound to one",
        )


def _bound_to_model(index: Index, about: Mapping[str, Record]) -> Iterator[Record]:
    """Current records that may speak of the model in question."""
    for record in index.current.values():
        named = _models(record, about)
        if index.artifact is not None and named and index.artifact not in named:
            _leave_out(
                index,
                "evidence.other-model",
                f"{record} speaks of model {', '.join(sorted(map(_short, named)))}, "
                f"not of {_short(index.artifact)}",
                record,
            )
        else:
            yield record


def _models(record: Record, about: Mapping[str, Record]) -> set[str]:
    """Digests of the models a record says it is about; empty where it names none."""
    if record.kind in _ABOUT_MODEL:
        digest = _model_digest(record)
        return {digest} if digest else set()
    if record.kind == APPROVAL:
        # A file of the very records it approves, such as a policy's text, says nothing of a model.
        files = {
            subject.sha256
            for sha in _named_records(record, about)
            for subject in about[sha].statement.subjects
        }
        return {item for item in map(_digest, _list(record, "artifacts")) if item} - files
    if record.kind == ATTESTATION:
        return {item for item in map(_digest, _list(record, "artifacts")) if item}
    if record.kind == GATE_DECISION:
        subjects = record.statement.subjects
        return {item.sha256 for item in subjects if not item.name.startswith("system:")}
    return set()


def _model_digest(record: Record) -> str | None:
    return _digest(record.statement.body.get("model"))


def _short(digest: str | None) -> str:
    return (digest or "none")[:12]


def _digest(value: Any) -> str | None:
    found = value.get("sha256") if isinstance(value, Mapping) else None
    return found.lower() if isinstance(found, str) else None


def _gather_votes(index: Index, approval: Record, about: Mapping[str, Record]) -> None:
    if Role.APPROVER not in approval.signer.roles:
        _leave_out(
            index,
            "approval.not-approver",
            f"{approval} is signed by {approval.signer.name}, who is no approver",
            approval,
        )
        return
    if approval.signer.type == "machine":
        _leave_out(
            index,
            "approval.machine",
            f"{approval} is signed by a machine, {approval.signer.name}: it is no second person",
            approval,
        )
        return
    for sha in _named_records(approval, about):
        target = about[sha]
        if target.index >= approval.index:
            continue
        # NOTE: by person, not by key; two keys of one holder are one pair of eyes. Their own "no"
        # counts all the same.
        if target.signer.person == approval.signer.person and is_approved(approval):
            _leave_out(
                index,
                "approval.same-person",
                f"{approval} and {target} are both signed by {approval.signer.name}",
                approval,
                target,
            )
            index.votes.get(sha, {}).pop(approval.signer.person, None)
            continue
        index.votes.setdefault(sha, {})[approval.signer.person] = approval


def _gather_claims(index: Index, record: Record, into: dict[str, dict[str, Record]]) -> None:
    if record.kind in _SPEAKS_OF_RECORDS:
        return
    for control in record.statement.controls:
        into.setdefault(control, {})[record.sha256] = record


def _gather_links(index: Index, speaking: set[str]) -> None:
    for link in index.current.values():
        if link.kind != LINK or not link.signer.roles & {Role.CONTRIBUTOR, Role.APPROVER}:
            continue
        for sha in _named_records(link, index.current):
            target = index.current[sha]
            if target.index >= link.index or target.kind in _SPEAKS_OF_RECORDS:
                continue
            into = index.claims if sha in speaking else index.elsewhere
            for control in _list(link, "controls"):
                into.setdefault(control, {})[sha] = target
                index.links.setdefault((control, sha), []).append(link)


def _named_records(record: Record, among: Mapping[str, Record]) -> list[str]:
    """Digests in ``body.records`` of records in ``among``, named by their number as well."""
    return [
        item["sha256"]
        for item in _list(record, "records")
        if item["sha256"] in among and among[item["sha256"]].index == item["index"]
    ]


def _list(record: Record, name: str) -> Sequence[Any]:
    value = record.statement.body.get(name, ())
    return value if isinstance(value, list | tuple) else ()


def _leave_out(index: Index, code: str, text: str, *records: Record) -> None:
    index.left_out.append(Reason(code, text, tuple(record.ref for record in records)))
