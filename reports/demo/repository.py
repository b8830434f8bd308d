"""The demo's git repository, made and committed to without a trace in the user's own settings."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from muniment.evidence.gitrun import run
from muniment.evidence.keys import new_ed25519
from muniment.schemas.errors import GitError

_NAME, _EMAIL = "Model Builder", "builder@example.com"
_SETTINGS = (
    *(f"{who}.name={_NAME}" for who in ("user", "author", "committer")),
    *(f"{who}.email={_EMAIL}" for who in ("user", "author", "committer")),
    "core.autocrlf=false",
)
_UNSIGNED = ("commit.gpgSign=false",)


class Repository:
    """A fresh repository.

    Args:
        root: its folder, which exists and is empty.
        keys: a folder for the key that signs commits; it may go once the last commit is made.

    Raises:
        GitError: git is not there, or does not answer.
    """

    def __init__(self, root: Path, keys: Path) -> None:
        self.root = root
        self._git("init", "--quiet", "--template=", "--initial-branch=main")
        self._signing = self._new_key(keys) if shutil.which("ssh-keygen") else _UNSIGNED

    @property
    def signs(self) -> bool:
        """Whether commits are signed."""
        return self._signing is not _UNSIGNED

    @property
    def head(self) -> str:
        """The last commit."""
        return self._git("rev-parse", "HEAD").decode().strip()

    def commit(self, message: str, files: Sequence[str]) -> None:
        """Commit ``files``, signed if this machine can do it."""
        # NOTE: forced, for the user's own ignore rules may hide a file of the story.
        self._git("add", "--force", "--", *files)
        try:
            self._commit(message)
        except GitError:
            if not self.signs:
                raise
            # NOTE: git before 2.34 and OpenSSH before 8.2 know no such signatures.
            self._signing = _UNSIGNED
            self._commit(message)

    def _commit(self, message: str) -> None:
        self._git("commit", "--quiet", "--message", message, settings=(*_SETTINGS, *self._signing))

    def _new_key(self, keys: Path) -> Sequence[str]:
        """Make a key, have this repository trust it, and give the settings that sign with it."""
        key = new_ed25519()
        file = keys / "commits"
        file.touch(mode=0o600)
        file.write_bytes(
            key.private.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
        )
        trusted = self.root / ".git" / "allowed_signers"
        trusted.write_text(f'{_EMAIL} namespaces="git" {key.public.openssh()}\n')
        self._git("config", "gpg.ssh.allowedSignersFile", str(trusted))
        return (
            "commit.gpgSign=true",
            "gpg.format=ssh",
            "gpg.ssh.program=ssh-keygen",
            f"user.signingKey={file}",
        )

    def _git(self, *arguments: str, settings: Sequence[str] = _SETTINGS) -> bytes:
        options = [part for setting in settings for part in ("-c", setting)]
        return run(self.root, *options, *arguments).or_raise()
