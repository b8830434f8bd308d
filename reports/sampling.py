"""Drawing the auditor's sample from a workspace, and signing what its tests came to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from muniment.controls.index import SAMPLE_TEST
from muniment.controls.sample import (
    By,
    Seed,
    check_number,
    check_salt,
    differences,
    draw,
)
from muniment.evidence.checkpoint import SignedCheckpoint, verify_checkpoint
from muniment.evidence.draft import Evidence
from muniment.schemas.errors import ConsistencyError, InputError, Problem, SchemaError
from muniment.schemas.record import Record
from muniment.schemas.statement import SystemRef
from muniment.schemas.text import counted, shorten

from .coverages import checkpoint_of
from .sampleview import OUTCOMES, Drawing, drawn
from .since import old_checkpoint

if TYPE_CHECKING:
    from muniment.evidence.verification import Progress
    from muniment.evidence.verified import VerifiedLedger
    from muniment.evidence.workspace import Attached

    from .workspace import Workspace

LATEST = "latest"
_MOST_DIGITS = 12
_CHOICES = f"{', '.join(OUTCOMES[:-1])} or {OUTCOMES[-1]}"


def draw_sample(
    workspace: Workspace,
    n: int,
    *,
    system: str | None = None,
    seed_from: str = LATEST,
    salt: str = "",
    by: By = By.KIND,
    progress: Progress | None = None,
) -> Drawing:
    """Draw ``n`` records about one system version for an auditor to test.

    Args:
        seed_from: the checkpoint that seeds the draw: its size, a file that holds it (a packet, a
            receipt, a checkpoint), or ``latest``.
        salt: the auditor's word; empty for none.

    Raises:
        InputError: ``sample.…``, ``checkpoint.unknown``, ``system.…`` or ``since.malformed``.
        CheckpointError, ConsistencyError: the file's checkpoint is not this ledger's.
        VerificationError: ``ledger.unsound``; nothing is drawn from such a ledger.
    """
    check_number(n)
    if salt:
        check_salt(salt)
    verified = workspace.verified(progress)
    verified.require()
    seeding = _seeding(workspace, verified, seed_from)
    return _drawing(verified, workspace.system(system), seeding, salt, n, by)


def sample_for_packet(
    workspace: Workspace, verified: VerifiedLedger, system: SystemRef, asked: str
) -> Drawing:
    """The sample that a packet prints.

    Args:
        asked: how many records are drawn, by kind, seeded by the packet's own checkpoint; or the
            file of a sample that was drawn before.

    Raises:
        InputError: ``sample.…``, or the file cannot be read.
        ConsistencyError: ``sample.seed-differs``.
    """
    if asked.isascii() and asked.isdigit() and len(asked) <= _MOST_DIGITS:
        return _drawing(verified, system, verified.require(), "", int(asked), By.KIND)
    named, body = _read(Path(asked), workspace)
    if SystemRef.parse(named) != system:
        raise InputError(
            "sample.other-system",
            "the sample is of another system version than the packet",
            expected=str(system),
            found=named,
        )
    return _redrawn(workspace, verified, system, body)


def record_results(workspace: Workspace, file: Path) -> Attached:
    """Sign what the tests of a sample came to; a list that the rule does not give is refused.

    Args:
        file: YAML as ``sampleview.to_template`` writes it, every outcome filled in.

    Raises:
        SchemaError: ``body.malformed``, with everything that is missing.
        InputError: ``sample.differs``, ``sample.own``, ``sample.malformed``, or the key may not
            sign it.
        ConsistencyError: ``sample.seed-differs``.
        VerificationError: ``ledger.unsound``.
    """
    named, body = _read(file, workspace)
    if open_ := tuple(_unanswered(body)):
        verb = "needs" if len(open_) == 1 else "need"
        raise SchemaError(
            "body.malformed",
            f"{counted(len(open_), 'record')} still {verb} an answer, beginning with "
            f"{open_[0].path}",
            open_,
            hint=f"fill in {file.name}: outcome: {_CHOICES}; and note: TEXT for the last two",
        )
    problems = workspace.kinds.get(SAMPLE_TEST).problems(body)
    if problems:
        first = problems[0]
        raise SchemaError(
            "body.malformed", f"this is no {SAMPLE_TEST}: {first.path} {first.message}", problems
        )
    verified = workspace.verified()
    verified.require()
    system = workspace.system(named)
    _redrawn(workspace, verified, system, body)
    _require_others_records(workspace, verified, body)
    return workspace.add(Evidence(kind=SAMPLE_TEST, system=system, body=body))


def _read(file: Path, workspace: Workspace) -> tuple[str, dict[str, Any]]:
    """System and body of a sample in YAML; what was left empty is left out.

    Raises:
        InputError: ``sample.malformed``, or the file cannot be read.
    """
    from muniment.schemas.yamldoc import load_mapping

    body = load_mapping(file, what=str(file))
    named = body.pop("system", None)
    records = body.get("records")
    if not isinstance(named, str) or not isinstance(records, list):
        raise InputError(
            "sample.malformed",
            f"{file.name} is not the file of a sample",
            hint="muniment sample --template FILE writes one",
        )
    for item in (item for item in records if isinstance(item, dict)):
        for name in ("outcome", "note"):
            if item.get(name, "") in (None, ""):
                item.pop(name, None)
    drawn = {**body, "records": [_as_if_passed(item) for item in records]}
    problems = workspace.kinds.get(SAMPLE_TEST).problems(drawn)
    if problems:
        raise SchemaError(
            "sample.malformed",
            f"{file.name} is not the file of a sample: {problems[0].path} {problems[0].message}",
            problems,
        )
    return named, body


def _unanswered(body: Mapping[str, Any]) -> Iterator[Problem]:
    """Every record whose outcome or note is still to be written, named as people write it."""
    for item in body["records"]:
        place, outcome = f"#{item['index']}", item.get("outcome")
        if outcome is None:
            yield Problem(place, f"has no outcome: it is {_CHOICES}")
        elif outcome not in OUTCOMES:
            yield Problem(place, f"has the outcome {shorten(str(outcome), 60)!r}: it is {_CHOICES}")
        elif outcome != OUTCOMES[0] and "note" not in item:
            yield Problem(place, f"has no note: {outcome} needs one")


def _as_if_passed(item: Any) -> Any:
    return {**item, "outcome": "passed"} if isinstance(item, Mapping) else item


def _seeding(workspace: Workspace, verified: VerifiedLedger, asked: str) -> SignedCheckpoint:
    if asked == LATEST:
        return verified.require()
    if asked.isascii() and asked.isdigit() and len(asked) <= _MOST_DIGITS:
        return checkpoint_of(workspace, int(asked))
    kept = verify_checkpoint(old_checkpoint(Path(asked)), workspace.ledger.vkey)
    return _same(workspace, kept.size, kept.root.hex())


def _same(workspace: Workspace, size: int, root: str) -> SignedCheckpoint:
    """The ledger's checkpoint of this size, if its root is the one that is known."""
    found = checkpoint_of(workspace, size)
    if found.root.hex() != root:
        raise ConsistencyError(
            "sample.seed-differs",
            f"the ledger's checkpoint of size {size} has another root",
            expected=root,
            found=found.root.hex(),
            hint="muniment verify --since FILE says whether the ledger was rewritten",
        )
    return found


def _redrawn(
    workspace: Workspace, verified: VerifiedLedger, system: SystemRef, body: Mapping[str, Any]
) -> Drawing:
    """The sample that a body states, drawn again.

    Raises:
        InputError: ``sample.differs``.
        ConsistencyError: ``sample.seed-differs``.
    """
    seeding = _same(workspace, body["checkpoint"]["size"], body["checkpoint"]["root"])
    salt, by = body.get("salt", ""), By(body["by"])
    drawing = _drawing(verified, system, seeding, salt, body["n"], by)
    for message, expected, found in differences(body, drawing.sample):
        raise InputError(
            "sample.differs",
            message,
            expected=expected,
            found=found,
            hint="draw it again: muniment sample --template FILE",
        )
    return drawing


def _drawing(
    verified: VerifiedLedger,
    system: SystemRef,
    seeding: SignedCheckpoint,
    salt: str,
    n: int,
    by: By,
) -> Drawing:
    sample = draw(verified.records, system, Seed(seeding.size, seeding.root.hex(), salt), n, by)
    return drawn(sample, verified.records, seeding, verified.require().size)


def _require_others_records(
    workspace: Workspace, verified: VerifiedLedger, body: Mapping[str, Any]
) -> None:
    """Refuse an auditor who would test what they signed themselves."""
    known = workspace.people.ring().get(workspace.signing_key.public.fingerprint)
    person = known.signer.person if known is not None else ""
    by_place: dict[int, Record] = {record.index: record for record in verified.records}
    for item in body["records"]:
        record = by_place.get(item["index"])
        if record is None or item["outcome"] == "not-tested":
            continue
        if record.signer.person == person:
            raise InputError(
                "sample.own",
                f"{record} was signed by the same person: nobody tests their own records",
                hint="choose the key of another auditor with --key, or answer not-tested",
            )
