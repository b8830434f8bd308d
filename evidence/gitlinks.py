"""Git links: which commit holds the very bytes of a file, said when attached, checked later."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from enum import StrEnum
from pathlib import Path
from typing import Any, Self

from muniment.schemas.errors import GitError
from muniment.schemas.finding import Finding
from muniment.schemas.statement import Subject
from muniment.schemas.text import visible

from . import giturls
from .artifacts import HashedFile, read_again
from .gitrun import Commit, Objects, failed, hash_converted, run

_LFS = re.compile(
    rb"version https://git-lfs\.github\.com/spec/v1\n"
    rb"(?:ext-[^\n]*\n)*oid sha256:([0-9a-f]{64})\nsize (\d+)\n"
)
"""A Git LFS pointer, https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md."""
_LFS_MAX = 1024
"""Bytes; a pointer is smaller by its specification."""
_MAX_CONVERTED = 512 << 20
"""Largest file in bytes that git is asked to convert: its default core.bigFileThreshold."""
_SIGNATURE_SECONDS = 20
_PROGRAMS = {"openpgp": "gpg", "x509": "gpgsm", "ssh": "ssh-keygen"}
"""Git's own programs to check signatures with, by format."""
_SETTINGS = r"^(remote\..*\.(url|promisor)|extensions\.partialclone|gpg\.(.*\.)?program)$"
_OWN_SCOPES = {"system", "global", "command"}
"""Configuration the user made, as against what came with the repository's folder."""
_GRADES = {"G": "good", "B": "bad", "R": "bad"}
"""Of git's %G?; whatever else it says is unverifiable. A commit that has a signature is N to git
where no allowedSignersFile is configured, so N is no proof of none."""


class GitState(StrEnum):
    """What git holds of a file."""

    COMMITTED = "committed"
    """HEAD's tree holds these very bytes at this path, or the LFS pointer to them, or what git's
    line-end, ident and encoding conversions make of them."""
    MODIFIED = "modified"
    """Git knows the path; HEAD holds other bytes there, or none yet."""
    UNTRACKED = "untracked"
    IGNORED = "ignored"
    OUTSIDE = "outside"
    """The file is in no repository."""


class CommitSignature(StrEnum):
    """What git says of a commit's own signature."""

    GOOD = "good"
    BAD = "bad"
    """The signature does not fit the commit, or its key was revoked."""
    UNVERIFIABLE = "unverifiable"
    """There is one; the key is unknown, not trusted or expired, or the check did not end."""
    NONE = "none"


@dataclass(frozen=True, slots=True)
class GitLink:
    """Where a file stands in git. Only a committed file has a commit and what depends on it."""

    state: GitState
    repository: str | None = None
    """URL of the remote without credentials, or the name of the repository's folder."""
    path: str | None = None
    """From the top of the repository."""
    commit: str | None = None
    blob: str | None = None
    filtered: bool | None = None
    """Whether git stores other bytes than the file holds."""
    pushed: bool | None = None
    """Whether a remote-tracking branch holds the commit; None without a remote."""
    signature: CommitSignature | None = None
    signer: str | None = None
    """Who git says signed the commit; only for a good signature."""

    def to_json(self) -> dict[str, Any]:
        """The value of ``annotations.git``."""
        values = {item.name: getattr(self, item.name) for item in fields(self)}
        return {
            name: str(value) if isinstance(value, StrEnum) else value
            for name, value in values.items()
            if value is not None
        }


def link(file: HashedFile) -> GitLink:
    """Say what git holds of a file that was just hashed.

    The bytes compared are those that were hashed: should the file change meanwhile, the answer is
    still about them. No program that the repository names is run, no filter either: a file that
    HEAD holds only through a filter program other than Git LFS is ``modified``, since what such a
    program keeps of the bytes is anyone's guess.

    Raises:
        GitError: ``git.not-installed``; ``git.refused`` (the folder has another owner);
            ``git.no-work-tree`` (a bare repository, or within ``.git``); ``git.corrupt``;
            ``git.failed``.
        InputError: ``file.changed`` where converted bytes have to be read again and are others.
    """
    place = _find(file.path)
    if place is None:
        return GitLink(GitState.OUTSIDE)
    settings = _settings(place.folder)
    with Objects(place.folder) as objects:
        head = objects.commit("HEAD")
        blob = objects.blob_at(head, place.path) if head else None
        filtered = _held(objects, place, file, blob) if blob else None
    result = GitLink(GitState.MODIFIED, settings.repository(place.top), place.path)
    if head is None or blob is None:
        return replace(result, state=_not_in_head(place))
    if filtered is None:
        return result
    signature, signer = _signature(place, head, settings)
    return replace(
        result,
        state=GitState.COMMITTED,
        commit=head.id,
        blob=blob,
        filtered=filtered,
        pushed=_pushed(place, head) if settings.remotes else None,
        signature=signature,
        signer=signer,
    )


def subject(
    file: HashedFile, *, name: str, stored: bool, link: GitLink, media_type: str | None = None
) -> Subject:
    """The statement's subject for a file.

    ``gitBlob`` is among the digests only where git's blob is the file's own bytes: digests of one
    subject are alternatives, and a pointer's digest would be that of something else.

    Args:
        name: the name the record shows.
        stored: whether the bytes are in the artifact store.
    """
    digest = {"sha256": file.sha256}
    uri = None
    if link.state is GitState.COMMITTED and link.blob and link.commit and link.path:
        if not link.filtered:
            digest["gitBlob"] = link.blob
        if link.pushed is not None:
            uri = giturls.file_uri(link.repository or "", link.commit, link.path)
    annotations = {"size": file.size, "stored": stored, "git": link.to_json()}
    return Subject(name, digest, uri, media_type, annotations)


def check_links(
    links: Iterable[tuple[int, Subject]], repository: Path
) -> tuple[int, list[Finding], list[str]]:
    """Check committed links against a repository: the commit, the blob at the path, the bytes.

    A commit that the repository does not have is

    * ``git.commit-missing`` where the link names this repository (one of its remotes, or without
      remotes its folder), the commit was pushed or there was nowhere to push it to, and the clone
      is complete. Then history was rewritten, or the clone is behind, which a fetch settles; from
      the clone alone nobody can tell the two apart, so it fails closed.
    * not checked where the link names another repository, the clone is shallow, or the commit was
      recorded as not pushed, so that it may never have left its author's machine.

    Args:
        links: place of the record, and its subject; those without a committed link are passed over.
        repository: any folder of a working tree, or a bare repository.

    Returns:
        How many links were checked; findings ``git.link-incomplete``, ``git.commit-missing``,
        ``git.blob-differs``, ``git.bytes-differ`` and ``git.corrupt``; and what was not checked,
        with the reason.
    """
    claims = [
        (record, item, item.git)
        for record, item in links
        if item.git is not None and item.git["state"] == GitState.COMMITTED
    ]
    checked, findings, not_checked = 0, list[Finding](), list[str]()
    if not claims:
        return checked, findings, not_checked
    try:
        checker = _Checker(repository)
    except GitError as error:
        return 0, [], [f"#{record} {visible(item.name)}: {error}" for record, item, _ in claims]
    with checker:
        for record, item, claim in claims:
            try:
                checker.check(item, claim)
            except _NotCheckedError as error:
                not_checked.append(f"#{record} {visible(item.name)}: {error}")
                continue
            except GitError as error:
                message = f"{visible(item.name)}: {error}"
                found = Finding(error.code, message, record, error.expected, error.found)
                findings.append(found)
            checked += 1
    return checked, findings, not_checked


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a file is in a working tree."""

    folder: Path
    name: str
    top: Path
    path: str
    """From ``top``."""
    tips: frozenset[str]
    """Commits that remote-tracking branches point at."""


def _find(path: Path) -> _Place | None:
    """The working tree around a file; None where there is no repository."""
    result = run(path.parent, "rev-parse", "--is-inside-work-tree", "--remotes", "--show-toplevel")
    if result.status and not result.out:
        if "not a git repository (or any" in result.error:
            return None
        raise _refused(result.error)
    inside, *lines = os.fsdecode(result.out.removesuffix(b"\n")).split("\n")
    if inside != "true":
        raise GitError(
            "git.no-work-tree",
            f"{visible(str(path))} lies in a repository's own folder, not in a working tree",
            hint="attach the file from a working tree, or copy it out of the repository",
        )
    result.or_raise()
    # The top is absolute, so its first line is the first to start with a slash.
    first = next(index for index, line in enumerate(lines) if line.startswith("/"))
    top = Path("\n".join(lines[first:]))
    return _Place(
        path.parent, path.name, top, path.relative_to(top).as_posix(), frozenset(lines[:first])
    )


def _refused(error: str) -> GitError:
    """Git's own refusal to enter a repository, with the way out that git names."""
    if "dubious ownership" not in error and "cannot use bare repository" not in error:
        return failed(error)
    advice = [line.strip() for line in error.splitlines() if line.startswith("\tgit config")]
    return GitError(
        "git.refused",
        "git refuses the repository: it belongs to somebody else",
        hint=visible(advice[0]) if advice else "see safe.directory in git help config",
    )


@dataclass(frozen=True, slots=True)
class _Settings:
    """What git's configuration says that a link needs."""

    remotes: dict[str, str] = field(default_factory=dict)
    """Name to URL, as configured."""
    programs: dict[str, str] = field(default_factory=_PROGRAMS.copy)
    """Signature format to program, of the user's own choice only."""
    partial: bool = False

    def repository(self, top: Path) -> str:
        """What a link calls the repository."""
        urls = [self.remotes[name] for name in ("origin", *self.remotes) if name in self.remotes]
        return (giturls.clean_url(urls[0]) if urls else None) or top.name


def _settings(folder: Path) -> _Settings:
    result = run(folder, "config", "-z", "--show-scope", "--get-regexp", _SETTINGS)
    settings = _Settings()
    if result.status == 1:  # nothing of the kind is set
        return settings
    parts = result.or_raise().decode("utf-8", "replace").split("\0")
    for scope, item in zip(parts[::2], parts[1::2], strict=False):
        key, _, value = item.partition("\n")
        section, _, rest = key.partition(".")
        name, _, variable = rest.rpartition(".")
        if section == "remote" and variable == "url":
            settings.remotes.setdefault(name, value)
        elif section == "gpg":
            # NOTE: else a hostile folder's own configuration would name a program for us to run.
            if scope in _OWN_SCOPES:
                settings.programs[name or "openpgp"] = value
        else:
            settings = replace(settings, partial=True)
    return settings


def _held(objects: Objects, place: _Place, file: HashedFile, blob: str) -> bool | None:
    """Whether git holds the file in other bytes than its own; None where it does not hold it."""
    if blob == file.git_blob_sha1:
        return False
    probe = _Probe()
    if objects.feed(blob, probe.update):
        # The second way to be held as it is: a repository whose ids are SHA-256.
        if probe.sha256 == file.sha256:
            return False
        if probe.pointer == (file.sha256, file.size):
            return True
    return True if _converts(place, file, blob) else None


def _converts(place: _Place, file: HashedFile, blob: str) -> bool:
    """Whether git's built-in conversions make ``blob`` of the file's bytes."""
    if file.size > _MAX_CONVERTED:
        return False
    out = run(place.folder, "check-attr", "-z", "filter", "--", place.name).or_raise()
    if out.split(b"\0")[2] not in (b"unspecified", b"unset", b"set"):
        return False  # a filter program; see link()
    return hash_converted(place.folder, place.name, read_again(file)) == blob


def _not_in_head(place: _Place) -> GitState:
    out = run(
        place.folder,
        *("ls-files", "-z", "-t", "--cached", "--others", "--exclude-standard"),
        *("--", place.name),
    ).or_raise()
    if not out:
        return GitState.IGNORED
    return GitState.UNTRACKED if out.startswith(b"?") else GitState.MODIFIED


def _pushed(place: _Place, head: Commit) -> bool:
    if head.id in place.tips:
        return True
    if not place.tips:
        return False
    return not run(
        place.folder, "rev-list", "--max-count=1", head.id, "--not", "--remotes"
    ).or_raise()


def _signature(
    place: _Place, head: Commit, settings: _Settings
) -> tuple[CommitSignature, str | None]:
    if not head.signed:
        return CommitSignature.NONE, None
    chosen = (f"gpg.{format_}.program={name}" for format_, name in settings.programs.items())
    try:
        result = run(
            place.folder,
            *(part for setting in chosen for part in ("-c", setting)),
            *("log", "--no-walk", "--no-show-signature", "--format=%G?%x00%GS", head.id),
            timeout=_SIGNATURE_SECONDS,
        )
    except GitError:  # it took too long
        return CommitSignature.UNVERIFIABLE, None
    grade, _, signer = result.out.decode("utf-8", "replace").strip().partition("\0")
    signature = CommitSignature(_GRADES.get(grade, "unverifiable"))
    return signature, signer or None if signature is CommitSignature.GOOD else None


class _Probe:
    """What the bytes of a blob say, without being kept."""

    def __init__(self) -> None:
        self._raw = hashlib.sha256()
        self._crlf = hashlib.sha256()
        self._head = b""

    def update(self, chunk: bytes) -> None:
        """Take the next bytes."""
        self._raw.update(chunk)
        self._crlf.update(chunk.replace(b"\n", b"\r\n"))
        if len(self._head) <= _LFS_MAX:
            self._head += chunk[: _LFS_MAX + 1]

    @property
    def sha256(self) -> str:
        """SHA-256 of the blob's bytes."""
        return self._raw.hexdigest()

    @property
    def sha256_crlf(self) -> str:
        """SHA-256 with every line feed made CR LF, as a checkout with ``eol=crlf`` does."""
        return self._crlf.hexdigest()

    @property
    def pointer(self) -> tuple[str, int] | None:
        """SHA-256 and size that the blob stands for, if it is a Git LFS pointer."""
        match = _LFS.fullmatch(self._head) if len(self._head) <= _LFS_MAX else None
        return (match[1].decode(), int(match[2])) if match else None


class _NotCheckedError(Exception):
    """A link that this repository can say nothing about; the text is the reason."""


class _Checker:
    """Checks links against one repository."""

    def __init__(self, repository: Path) -> None:
        result = run(repository, "rev-parse", "--is-shallow-repository", "--show-toplevel")
        shallow, _, top = os.fsdecode(result.out.removesuffix(b"\n")).partition("\n")
        if not shallow:
            raise _refused(result.error)
        settings = _settings(repository)
        self._shallow = shallow == "true"
        self._partial = settings.partial
        self._own = {giturls.key(url) for url in settings.remotes.values()}
        # A bare repository has no top.
        self._own.add(giturls.key(Path(top or repository.resolve()).name))
        self._repository = repository
        self._objects = Objects(repository)
        self._probes: dict[str, _Probe] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._objects.close()

    def check(self, item: Subject, claim: Mapping[str, Any]) -> None:
        """Check one committed link.

        Raises:
            GitError: what does not hold.
            _NotCheckedError: why it could not be checked.
        """
        if not all(isinstance(claim.get(name), str) for name in ("commit", "path", "blob")):
            raise GitError("git.link-incomplete", "the link says committed, but not where")
        try:
            self._check(item, claim)
        except GitError as error:
            if error.code not in ("git.corrupt", "git.failed"):
                raise
            # Git gave up on an object, and may have ended with it.
            self._objects.close()
            self._objects = Objects(self._repository)
            if self._partial:
                raise _NotCheckedError("this clone is partial and lacks an object") from error
            raise GitError(
                "git.corrupt", error.message, expected=error.expected, found=error.found
            ) from error

    def _check(self, item: Subject, claim: Mapping[str, Any]) -> None:
        # (1) the commit is there
        commit = self._objects.commit(claim["commit"])
        if commit is None:
            raise self._missing(claim)
        # (2) its tree holds the recorded blob at the recorded path
        blob = self._objects.blob_at(commit, claim["path"])
        if blob is None or blob != claim["blob"]:
            raise GitError(
                "git.blob-differs",
                f"commit {commit.id} does not hold the recorded blob at {visible(claim['path'])}",
                expected=claim["blob"],
                found=blob or "no file at this path",
            )
        # (3) the blob's bytes have the recorded SHA-256
        self._check_bytes(item, self._probe(blob), converted=claim.get("filtered") is True)

    def _probe(self, blob: str) -> _Probe:
        if blob not in self._probes:
            probe = _Probe()
            if self._objects.feed(blob, probe.update) is None:
                raise GitError("git.corrupt", "a blob of the commit is missing", expected=blob)
            self._probes[blob] = probe
        return self._probes[blob]

    def _check_bytes(self, item: Subject, probe: _Probe, *, converted: bool) -> None:
        found = probe.pointer[0] if converted and probe.pointer else probe.sha256
        if item.sha256 in (found, probe.sha256_crlf if converted else found):
            return
        if converted and probe.pointer is None:
            raise _NotCheckedError(
                "the commit holds the recorded blob, but git converts the file, and its SHA-256 "
                "cannot be computed from the blob"
            )
        raise GitError(
            "git.bytes-differ",
            "the committed bytes are not those of the record",
            expected=item.sha256,
            found=found,
        )

    def _missing(self, claim: Mapping[str, Any]) -> Exception:
        name, commit = claim.get("repository", ""), claim["commit"]
        if giturls.key(name) not in self._own:
            return _NotCheckedError(f"commit {commit} is of another repository, {visible(name)}")
        if self._shallow:
            return _NotCheckedError(f"this clone is shallow and lacks commit {commit}")
        if claim.get("pushed") is False:
            return _NotCheckedError(
                f"commit {commit} was not pushed when it was recorded, and this clone lacks it"
            )
        return GitError(
            "git.commit-missing",
            f"{visible(name)} has no commit {commit}: its history was rewritten, or this clone is "
            "behind; run git fetch --all and verify again",
            expected=commit,
            found="no such commit",
        )
