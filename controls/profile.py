"""The profile: which controls a gate blocks on.

The built-in profiles stand as YAML in ``profiles/``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from muniment.controls.data import read_yaml
from muniment.schemas import strictjson
from muniment.schemas.errors import InputError, SchemaError
from muniment.schemas.validation import Validator

ALL = "all"
"""Stands in a profile for every control of a catalog."""


@dataclass(frozen=True, slots=True)
class Profile:
    """What a gate asks for."""

    id: str
    name: str
    version: str
    description: str
    blocks: Mapping[str, tuple[str, ...] | None]
    """Catalog id to the ids within it that block; None for all of them."""
    inferred: bool = True
    """Whether evidence may carry over pairs of a crosswalk that are our own judgement."""

    def __str__(self) -> str:
        return f"{self.id}@{self.version}"

    @property
    def sha256(self) -> str:
        """Digest of the profile, in hexadecimal; two loads agree."""
        return hashlib.sha256(strictjson.canonical(self.to_json())).hexdigest()

    def blocks_on(self, control_id: str) -> bool:
        """Whether the gate wants the control with this full id."""
        catalog, _, control = control_id.partition(":")
        if catalog not in self.blocks:
            return False
        wanted = self.blocks[catalog]
        return wanted is None or control in wanted

    def to_json(self) -> dict[str, Any]:
        """The profile, whole: what a packet embeds."""
        return {
            "profile": self.id,
            "version": self.version,
            "name": self.name,
            "description": self.description,
            "blocks": {
                catalog: ALL if controls is None else list(controls)
                for catalog, controls in self.blocks.items()
            },
            **({} if self.inferred else {"inferred": False}),
        }

    @classmethod
    def from_json(cls, value: Any) -> Profile:
        """Read what ``to_json`` wrote, perhaps by a stranger.

        Raises:
            SchemaError: ``profile.malformed``, with every fault.
        """
        if problems := _form().problems(value):
            first = problems[0]
            raise SchemaError(
                "profile.malformed",
                f"not a profile: {first.path or 'document'}: {first.message}",
                problems,
            )
        return cls(
            id=value["profile"],
            name=value["name"],
            version=value["version"],
            description=value["description"],
            blocks={
                catalog: None if controls == ALL else tuple(controls)
                for catalog, controls in value["blocks"].items()
            },
            inferred=value.get("inferred", True),
        )


@cache
def _form() -> Validator:
    text = {"type": "string", "minLength": 1, "maxLength": 2000}
    ids = {"type": "array", "items": text, "minItems": 1, "uniqueItems": True}
    properties = {
        "profile": {"type": "string", "pattern": "^[a-z][a-z0-9-]{0,63}$"},
        "version": {"type": "string", "pattern": "^[0-9][0-9.]{0,19}$"},
        "name": text,
        "description": text,
        "blocks": {
            "type": "object",
            "additionalProperties": {"anyOf": [{"const": ALL}, ids]},
        },
    }
    return Validator(
        {
            "type": "object",
            "properties": {**properties, "inferred": {"type": "boolean"}},
            "required": list(properties),
            "additionalProperties": False,
        }
    )


@cache
def load_profiles() -> tuple[Profile, ...]:
    """The built-in profiles, by id."""
    files = resources.files(__package__).joinpath("profiles").iterdir()
    names = sorted(file.name for file in files if file.name.endswith(".yaml"))
    return tuple(Profile.from_json(read_yaml(f"profiles/{name}")) for name in names)


def load_profile(name: str) -> Profile:
    """One built-in profile.

    Raises:
        InputError: ``profile.unknown``.
    """
    profiles = {profile.id: profile for profile in load_profiles()}
    if name in profiles:
        return profiles[name]
    raise InputError(
        "profile.unknown",
        f"there is no profile {name[:100]!r}",
        expected=" or ".join(profiles),
        found=name,
    )
