"""Git run so that neither the environment nor a repository's own configuration misleads us."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import Self

from muniment.schemas.errors import GitError
from muniment.schemas.text import shorten, visible

_KEPT = (
    "GIT_CONFIG_",
    "GIT_EXEC_PATH",
    "GIT_CEILING_DIRECTORIES",
    "GIT_DISCOVERY_ACROSS_FILESYSTEM",
)
"""The user's own configuration. All other ``GIT_`` variables go: inside a hook, or where somebody
set GIT_DIR, they point at another repository, index or object store."""
_ENVIRONMENT = {
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_ASKPASS": "",
    "GIT_ALLOW_PROTOCOL": "",  # a partial clone would fetch, by whatever command its remote names
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_GRAFT_FILE": f"{os.devnull}/none",  # a file of grafts gives commits other parents
}
_ONLINE = {"GIT_ALLOW_PROTOCOL": "file:http:https:ssh"}
_OPTIONS = (
    "--no-pager",
    "--no-replace-objects",  # `git replace` shows other bytes under the same id
    "--no-optional-locks",
    "--literal-pathspecs",
    "-c",
    "core.fsmonitor=false",
    "-c",
    "core.commitGraph=false",  # so does a forged cache of commits
    "-c",
    "core.hooksPath=/dev/null",
)
_TREES = 256
"""Folders kept in memory while many paths are looked up."""


@dataclass(frozen=True, slots=True)
class Result:
    """A git command that has ended."""

    status: int
    out: bytes
    error: str

    def or_raise(self) -> bytes:
        """What git printed.

        Raises:
            GitError: ``git.failed``.
        """
        if self.status:
            raise failed(self.error)
        return self.out


def start(
    folder: Path, *arguments: str, stdin: int | None = None, online: bool = False
) -> subprocess.Popen[bytes]:
    """Start git in ``folder``; the caller closes its pipes and waits for it.

    Args:
        online: let it speak to remotes.

    Raises:
        GitError: ``git.not-installed``.
    """
    try:
        from git import Git
        from git.exc import GitCommandNotFound
    except ImportError as error:  # GitPython refuses to be imported where there is no git
        raise _not_installed() from error
    stray = [name for name in os.environ if name.startswith("GIT_") and not name.startswith(_KEPT)]
    # NOTE: GitPython can set variables but not take any away.
    unset = ["env", *(part for name in stray for part in ("-u", name))] if stray else []
    # NOTE: -C, for GitPython runs git elsewhere where it cannot enter its working folder.
    command = [*unset, Git.GIT_PYTHON_GIT_EXECUTABLE, "-C", str(folder), *_OPTIONS, *arguments]
    try:
        handle = Git().execute(
            command,
            istream=stdin,
            as_process=True,
            shell=False,
            env=_ENVIRONMENT | _ONLINE if online else _ENVIRONMENT,
            start_new_session=True,
        )
    except GitCommandNotFound as error:
        raise _not_installed() from error
    process, handle.proc = handle.proc, None  # ours to end; the handle would kill it
    assert process is not None
    return process


def run(
    folder: Path,
    *arguments: str,
    timeout: float | None = None,
    stdin: bytes | None = None,
    online: bool = False,
) -> Result:
    """Run one git command to its end.

    Args:
        timeout: seconds after which git, and what it started, is killed.
        stdin: what git reads.
        online: let it speak to remotes.

    Raises:
        GitError: ``git.not-installed`` or ``git.timeout``.
    """
    pipe = None if stdin is None else subprocess.PIPE
    with start(folder, *arguments, stdin=pipe, online=online) as process:
        try:
            out, error = process.communicate(stdin, timeout=timeout)
        except subprocess.TimeoutExpired as late:
            raise GitError("git.timeout", f"git did not answer within {timeout:g} s") from late
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
    return Result(process.returncode, out, error.decode("utf-8", "replace"))


def hash_converted(folder: Path, name: str, chunks: Iterable[bytes]) -> str:
    """The blob id that git would give these bytes if they were added as ``name``.

    Args:
        name: file name within ``folder``; decides which conversions apply.

    Raises:
        GitError: ``git.not-installed`` or ``git.failed``.
    """
    # NOTE: given the bytes, not the file, which may change between our reading and git's.
    with start(
        folder, "hash-object", "--stdin", f"--path={name}", stdin=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        try:
            for chunk in chunks:
                process.stdin.write(chunk)
        except BrokenPipeError:
            pass  # git gave up; its status says why
        out, error = process.communicate()
    result = Result(process.returncode, out, error.decode("utf-8", "replace"))
    return result.or_raise().decode("ascii", "replace").strip()


def failed(error: str) -> GitError:
    """The error for a git command that failed, saying what git said."""
    lines = [line for line in error.splitlines() if line.startswith(("fatal:", "error:"))]
    text = visible(shorten(lines[0] if lines else error.strip() or "no reason given", 500))
    return GitError("git.failed", f"git failed: {text}")


def _not_installed() -> GitError:
    return GitError("git.not-installed", "git was not found", hint="install git")


@dataclass(frozen=True, slots=True)
class Commit:
    """The parts of a commit that a link needs."""

    id: str
    tree: str
    signed: bool


class Objects:
    """One ``git cat-file --batch``, asked for one object after another.

    Paths are walked here, tree by tree, so that no file name is ever part of a question to git,
    and the id of every commit and tree is computed again from its bytes: a commit id then proves
    the blob id at a path, whatever the object store was made to say.
    """

    def __init__(self, folder: Path) -> None:
        self._process = start(folder, "cat-file", "--batch", stdin=subprocess.PIPE)
        self._tree = lru_cache(maxsize=_TREES)(self._read_tree)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.communicate()

    def commit(self, name: str) -> Commit | None:
        """Read a commit; None where there is no commit of that name.

        Args:
            name: an object id in hexadecimal, or ``HEAD``.

        Raises:
            GitError: ``git.corrupt`` or ``git.failed``.
        """
        if (found := self._read(name, "commit")) is None:
            return None
        id_, data = found
        header = data.partition(b"\n\n")[0]
        tree = header.partition(b"\n")[0].removeprefix(b"tree ").decode("ascii", "replace")
        return Commit(id_, tree, b"\ngpgsig" in header)

    def blob_at(self, commit: Commit, path: str) -> str | None:
        """Id of the blob that the commit's tree holds as a regular file at ``path``.

        Raises:
            GitError: ``git.corrupt``, also where a tree is not there; or ``git.failed``.
        """
        *folders, name = path.encode("utf-8", "surrogateescape").split(b"/")
        tree = commit.tree
        for folder in folders:
            mode, tree = self._tree(tree).get(folder, (b"", ""))
            if mode != b"40000":
                return None
        mode, blob = self._tree(tree).get(name, (b"", ""))
        return blob if mode.startswith(b"100") else None

    def feed(self, name: str, sink: Callable[[bytes], object]) -> tuple[str, str] | None:
        """Read one object into ``sink``, piece by piece.

        Returns:
            Its id and type, or None where it is not there.

        Raises:
            GitError: ``git.failed`` where git gave up on the object.
        """
        process = self._process
        assert process.stdin is not None and process.stdout is not None
        try:
            process.stdin.write(name.encode() + b"\n")
            process.stdin.flush()
        except (BrokenPipeError, ValueError) as error:  # ended just now, or closed before
            raise self._ended() from error
        words = process.stdout.readline().decode("utf-8", "replace").split()
        if not words:
            raise self._ended()
        if len(words) != 3:  # "<name> missing"
            return None
        left = int(words[2]) + 1  # a line feed follows the bytes
        while left:
            if not (chunk := process.stdout.read(min(left, 1 << 20))):
                raise self._ended()
            left -= len(chunk)
            sink(chunk if left else chunk[:-1])
        return words[0], words[1]

    def _read(self, name: str, kind: str) -> tuple[str, bytes] | None:
        data = bytearray()
        found = self.feed(name, data.extend)
        if found is None or found[1] != kind or name not in ("HEAD", found[0]):
            return None
        algorithm = hashlib.sha256 if len(found[0]) == 64 else hashlib.sha1
        computed = algorithm(f"{kind} {len(data)}\0".encode() + data).hexdigest()
        if computed != found[0]:
            raise GitError(
                "git.corrupt",
                f"the repository holds other bytes under the id of a {kind}",
                hint="run git fsck",
                expected=found[0],
                found=computed,
            )
        return found[0], bytes(data)

    def _read_tree(self, name: str) -> dict[bytes, tuple[bytes, str]]:
        """Entries of a tree: name to mode and id."""
        found = self._read(name, "tree")
        if found is None:
            raise GitError(
                "git.corrupt", "a tree of the commit is missing", hint="run git fsck", expected=name
            )
        try:
            return dict(_entries(found[1], len(name) // 2))
        except ValueError as error:
            raise GitError("git.corrupt", "a tree is malformed", found=name) from error

    def _ended(self) -> GitError:
        error = self._process.communicate()[1]
        return failed(error.decode("utf-8", "replace"))


def _entries(data: bytes, width: int) -> Iterator[tuple[bytes, tuple[bytes, str]]]:
    """Entries of a tree, ``<mode> <name>``, NUL, id of ``width`` bytes: name, (mode, id)."""
    place = 0
    while place < len(data):
        end = data.index(b"\0", place)
        mode, name = data[place:end].split(b" ", 1)
        place = end + 1 + width
        yield name, (mode, data[end + 1 : place].hex())
