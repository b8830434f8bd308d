"""The files that records speak of, held against their digests: in the store and in git."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from muniment.schemas.errors import MunimentError, VerificationError
from muniment.schemas.finding import Check, Finding
from muniment.schemas.statement import Subject

from .artifacts import ArtifactStore


def verify_artifacts(
    subjects: Sequence[tuple[int, Subject]],
    store: ArtifactStore,
    erased: Sequence[tuple[int, str]] = (),
    *,
    what: str = "record",
) -> Check:
    """Re-hash every artifact that a record says was stored, each digest once.

    Args:
        erased: places of erasure records, and digests that each ordered to be removed.
        what: the records that were looked at are called.
    """
    check = Check("artifacts", "every stored artifact has the bytes its record names")
    seen: set[str] = set()
    for record, subject in subjects:
        if subject.annotations.get("stored") is False and subject.sha256 not in seen:
            check.not_checked.append(
                f"#{record}: {subject.name} was linked only, its bytes are not in the store"
            )
        if not subject.stored or subject.sha256 in seen:
            continue
        seen.add(subject.sha256)
        check.checked += 1
        fault = store.check(subject.sha256)
        if fault is not None:
            check.findings.append(
                Finding(
                    fault.code,
                    f"{subject.name}: {fault.message}",
                    record,
                    fault.expected,
                    fault.found,
                )
            )
    for record, sha256 in erased:
        check.checked += 1
        if sha256 not in seen and store.path(sha256).exists():
            text = "an artifact that was to be erased is still there: muniment erase finishes it"
            check.findings.append(Finding("erasure.undone", text, record, found=sha256))
    if not check.checked and not check.not_checked:
        check.not_checked.append(f"no {what} speaks of a file")
    return check


def require_artifacts(subjects: Sequence[tuple[int, Subject]], store: ArtifactStore) -> None:
    """Refuse to conclude anything from artifacts that do not hold.

    Raises:
        VerificationError: ``artifact.unsound``.
    """
    fault = next(iter(verify_artifacts(subjects, store).findings), None)
    if fault is not None:
        raise VerificationError(
            "artifact.unsound",
            f"an artifact does not hold: {fault.message}",
            hint="muniment verify lists every fault; nothing is concluded from such evidence",
        )


def verify_git_links(
    subjects: Sequence[tuple[int, Subject]], repository: Path, *, what: str = "record"
) -> Check:
    """Hold the git links against the repository the workspace stands in.

    Args:
        what: the records that were looked at are called.
    """
    from .gitlinks import check_links

    check = Check("git", "every committed file is in git as its record says")
    linked = [item for item in subjects if (item[1].git or {}).get("state") == "committed"]
    if not linked:
        check.not_checked.append(f"no {what} speaks of a committed file")
        return check
    try:
        check.checked, check.findings, check.not_checked = check_links(linked, repository)
    except MunimentError as error:
        check.not_checked = [f"{len(linked)} links: {error}"]
    return check
