"""Writing catalogs and profiles as OSCAL 1.1.2; only what the catalog itself says, in its words.

Source: https://pages.nist.gov/OSCAL-Reference/models/v1.1.2/. Everything is derived from what is
passed in, so that the same state gives the same bytes.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from muniment.controls.catalog import Catalog, Control
from muniment.controls.profile import Profile
from muniment.schemas.times import format_time

VERSION = "1.1.2"
NAMESPACE = "https://muniment.dev/ns/oscal"
"""``ns`` of the properties that are ours."""


@dataclass(frozen=True, slots=True)
class Names:
    """UUIDs that are the same in every export of one ledger (RFC 9562, version 5)."""

    origin: str
    """Name of the ledger."""

    def uuid(self, *words: str) -> str:
        """The UUID of the thing that ``words`` name."""
        return str(uuid.uuid5(uuid.NAMESPACE_URL, "\n".join((NAMESPACE, self.origin, *words))))


def control_token(full_id: str) -> str:
    """A control's id as OSCAL wants one: a token, unlike those of all other catalogs."""
    catalog, _, short = full_id.partition(":")
    token = f"{catalog}_{re.sub(r'[^A-Za-z0-9.]+', '-', short).strip('-')}"
    return token if token[0].isalpha() else f"_{token}"


def prop(name: str, value: str, **more: str) -> dict[str, str]:
    """A property of ours; a value is one line without outer white space."""
    return {"name": name, "ns": NAMESPACE, "value": " ".join(value.split()), **more}


def metadata(title: str, version: str, moment: datetime, **more: Any) -> dict[str, Any]:
    """The metadata that every OSCAL document has."""
    return {
        "title": one_line(title),
        "last-modified": format_time(moment),
        "version": version,
        "oscal-version": VERSION,
        **more,
    }


def one_line(text: str) -> str:
    """A title: OSCAL has them on one line."""
    return " ".join(text.split())


def catalog_document(catalog: Catalog, names: Names, moment: datetime) -> dict[str, Any]:
    """One catalog with its requirements as properties."""
    groups: dict[str, list[Control]] = {}
    for control in catalog.controls:
        groups.setdefault(control.group, []).append(control)
    return {
        "catalog": {
            "uuid": names.uuid("catalog", catalog.id, catalog.sha256),
            "metadata": metadata(
                catalog.name,
                catalog.sha256,
                moment,
                props=[prop("catalog", catalog.id), prop("sha256", catalog.sha256)],
            ),
            "groups": [
                {
                    "id": control_token(f"{catalog.id}:group-{number}"),
                    "title": one_line(group),
                    "controls": [_control(control) for control in controls],
                }
                for number, (group, controls) in enumerate(groups.items(), start=1)
            ],
        }
    }


def _control(control: Control) -> dict[str, Any]:
    token = control_token(control.id)
    return {
        "id": token,
        "title": one_line(control.title),
        "props": [{"name": "label", "value": control.short_id}, *_requirement(control)],
        "parts": [{"id": f"{token}_smt", "name": "statement", "prose": control.summary}],
    }


def _requirement(control: Control) -> list[dict[str, str]]:
    needed = control.requirement
    if needed.is_unset:
        return [prop("requirement", "unset")]
    found = [prop("evidence-kind", kind) for kind in needed.any_of]
    found += [prop("supporting-kind", kind) for kind in needed.supporting]
    found += [
        prop("minimum-kinds", str(needed.minimum_kinds)),
        prop("validity-days", str(needed.validity_days)),
        prop("second-person", str(needed.second_person)),
        prop("requirement-reason", needed.reason),
    ]
    found += [prop("section", needed.section)] if needed.section else []
    return [*found, prop("rule", needed.rule)] if needed.rule else found


def profile_document(
    profile: Profile,
    catalogs: Sequence[Catalog],
    hrefs: Mapping[str, str],
    names: Names,
    moment: datetime,
    exempt: Collection[str] = (),
) -> dict[str, Any]:
    """What the gate asks for: the controls of ``catalogs`` that block.

    Args:
        hrefs: catalog id to the file that holds it, relative to the profile.
        exempt: catalogs that do not block for the system in question.
    """
    imports = []
    for catalog in catalogs:
        wanted = [item.id for item in catalog.controls if profile.blocks_on(item.id, exempt)]
        if wanted:
            chosen = {"with-ids": [control_token(control) for control in wanted]}
            imports.append({"href": hrefs[catalog.id], "include-controls": [chosen]})
    return {
        "profile": {
            "uuid": names.uuid("profile", str(profile), profile.sha256),
            "metadata": metadata(
                profile.name,
                profile.version,
                moment,
                props=[prop("profile", str(profile)), prop("sha256", profile.sha256)],
                remarks=profile.description,
            ),
            "imports": imports,
        }
    }
