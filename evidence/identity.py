"""Who the user is by what git was told, as a default for names in a new workspace."""

from __future__ import annotations

import re
from pathlib import Path

from muniment.schemas.errors import InputError


def git_identity(folder: Path) -> tuple[str, str]:
    """Name and e-mail address from git's configuration.

    Raises:
        InputError: ``identity.unknown`` if git knows none.
    """
    from git.cmd import Git
    from git.exc import GitCommandError, GitCommandNotFound

    git = Git(folder if folder.is_dir() else None)
    try:
        return git.config("--get", "user.name"), git.config("--get", "user.email")
    except (GitCommandError, GitCommandNotFound) as error:
        raise InputError(
            "identity.unknown",
            "it is not known who you are",
            hint='--name "Your Name" --email you@example.com, or tell git: user.name, user.email',
        ) from error


def slug(folder: Path) -> str:
    """A host-like name made from a folder's."""
    return re.sub(r"[^a-z0-9]+", "-", folder.name.lower()).strip("-") or "ledger"
