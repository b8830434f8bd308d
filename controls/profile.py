"""The profile: which controls a gate blocks on, and what it asks of them beside their catalog.

The built-in profiles stand as YAML in ``profiles/``. ``layering.py`` makes one profile of several
layers; ``lint.py`` finds what is wrong with it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from importlib import resources
from typing import Any

from muniment.controls.catalog import Control
from muniment.controls.data import read_yaml
from muniment.controls.layering import Document, layered, lineage
from muniment.controls.profile_form import ALL, check_layer, check_whole
from muniment.controls.requirement import Requirement, SecondPerson
from muniment.controls.threshold import MEASURING, Threshold
from muniment.controls.weakening import weakenings
from muniment.schemas import strictjson


@dataclass(frozen=True, slots=True)
class When:
    """The systems that a block is for, by what their record says; None for any."""

    phases: tuple[str, ...] | None = None
    risk_tiers: tuple[str, ...] | None = None

    def fits(self, phase: str | None, risk_tier: str | None) -> bool:
        """Whether the block is for a system of this phase and risk tier; None is any."""
        return (self.phases is None or phase is None or phase in self.phases) and (
            self.risk_tiers is None or risk_tier is None or risk_tier in self.risk_tiers
        )

    def __str__(self) -> str:
        parts = (("phase", self.phases), ("risk tier", self.risk_tiers))
        return ", ".join(f"{name} {' or '.join(words)}" for name, words in parts if words)

    def to_json(self) -> dict[str, Any]:
        """The condition as a profile's document holds it."""
        parts = (("phase", self.phases), ("riskTier", self.risk_tiers))
        return {name: list(words) for name, words in parts if words is not None}


@dataclass(frozen=True, slots=True)
class Override:
    """What a profile asks of one control in place of its catalog; None leaves it as it is."""

    reason: str
    validity_days: int | None = None
    kinds: tuple[str, ...] | None = None
    """Kinds that carry the control."""
    minimum_kinds: int | None = None
    second_person: SecondPerson | None = None
    approver: str | None = None
    """Function in which the second person must have approved, such as ``risk``."""

    def over(self, requirement: Requirement) -> Requirement:
        """The requirement as the profile wants it."""
        fields = {
            "validity_days": self.validity_days,
            "any_of": self.kinds,
            "minimum_kinds": self.minimum_kinds,
            "second_person": self.second_person,
            "approver": self.approver,
        }
        changes: dict[str, Any] = {
            name: value for name, value in fields.items() if value is not None
        }
        if self.kinds is not None:
            supporting = (kind for kind in requirement.supporting if kind not in self.kinds)
            changes["supporting"] = tuple(supporting)
        return replace(requirement, **changes)

    def to_json(self) -> dict[str, Any]:
        """The override as a profile's document holds it."""
        fields = {
            "reason": self.reason,
            "validityDays": self.validity_days,
            "kinds": None if self.kinds is None else list(self.kinds),
            "minimumKinds": self.minimum_kinds,
            "secondPerson": None if self.second_person is None else str(self.second_person),
            "approver": self.approver,
        }
        return {name: value for name, value in fields.items() if value is not None}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Override:
        """Read an override whose form was checked."""
        second = value.get("secondPerson")
        return cls(
            reason=value["reason"],
            validity_days=value.get("validityDays"),
            kinds=tuple(value["kinds"]) if "kinds" in value else None,
            minimum_kinds=value.get("minimumKinds"),
            second_person=None if second is None else SecondPerson(second),
            approver=value.get("approver"),
        )


@dataclass(frozen=True, slots=True)
class Profile:
    """What a gate asks for: one profile with all its layers."""

    id: str
    name: str
    version: str
    description: str
    blocks: Mapping[str, tuple[str, ...] | None]
    """Catalog id to the ids within it that block; None for all of them."""
    inferred: bool = True
    """Whether evidence may carry over pairs of a crosswalk that are our own judgement."""
    when: Mapping[str, When] = field(default_factory=dict)
    """Catalog id to the systems it blocks for; one that is not named here blocks for all."""
    overrides: Mapping[str, Override] = field(default_factory=dict)
    """By full control id."""
    thresholds: Mapping[str, Threshold] = field(default_factory=dict)
    """By name of the metric."""
    waived_by: tuple[str, ...] = ()
    """Functions whose holders may waive a control; nobody may where there are none."""
    max_waiver_days: int | None = None
    """Longest that a waiver may last; None for no limit."""
    excluded_by: tuple[str, ...] | None = None
    """Functions whose holders may rule a control out as not applicable; None for those who may
    where no profile says."""
    layers: tuple[str, ...] = ()
    """What it stands on, first to last, as ``id@version``."""
    weaker: tuple[str, ...] = ()
    """Of those, the ones that ask for more than it does, each with what it asks less of."""
    reason: str | None = None
    """Why it asks for less."""

    def __str__(self) -> str:
        return f"{self.id}@{self.version}"

    @property
    def weakness(self) -> str | None:
        """One sentence on what it asks less of than profiles it stands on; None if nothing."""
        if not self.weaker:
            return None
        why = f"; why: {self.reason}" if self.reason else "; it does not say why"
        return f"{self} stands on profiles that ask for more: {'; '.join(self.weaker)}{why}"

    @property
    def sha256(self) -> str:
        """Digest of the profile, in hexadecimal; two loads agree."""
        return strictjson.digest(self.to_json())

    def blocks_on(self, control_id: str, exempt: Collection[str] = ()) -> bool:
        """Whether the gate wants the control with this full id.

        Args:
            exempt: catalogs that do not block for the system in question.
        """
        catalog, _, control = control_id.partition(":")
        if catalog not in self.blocks or catalog in exempt:
            return False
        wanted = self.blocks[catalog]
        return wanted is None or control in wanted

    def adapt(self, control: Control) -> Control:
        """The control with the requirement that the profile wants."""
        override = self.overrides.get(control.id)
        if override is None:
            return control
        return replace(control, requirement=override.over(control.requirement))

    def limits(self, control: Control) -> dict[str, Threshold]:
        """The metrics that an adapted control hangs on, with their limits."""
        if not self.thresholds:
            return {}
        by_default = self.blocks_on(control.id) and bool(
            MEASURING & set(control.requirement.any_of)
        )
        return {
            name: limit
            for name, limit in self.thresholds.items()
            if (control.id in limit.controls if limit.controls else by_default)
        }

    def to_json(self) -> dict[str, Any]:
        """The profile, whole: what a packet embeds."""
        rest = {
            "overrides": {name: item.to_json() for name, item in self.overrides.items()},
            "thresholds": {name: item.to_json() for name, item in self.thresholds.items()},
            "waivedBy": list(self.waived_by),
            "maxWaiverDays": self.max_waiver_days,
            "layers": list(self.layers),
            "weaker": list(self.weaker),
            "reason": self.reason,
        }
        return {
            "profile": self.id,
            "version": self.version,
            "name": self.name,
            "description": self.description,
            "blocks": {catalog: self._block(catalog) for catalog in self.blocks},
            **({} if self.inferred else {"inferred": False}),
            **{name: value for name, value in rest.items() if value},
            **({} if self.excluded_by is None else {"excludedBy": list(self.excluded_by)}),
        }

    def _block(self, catalog: str) -> Any:
        wanted = self.blocks[catalog]
        controls = ALL if wanted is None else list(wanted)
        if catalog not in self.when:
            return controls
        return {"controls": controls, "when": self.when[catalog].to_json()}

    @classmethod
    def from_json(cls, value: Any) -> Profile:
        """Read what ``to_json`` wrote, perhaps by a stranger.

        Raises:
            SchemaError: ``profile.malformed``, with every fault.
        """
        check_whole(value)
        blocks = {
            catalog: item if isinstance(item, dict) else {"controls": item}
            for catalog, item in value["blocks"].items()
        }
        return cls(
            id=value["profile"],
            name=value["name"],
            version=value["version"],
            description=value["description"],
            blocks={
                catalog: None if item["controls"] == ALL else tuple(item["controls"])
                for catalog, item in blocks.items()
            },
            inferred=value.get("inferred", True),
            when={
                catalog: _when(item["when"]) for catalog, item in blocks.items() if "when" in item
            },
            overrides=_each(Override, value.get("overrides", {})),
            thresholds=_each(Threshold, value.get("thresholds", {})),
            waived_by=tuple(value.get("waivedBy", ())),
            max_waiver_days=value.get("maxWaiverDays"),
            excluded_by=tuple(value["excludedBy"]) if "excludedBy" in value else None,
            layers=tuple(value.get("layers", ())),
            weaker=tuple(value.get("weaker", ())),
            reason=value.get("reason"),
        )


def _each(kind: Any, value: Mapping[str, Any]) -> dict[str, Any]:
    return {name: kind.from_json(item) for name, item in value.items()}


def _when(value: Mapping[str, Any]) -> When:
    return When(*(tuple(value[name]) if name in value else None for name in ("phase", "riskTier")))


def resolve_profile(name: str, documents: Mapping[str, Document]) -> Profile:
    """The profile that a document makes with the layers below it.

    Args:
        documents: by id, each checked by ``check_layer``.

    Raises:
        InputError: ``profile.unknown``, ``profile.parent``, ``profile.cycle``, ``profile.too-deep``
            or ``profile.malformed``.
    """
    layers = lineage(name, documents)
    whole = layered(layers)
    said = []
    for layer in layers[:-1]:
        below = layered(lineage(layer["profile"], documents))
        if found := "; ".join(weakenings(whole, below)):
            said.append(f"{layer['profile']}@{layer['version']}: {found}")
    return Profile.from_json({**whole, **({"weaker": said} if said else {})})


@cache
def shipped_layers() -> Mapping[str, Document]:
    """The documents of the built-in profiles, by id."""
    files = resources.files(__package__).joinpath("profiles").iterdir()
    documents = {}
    for name in sorted(file.name for file in files if file.name.endswith(".yaml")):
        document = read_yaml(f"profiles/{name}")
        check_layer(document)
        documents[document["profile"]] = document
    return documents


def load_profile(name: str) -> Profile:
    """One built-in profile.

    Raises:
        InputError: ``profile.unknown``.
    """
    return resolve_profile(name, shipped_layers())
