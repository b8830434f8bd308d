"""URLs of git remotes: without credentials, compared, and as the URI of a committed file."""

from __future__ import annotations

import re
from urllib.parse import quote, urlsplit

_SCHEMES = {"http", "https", "ssh", "git", "git+ssh", "ssh+git", "ftp", "ftps", "file"}
_SSH = {"ssh", "git+ssh", "ssh+git"}
_SCP = re.compile(r"(?:(?P<user>[^@/]*)@)?(?P<host>\[[^\]/]+\]|[^:/@\[\]]+):(?P<path>.+)")
"""``user@host:path``, https://git-scm.com/docs/git-clone#_git_urls."""
_HELPER = re.compile(r"[A-Za-z0-9+.-]+::")
"""``helper::address``; nobody knows what an address holds."""


def clean_url(url: str) -> str | None:
    """The URL without user, password, query and fragment, any of which may hold a token.

    The user ``git`` of SSH stays: it is no secret, and the URL does not work without it.

    Returns:
        None where it cannot be told what part of the URL is secret.
    """
    if not url.isprintable() or _HELPER.match(url):
        return None
    if "://" in url:
        return _clean(url)
    if match := _SCP.fullmatch(url):
        user = "git@" if match["user"] == "git" else ""
        return f"{user}{match['host']}:{match['path']}"
    return url


def key(url: str) -> str:
    """What two URLs of one repository have in common: host and path.

    The way to reach it (scheme, user, port, a trailing ``.git``) does not count. A folder's name,
    or a local path, is its own key.
    """
    path = url.rstrip("/").removesuffix(".git")
    if "://" in path:
        parts = urlsplit(path)
        return f"{parts.hostname or ''}/{parts.path.strip('/')}"
    if match := _SCP.fullmatch(path):
        return f"{match['host'].lower().strip('[]')}/{match['path'].strip('/')}"
    return path


def file_uri(url: str, commit: str, path: str) -> str | None:
    """``git+<url>@<commit>#<path>`` (SPDX 2.3 §7.7, download location); None for what is no URL.

    Args:
        url: as :func:`clean_url` gives it.
    """
    if "://" not in url:
        match = _SCP.fullmatch(url)
        if match is None:
            if not url.startswith("/"):
                return None
            url = f"file://{quote(url)}"
        else:
            user = f"{match['user']}@" if match["user"] else ""
            url = f"ssh://{user}{match['host']}/{match['path'].lstrip('/')}"
    return f"git+{url}@{commit}#{quote(path)}"


def _clean(url: str) -> str | None:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:  # such as a password with a slash in it, which looks like a port
        return None
    if parts.scheme not in _SCHEMES or (not parts.hostname and parts.scheme != "file"):
        return None
    host = parts.hostname or ""
    host = f"[{host}]" if ":" in host else host
    user = "git@" if parts.scheme in _SSH and parts.username == "git" else ""
    return f"{parts.scheme}://{user}{host}{'' if port is None else f':{port}'}{parts.path}"
