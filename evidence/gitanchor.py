"""Checkpoints in git: one file per size on a ref of its own, where a push puts them out of reach.

The ref is a chain of commits with the files ``checkpoints/ORIGIN/SIZE`` (a ``/`` of the origin is
written ``%2F``), each a checkpoint as a signed note. Commits are made from objects alone: working
tree and index stay as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from muniment.schemas.errors import ConsistencyError, GitError, InputError

from .checkpoint import SignedCheckpoint
from .gitrun import Objects, Result, run
from .ledger import Ledger
from .outside import require_extension
from .tiles import node_reader

DEFAULT_REF = "refs/notes/muniment"
_FOLDER = "checkpoints"
_REFS = ("refs/notes/", "refs/heads/")
_REMOTE_SECONDS = 120
_MAX_NOTE = 1_000_000
_BLOB = "100644"
_TREE = "040000"
_ADDRESS = ("-c", "user.name=muniment", "-c", "user.email=muniment@localhost")
"""Who commits: nobody in particular, for what is proved is proved by the note's signatures."""


@dataclass(frozen=True, slots=True)
class GitAnchored:
    """What anchoring in git answered."""

    ref: str
    commit: str
    size: int
    is_new: bool
    """False if the checkpoint was there already."""
    pushed: str | None
    """The remote it was pushed to."""


def anchor_in_git(
    folder: Path, ledger: Ledger, *, ref: str = DEFAULT_REF, push: str | None = None
) -> GitAnchored:
    """Write the ledger's last checkpoint into ``ref``, after all that is there, and push it.

    Args:
        folder: where to look for the repository.
        push: name or URL of a remote; what it holds of the ref is fetched first.

    Raises:
        InputError: ``git.ref``, ``git.checked-out`` or ``git.none``.
        ConsistencyError: ``outside.rollback`` or ``outside.fork``: git holds a checkpoint that the
            ledger does not extend. Nothing is written then.
        GitError: git did not answer, or ``git.diverged``.
    """
    _check_ref(folder, ref)
    checkpoint = ledger.checkpoint()
    if push is not None:
        _catch_up(folder, push, ref)
    found = anchored_checkpoints(folder, ref, ledger.vkey.name)
    known = _require_consistent(ledger, checkpoint, found)
    tip = _tip(folder, ref)
    if tip is None or not known:
        tip = _commit(folder, ref, tip, checkpoint)
    if push is not None:
        _online(folder, "push", "--quiet", "--no-verify", "--", push, f"{ref}:{ref}").or_raise()
    return GitAnchored(ref, tip, checkpoint.size, not known, push)


def anchored_checkpoints(folder: Path, ref: str, origin: str) -> list[tuple[str, bytes]]:
    """Every checkpoint of a ledger that any commit of ``ref`` put there, each with its place.

    What a later commit took away again is among them.

    Raises:
        GitError: git did not answer, or an object is missing.
        InputError: ``git.none``.
    """
    tip = _tip(folder, ref)
    if tip is None:
        return []
    commits = run(folder, "rev-list", tip).or_raise()
    changes = run(
        folder,
        *("diff-tree", "--stdin", "-r", "-m", "-z", "--root", "--no-renames", "--no-commit-id"),
        *("--raw", "--no-abbrev", "--diff-filter=AM", "--", _path(origin)),
        stdin=commits,
    ).or_raise()
    blobs: dict[str, str] = {}
    parts = changes.split(b"\0")
    for head, name in zip(parts[::2], parts[1::2], strict=False):
        blobs.setdefault(head.split()[3].decode(), name.decode("utf-8", "replace"))
    with Objects(folder) as objects:
        return [(f"{ref}:{name}", _read(objects, blob)) for blob, name in blobs.items()]


def _read(objects: Objects, blob: str) -> bytes:
    data = bytearray()

    def take(chunk: bytes) -> None:
        # NOTE: what is longer than any note is cut, and will not be read as one.
        if len(data) <= _MAX_NOTE:
            data.extend(chunk)

    if objects.feed(blob, take) is None:
        raise GitError("git.corrupt", "a checkpoint in git is missing", found=blob)
    return bytes(data)


def _require_consistent(
    ledger: Ledger, now: SignedCheckpoint, found: Sequence[tuple[str, bytes]]
) -> bool:
    """Refuse to go on from checkpoints that the ledger does not extend.

    Returns:
        Whether the ledger's last checkpoint is among them.
    """
    sizes = set()
    with ledger.storage.read() as reader:
        node = node_reader(reader.tile)
        for where, note in found:
            try:
                sizes.add(require_extension(note, ledger.vkey, now, node).size)
            except ConsistencyError as error:
                raise ConsistencyError(
                    error.code,
                    f"{where}: {error.message}",
                    hint=error.hint,
                    expected=error.expected,
                    found=error.found,
                ) from error
    return now.size in sizes


def _check_ref(folder: Path, ref: str) -> None:
    valid = ref.startswith(_REFS) and not run(folder, "check-ref-format", ref).status
    if not valid:
        raise InputError(
            "git.ref",
            f"{ref!r} cannot hold checkpoints",
            expected="a full name, refs/notes/NAME or refs/heads/NAME",
            found=ref,
        )
    _require_repository(folder)
    listed = run(folder, "worktree", "list", "--porcelain").or_raise().decode("utf-8", "replace")
    if f"branch {ref}" in listed.splitlines():
        raise InputError(
            "git.checked-out",
            f"{ref} is checked out: its files would seem to be deleted",
            hint="choose a ref of its own, such as " + DEFAULT_REF,
        )


def _require_repository(folder: Path) -> None:
    answer = run(folder, "rev-parse", "--git-dir")
    if answer.status and "not a git repository" in answer.error:
        raise InputError(
            "git.none",
            "the workspace is in no git repository",
            hint="git init makes one",
        )
    answer.or_raise()


def _tip(folder: Path, ref: str) -> str | None:
    _require_repository(folder)
    answer = run(
        folder, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}"
    )
    return answer.out.decode().strip() if not answer.status else None


def _commit(folder: Path, ref: str, tip: str | None, checkpoint: SignedCheckpoint) -> str:
    """Put the checkpoint on top of ``tip``, and move the ref if it is still there."""
    blob = _make(folder, checkpoint.note.to_bytes(), "hash-object", "-w", "--stdin")
    *folders, name = [*_path(checkpoint.checkpoint.origin).split("/"), str(checkpoint.size)]
    levels = [_entries(folder, tip, "/".join(folders[:depth])) for depth in range(len(folders) + 1)]
    mode, kind, made = _BLOB, "blob", blob
    for entries, part in zip(reversed(levels), reversed([*folders, name]), strict=True):
        entries[part] = f"{mode} {kind} {made}\t{part}"
        text = "".join(f"{line}\0" for line in entries.values())
        made = _make(folder, text.encode("utf-8", "surrogateescape"), "mktree", "-z")
        mode, kind = _TREE, "tree"
    parents = [] if tip is None else ["-p", tip]
    words = f"Checkpoint of {checkpoint.checkpoint.origin} at {checkpoint.size} records\n"
    commit = _make(folder, words.encode(), *_ADDRESS, "commit-tree", made, *parents)
    # NOTE: the old value is named, so that whoever was faster is not overwritten.
    old = tip or "0" * len(commit)
    run(folder, "update-ref", "-m", words.strip(), ref, commit, old).or_raise()
    return commit


def _entries(folder: Path, tip: str | None, path: str) -> dict[str, str]:
    """Lines of a tree as ``mktree`` takes them, by name; none where there is no such folder."""
    if tip is None:
        return {}
    listed = run(folder, "ls-tree", "-z", f"{tip}:{path}")
    if listed.status and path:
        return {}
    lines = listed.or_raise().decode("utf-8", "surrogateescape").split("\0")[:-1]
    return {line.partition("\t")[2]: line for line in lines}


def _make(folder: Path, data: bytes, *arguments: str) -> str:
    return run(folder, *arguments, stdin=data).or_raise().decode("ascii", "replace").strip()


def _catch_up(folder: Path, remote: str, ref: str) -> None:
    """Take over what the remote holds of the ref, if it only adds to what is here."""
    listed = _online(folder, "ls-remote", "--quiet", "--", remote, ref).or_raise().decode()
    theirs = listed.split()[0] if listed.split() else None
    ours = _tip(folder, ref)
    if theirs is None or theirs == ours:
        return
    _online(
        folder, "fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--", remote, ref
    ).or_raise()
    if ours is not None and _is_ancestor(folder, theirs, ours):
        return
    if ours is not None and not _is_ancestor(folder, ours, theirs):
        raise GitError(
            "git.diverged",
            f"{ref} here and at the remote went apart",
            hint=f"anchor from one clone, or delete {ref} here once its checkpoints are verified",
            expected=theirs,
            found=ours,
        )
    run(folder, "update-ref", ref, theirs, ours or "0" * len(theirs)).or_raise()


def _is_ancestor(folder: Path, old: str, new: str) -> bool:
    return not run(folder, "merge-base", "--is-ancestor", old, new).status


def _online(folder: Path, *arguments: str) -> Result:
    return run(folder, *arguments, timeout=_REMOTE_SECONDS, online=True)


def _path(origin: str) -> str:
    return f"{_FOLDER}/{origin.replace('/', '%2F')}"
