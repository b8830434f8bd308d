"""Checkpoints in git: one file per size on a ref of its own, where a push puts them out of reach.

The ref is a chain of commits with the files ``checkpoints/ORIGIN/SIZE`` (a ``/`` of the origin is
written ``%2F``), each a checkpoint as a signed note. Commits are made from objects alone: working
tree and index stay as they are.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from muniment.schemas.errors import ConsistencyError, GitError, InputError

from .checkpoint import SignedCheckpoint
from .gitrun import Objects, Result, failed, run
from .ledger import Ledger
from .outside import require_extension
from .tiles import node_reader

DEFAULT_REF = "refs/notes/muniment"
_FOLDER = "checkpoints"
_REFS = ("refs/notes/", "refs/heads/")
_REMOTE_SECONDS = 120
_MAX_NOTE = 1_000_000
_BLOB = "100644"
_FILES = ("100644", "100755")
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


@dataclass(frozen=True, slots=True)
class GitCheckpoints:
    """What a ref of a repository says of one ledger."""

    ref: str
    exists: bool
    """Whether the repository has the ref."""
    notes: tuple[tuple[str, bytes], ...] = ()
    """Every checkpoint of the ledger that any commit put there, each with its place."""
    missing: tuple[str, ...] = ()
    """Places whose bytes are not in the repository, or not those of their id."""
    is_shallow: bool = False
    """Whether older commits are left out of the repository, and what they held with them."""


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


def anchored_checkpoints(folder: Path, ref: str, origin: str) -> GitCheckpoints:
    """Every checkpoint of a ledger that any commit of ``ref`` put there.

    What a later commit took away again is among them. What is no file there is ignored.

    Raises:
        GitError: git did not answer; ``git.corrupt``: the ref is there, and its history cannot be
            read.
        InputError: ``git.none``.
    """
    tip = _tip(folder, ref)
    if tip is None:
        return GitCheckpoints(ref, exists=False)
    try:
        blobs = _blobs(folder, tip, origin)
        shallow = run(folder, "rev-parse", "--is-shallow-repository").or_raise().strip()
        found = [(f"{ref}:{name}", note) for name, note in _contents(folder, blobs)]
    except GitError as error:
        raise _unreadable(ref, error) from error
    return GitCheckpoints(
        ref,
        exists=True,
        notes=tuple((where, note) for where, note in found if note is not None),
        missing=tuple(where for where, note in found if note is None),
        is_shallow=shallow == b"true",
    )


def _blobs(folder: Path, tip: str, origin: str) -> dict[str, str]:
    """Ids of the files that the history of a commit ever held for a ledger, each with its name."""
    commits = run(folder, "rev-list", tip).or_raise()
    changes = run(
        folder,
        *("diff-tree", "--stdin", "-r", "-m", "-z", "--root", "--no-renames", "--no-commit-id"),
        *("--raw", "--no-abbrev", "--diff-filter=AMT", "--", _path(origin)),
        stdin=commits,
    ).or_raise()
    blobs: dict[str, str] = {}
    parts = changes.split(b"\0")
    for head, name in zip(parts[::2], parts[1::2], strict=False):
        _, mode, _, blob, _ = head.decode().split()
        # NOTE: anybody can add a submodule or a link of such a name; neither is a checkpoint.
        if mode in _FILES:
            blobs.setdefault(blob, name.decode("utf-8", "replace"))
    return blobs


def _contents(folder: Path, blobs: Mapping[str, str]) -> Iterator[tuple[str, bytes | None]]:
    """Name and bytes of files; None where they are not there, or are others than the id says."""
    objects = Objects(folder)
    try:
        for blob, name in blobs.items():
            try:
                note = _read(objects, blob)
            except GitError:
                # NOTE: what git gives up on must not hide what comes after it.
                objects.close()
                note, objects = None, Objects(folder)
            yield name, note
    finally:
        objects.close()


def _read(objects: Objects, blob: str) -> bytes | None:
    data = bytearray()

    def take(chunk: bytes) -> None:
        # NOTE: what is longer than any note is cut, and will not be read as one.
        if len(data) <= _MAX_NOTE:
            data.extend(chunk)

    if objects.feed(blob, take) is None:
        return None
    algorithm = hashlib.sha256 if len(blob) == 64 else hashlib.sha1
    made = algorithm(f"blob {len(data)}\0".encode() + data).hexdigest()
    return bytes(data) if made == blob or len(data) > _MAX_NOTE else None


def _require_consistent(ledger: Ledger, now: SignedCheckpoint, found: GitCheckpoints) -> bool:
    """Refuse to go on from checkpoints that the ledger does not extend.

    Returns:
        Whether the ledger's last checkpoint is among them.
    """
    for where in found.missing:
        raise GitError("git.corrupt", "a checkpoint in git cannot be read", found=where)
    sizes = set()
    with ledger.storage.read() as reader:
        node = node_reader(reader.tile)
        for where, note in found.notes:
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
    """The commit that a ref names; None where there is no such ref.

    Raises:
        GitError: ``git.corrupt``: the ref is there, and leads to no commit.
    """
    _require_repository(folder)
    ask = ("rev-parse", "--verify", "--quiet", "--end-of-options")
    named, commit = (run(folder, *ask, name) for name in (ref, f"{ref}^{{commit}}"))
    if named.status and not named.error.strip():
        return None
    if commit.status:
        raise _unreadable(ref, failed(named.error or commit.error))
    return commit.out.decode().strip()


def _unreadable(ref: str, error: GitError) -> GitError:
    return GitError("git.corrupt", f"{ref} is there and cannot be read: {error.message}")


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
