"""``muniment.yaml``: what a team agrees on about its ledger, kept in the team's git."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from muniment.schemas.errors import InputError
from muniment.schemas.yamldoc import load_mapping

from .checkpoint import check_origin
from .keys import is_fingerprint

FILE_NAME = "muniment.yaml"
STATE_FOLDER = ".muniment"
"""What belongs to one checkout: the embedded ledger, the artifacts, the choice of key."""
_OPTIONAL = ("policy", "timestamps", "timestamp_roots")
_FIELDS = (
    "version",
    "organisation",
    "origin",
    "ledger",
    "artifacts",
    "frameworks",
    "root",
    "kinds",
    *_OPTIONAL,
)


@dataclass(frozen=True, slots=True)
class Config:
    """The contents of ``muniment.yaml``."""

    organisation: str
    origin: str
    """Name of the ledger, a bare host-like name."""
    root: str
    """Pinned fingerprint of the root key."""
    frameworks: tuple[str, ...]
    """Catalog ids that coverage and packets use by default."""
    ledger: str = f"sqlite:///{STATE_FOLDER}/ledger.db"
    """SQLAlchemy URL; a relative file is relative to the workspace."""
    artifacts: str = f"{STATE_FOLDER}/artifacts"
    """Folder of the artifact store, relative to the workspace."""
    kinds: str = "kinds"
    """Folder of the workspace's own kinds, relative to the workspace."""
    policy: str | None = None
    """File with the witnesses that are trusted (C2SP tlog-policy), relative to the workspace."""
    timestamps: str | None = None
    """URL of the time-stamping authority (RFC 3161) that ``muniment timestamp`` asks."""
    timestamp_roots: str | None = None
    """PEM file with the root certificates trusted for that, relative to the workspace."""

    def to_yaml(self) -> str:
        """The file's text."""
        import yaml

        values = {
            "organisation": self.organisation,
            "origin": self.origin,
            "root": self.root,
            "frameworks": list(self.frameworks),
            "ledger": self.ledger,
            "artifacts": self.artifacts,
            "kinds": self.kinds,
        }
        values |= {name: value for name in _OPTIONAL if (value := getattr(self, name)) is not None}
        return (
            "# Muniment workspace. Keep this file in git: it pins the root key of the ledger,\n"
            "# so that nobody can swap the ledger for another one without it being seen.\n"
            "version: 1\n" + yaml.safe_dump(values, sort_keys=False, allow_unicode=True)
        )

    @classmethod
    def load(cls, path: Path) -> Config:
        """Read and check the file.

        Raises:
            InputError: ``config.malformed`` and what reading YAML raises.
        """
        values = load_mapping(path, what=FILE_NAME)
        if values.pop("version", None) != 1:
            raise _malformed("version", "must be 1")
        unknown = [name for name in values if name not in _FIELDS]
        if unknown:
            raise _malformed(unknown[0], "is not a setting")
        for name in ("organisation", "origin", "root"):
            if not isinstance(values.get(name), str) or not values[name]:
                raise _malformed(name, "is required")
        for name in ("ledger", "artifacts", "kinds", *_OPTIONAL):
            if not isinstance(values.get(name, ""), str):
                raise _malformed(name, "must be text")
        if not is_fingerprint(values["root"]):
            raise _malformed("root", "must be a fingerprint, SHA256:…")
        check_origin(values["origin"])
        return cls(**{**values, "frameworks": _frameworks(values.get("frameworks"))})


def _frameworks(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not value or not all(isinstance(item, str) for item in value):
        raise _malformed("frameworks", "must be a list of catalog names")
    return tuple(value)


def _malformed(name: str, why: str) -> InputError:
    return InputError("config.malformed", f"{FILE_NAME}: {name} {why}")


def make_state_folder(root: Path) -> None:
    """Make the folder for what belongs to one checkout."""
    state = root / STATE_FOLDER
    state.mkdir(parents=True, exist_ok=True)
    # NOTE: the folder ignores itself, so that the repository's own .gitignore stays untouched.
    (state / ".gitignore").write_text("*\n")
