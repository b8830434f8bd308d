"""What is wrong with a profile: ids that do not exist, rules without effect, what nothing can meet.

A fault that stops the gate would make it ask for something else than was meant; the others are
worth a look.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Set
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from muniment.controls.catalog import Catalog, Control, resolve
from muniment.controls.exceptions import MAX_DAYS
from muniment.controls.layering import RULES, Document, joined, lineage, parents
from muniment.controls.profile import Override, Profile, resolve_profile
from muniment.controls.requirement import SecondPerson
from muniment.schemas.errors import InputError, Problem, SchemaError
from muniment.schemas.kinds import KindRegistry
from muniment.schemas.text import with_article

_CARRY_NOTHING = frozenset({"link", "gate-decision", "retraction", "erasure", "key", "packet"})
"""Kinds whose records count for no control."""
_FUNCTION = re.compile(r"(?=.{1,64}$)[a-z][a-z0-9]*(-[a-z0-9]+)*")
"""What the schemas of keys and approvals take for a function."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong with a profile."""

    code: str
    """Stable identifier, such as ``profile.unknown-control``."""
    where: str
    """Dotted path inside the document; empty for the whole."""
    text: str
    stops: bool
    """Whether the gate refuses to work with the profile."""
    hint: str | None = None

    def to_json(self) -> dict[str, Any]:
        """The fault as the ``--json`` documents show it."""
        return {
            "code": self.code,
            "where": self.where,
            "text": self.text,
            "stops": self.stops,
            "hint": self.hint,
        }


def lint(
    name: str,
    documents: Mapping[str, Document],
    catalog: Callable[[str], Catalog],
    kinds: KindRegistry,
    held: Set[str] | None = None,
) -> list[Fault]:
    """Every fault of one profile with all its layers.

    Args:
        held: functions of the approvers there are; None where that is not known.
        documents: by id, each checked by ``check_layer``.
        catalog: a catalog by its id; raises ``InputError`` where there is none.

    Raises:
        InputError: ``profile.unknown``, and what reading a catalog raises.
    """
    try:
        layers = lineage(name, documents)
    except InputError as error:
        if error.code == "profile.unknown":
            raise
        return [Fault(error.code, "extends", error.message, True, error.hint)]
    profile = resolve_profile(name, documents)
    linter = _Linter(profile, catalog, kinds)
    nobody = [] if held is None else linter.held_by_nobody(held)
    return [*linter.faults(), *nobody, *_shadowed(layers, documents), *_restated(layers)]


def require_sound(profile: str, faults: list[Fault]) -> None:
    """Refuse a profile with faults that stop the gate.

    Raises:
        SchemaError: the first fault's code, with every such fault.
    """
    stopping = [fault for fault in faults if fault.stops]
    if stopping:
        first = stopping[0]
        raise SchemaError(
            first.code,
            f"profile {profile} cannot be used: {first.text}",
            [Problem(fault.where, fault.text) for fault in stopping],
            hint=first.hint or f"muniment profile lint {profile} lists every fault",
        )


class _Linter:
    """Looks at one resolved profile."""

    def __init__(
        self, profile: Profile, catalog: Callable[[str], Catalog], kinds: KindRegistry
    ) -> None:
        self._profile = profile
        self._load = catalog
        self._kinds = {kind.name: kind for kind in kinds}

    @cached_property
    def _catalogs(self) -> dict[str, Catalog | InputError]:
        """Every catalog that the profile names, or why it is not there."""
        profile = self._profile
        controls = [
            *profile.overrides,
            *(c for t in profile.thresholds.values() for c in t.controls),
        ]
        named = dict.fromkeys([*profile.blocks, *(item.partition(":")[0] for item in controls)])
        found: dict[str, Catalog | InputError] = {}
        for name in named:
            try:
                found[name] = self._load(name)
            except InputError as error:
                if error.code not in ("catalog.unknown", "catalog.ambiguous"):
                    raise
                found[name] = error
        return found

    @cached_property
    def _controls(self) -> dict[str, Control]:
        return {
            control.id: control
            for name, catalog in self._catalogs.items()
            if isinstance(catalog, Catalog) and catalog.id == name
            for control in catalog.controls
        }

    def faults(self) -> Iterator[Fault]:
        if not self._profile.blocks:
            text = "it blocks on nothing, so no gate could ever pass by it"
            yield Fault("profile.empty", "blocks", text, True)
        for name in self._profile.blocks:
            yield from self._block(name)
        for name, override in self._profile.overrides.items():
            yield from self._override(name, override)
        for name in self._profile.thresholds:
            yield from self._threshold(name)
        if self._profile.max_waiver_days is not None and not self._profile.waived_by:
            text = "nobody may waive anything, so no waiver is too long"
            yield Fault("profile.dead-waiver", "maxWaiverDays", text, False)
        if self._profile.weaker and self._profile.reason is None:
            text = f"it asks for less than what it extends: {'; '.join(self._profile.weaker)}"
            hint = "say why under reason, or ask for as much"
            yield Fault("profile.weaker", "", text, False, hint)
        if (self._profile.max_waiver_days or 0) > MAX_DAYS:
            text = f"no waiver lasts longer than {MAX_DAYS} days, whatever a profile allows"
            yield Fault("profile.dead-waiver", "maxWaiverDays", text, False)
        for where, function in self._functions():
            if not _FUNCTION.fullmatch(function):
                text = f"nobody can hold the function {function!r}"
                hint = "lower-case words with hyphens, as key add --function takes them"
                yield Fault("profile.no-holder", where, text, False, hint)

    def held_by_nobody(self, held: Set[str]) -> Iterator[Fault]:
        """Functions that the profile asks for and no approver there is speaks for."""
        for where, function in self._functions():
            if _FUNCTION.fullmatch(function) and function not in held:
                text = f"no enrolled approver speaks for {function}"
                known = ", ".join(sorted(held))
                hint = f"theirs are {known}" if known else "key add --role approver --function"
                yield Fault("profile.no-holder", where, text, False, hint)

    def _functions(self) -> Iterator[tuple[str, str]]:
        """Where the profile asks for a function, and which."""
        for function in self._profile.waived_by:
            yield "waivedBy", function
        for function in self._profile.excluded_by or ():
            yield "excludedBy", function
        for name, override in self._profile.overrides.items():
            if override.approver:
                yield f"overrides.{name}.approver", override.approver

    def _block(self, name: str) -> Iterator[Fault]:
        where = f"blocks.{name}"
        if (fault := self._unknown_catalog(name, where)) is not None:
            yield fault
            return
        for control in self._profile.blocks[name] or ():
            yield from self._unknown_control(f"{name}:{control}", where)
        when = self._profile.when.get(name)
        if when is not None and () in (when.phases, when.risk_tiers):
            text = f"the block on {name} never applies: its condition allows nothing"
            yield Fault("profile.dead-block", f"{where}.when", text, True)
        unset = [
            control.id
            for control in self._blocked(name)
            if self._profile.adapt(control).requirement.is_unset
        ]
        if unset:
            text = f"nobody has written what evidence meets {unset[0]}"
            text += f" and {len(unset) - 1} more" if len(unset) > 1 else ""
            yield Fault("profile.unset", where, text, False)

    def _blocked(self, catalog: str) -> list[Control]:
        return [
            control
            for control in self._controls.values()
            if control.id.partition(":")[0] == catalog and self._profile.blocks_on(control.id)
        ]

    def _override(self, name: str, override: Override) -> Iterator[Fault]:
        where = f"overrides.{name}"
        unknown = [*self._unknown_control(name, where)]
        yield from unknown
        for kind in override.kinds or ():
            if kind not in self._kinds:
                yield self._unknown_kind(kind, where)
        if unknown:
            return
        if not self._profile.blocks_on(name):
            text = f"{name} does not block, so nothing hangs on its override"
            yield Fault("profile.dead-override", where, text, False)
        control = self._controls[name]
        changed = self._profile.adapt(control).requirement
        if changed == control.requirement:
            text = f"it asks of {name} what the catalog asks anyway"
            yield Fault("profile.dead-override", where, text, False)
        if override.approver and changed.second_person is not SecondPerson.EXPECTED:
            text = f"nobody need approve evidence of {name}, in whatever function"
            yield Fault("profile.dead-override", f"{where}.approver", text, False)
        if changed.validity_days < 1:
            text = f"evidence of {name} would count for no day"
            yield Fault("profile.impossible", f"{where}.validityDays", text, True)
        able = [kind for kind in changed.any_of if self._can_carry(kind, changed.section)]
        if len(able) < changed.minimum_kinds and not changed.is_unset:
            part = f" with {with_article(changed.section)} part" if changed.section else ""
            text = (
                f"{name} wants {changed.minimum_kinds} kinds of evidence{part}, and "
                f"{len(able) or 'none'} of those it names can carry it"
            )
            yield Fault("profile.impossible", where, text, True)

    def _can_carry(self, kind: str, section: str | None) -> bool:
        if kind not in self._kinds or kind in _CARRY_NOTHING:
            return False
        return section is None or section in self._kinds[kind].schema.get("properties", {})

    def _threshold(self, name: str) -> Iterator[Fault]:
        where, limit = f"thresholds.{name}", self._profile.thresholds[name]
        if limit.least is not None and limit.most is not None and limit.least > limit.most:
            text = f"{name} cannot be at least {limit.least} and at most {limit.most}"
            yield Fault("profile.impossible", where, text, True)
        for control in limit.controls:
            yield from self._unknown_control(control, where)
        if not any(
            name in self._profile.limits(self._profile.adapt(control))
            for control in self._controls.values()
            if self._profile.blocks_on(control.id)
        ):
            text = f"no control that blocks hangs on {name}, so its limit would be ignored"
            hint = "name controls that block under controls"
            yield Fault("profile.dead-threshold", where, text, True, hint)

    def _unknown_catalog(self, name: str, where: str) -> Fault | None:
        """NOTE: the exact id; an abbreviation could mean another catalog tomorrow."""
        found = self._catalogs[name]
        if isinstance(found, Catalog) and found.id == name:
            return None
        text = f"there is no catalog {name!r}"
        hint = f"did you mean {found.id}?" if isinstance(found, Catalog) else found.hint
        return Fault("profile.unknown-catalog", where, text, True, hint)

    def _unknown_control(self, name: str, where: str) -> Iterator[Fault]:
        if name in self._controls:
            return
        catalog, colon, _ = name.partition(":")
        fault = self._unknown_catalog(catalog, where) if colon else None
        if fault is not None:
            yield fault
            return
        known = self._catalogs[catalog] if colon else None
        hint = _nearest(name, known) if isinstance(known, Catalog) else "write CATALOG:CONTROL"
        text = f"there is no control {name!r}"
        yield Fault("profile.unknown-control", where, text, True, hint)

    def _unknown_kind(self, kind: str, where: str) -> Fault:
        import difflib

        near = difflib.get_close_matches(kind, self._kinds, n=2, cutoff=0.5)
        return Fault(
            "profile.unknown-kind",
            f"{where}.kinds",
            f"there is no kind {kind!r}",
            True,
            f"did you mean {' or '.join(near)}?" if near else "see muniment kind list",
        )


def _nearest(name: str, catalog: Catalog) -> str | None:
    try:
        return f"did you mean {resolve(name, [catalog])}?"
    except InputError as error:
        return error.hint


def _shadowed(layers: list[Document], documents: Mapping[str, Document]) -> Iterator[Fault]:
    """Entries that a later layer replaces though it does not build on the one they stand in."""
    below = {
        layer["profile"]: {item["profile"] for item in lineage(layer["profile"], documents)}
        for layer in layers
    }
    for part in RULES:
        holders: dict[str, list[Document]] = {}
        for layer in layers:
            for name in layer.get(part, {}):
                holders.setdefault(name, []).append(layer)
        for name, holding in holders.items():
            *earlier, last = holding
            for layer in earlier:
                differs = layer[part][name] != last[part][name]
                if differs and layer["profile"] not in below[last["profile"]]:
                    text = (
                        f"what {layer['profile']} says is replaced by {last['profile']}, which "
                        "does not build on it"
                    )
                    hint = "say it in the profile itself, or leave one of the two out"
                    yield Fault("profile.shadowed", f"{part}.{name}", text, False, hint)


def _restated(layers: list[Document]) -> Iterator[Fault]:
    """Entries of the profile itself that the layers below it say already."""
    own = layers[-1]
    if not parents(own):
        return
    before: dict[str, Any] = {}
    for layer in layers[:-1]:
        before = joined(before, layer)
    for part in RULES:
        for name, value in own.get(part, {}).items():
            if before.get(part, {}).get(name) == value:
                text = "the layers below say the same already"
                yield Fault("profile.restated", f"{part}.{name}", text, False)
