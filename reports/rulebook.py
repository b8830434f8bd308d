"""What a workspace holds its evidence against: catalogs, the crosswalk, profiles; those that ship
and its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from muniment.controls.catalog import Catalog, catalog_id, find_control, load_catalog
from muniment.controls.crosswalk import Crosswalk, load_crosswalk
from muniment.controls.lint import Fault, lint, require_sound
from muniment.controls.profile import Profile, resolve_profile
from muniment.evidence.workspace import Workspace

if TYPE_CHECKING:
    from muniment.controls.exchange.framework import Framework

    from .frameworks import TakenIn
    from .profiles import Layer


class RuleBook(Workspace):
    """A workspace with its catalogs, crosswalk and profiles."""

    @cached_property
    def catalogs(self) -> tuple[Catalog, ...]:
        """The catalogs of the frameworks in ``muniment.yaml``."""
        return tuple(map(self.catalog, self.config.frameworks))

    @cached_property
    def frameworks(self) -> tuple[Framework, ...]:
        """The workspace's own frameworks, from ``frameworks/``."""
        from .frameworks import own_frameworks

        return own_frameworks(self.root, self.kinds)

    @cached_property
    def crosswalk(self) -> Crosswalk:
        """The crosswalk that ships, with the pairs of ``frameworks/``."""
        from .frameworks import own_crosswalks

        return load_crosswalk().joined(own_crosswalks(self.root, self.catalog))

    def catalog(self, name: str) -> Catalog:
        """A catalog that ships or is the workspace's own, by any name it goes by.

        Raises:
            InputError: ``catalog.unknown`` or ``catalog.ambiguous``.
        """
        own = {framework.catalog.id: framework.catalog for framework in self.frameworks}
        found = catalog_id(name, tuple(own))
        return own[found] if found in own else load_catalog(found)

    @cached_property
    def profiles(self) -> Mapping[str, Layer]:
        """The profiles that ship and the workspace's own, from ``profiles/``, by id."""
        from .profiles import all_layers

        return all_layers(self.root)

    def profile(self, name: str) -> Profile:
        """A profile with all its layers.

        Raises:
            InputError: ``profile.…``; one of the workspace's own that ``lint`` finds unsound is
                refused.
        """
        layers = self.profiles
        found = resolve_profile(name, {key: layer.document for key, layer in layers.items()})
        if layers[name].file is not None:
            require_sound(name, self.lint_profile(name))
        return found

    def lint_profile(self, name: str, layers: Mapping[str, Layer] | None = None) -> list[Fault]:
        """Every fault of a profile; see ``muniment.controls.lint``.

        Args:
            layers: by id; by default those of ``profiles``.
        """
        documents = {key: layer.document for key, layer in (layers or self.profiles).items()}
        return lint(name, documents, self.catalog, self.kinds)

    def control(self, text: str) -> str:
        """The full id of the control that a person means; those of the workspace's catalogs first.

        Raises:
            InputError: ``control.unknown``, ``control.ambiguous`` or ``catalog.…``.
        """
        own = [framework.catalog.id for framework in self.frameworks]
        return find_control(text, self.config.frameworks, self.catalog, own)

    def import_frameworks(
        self, file: Path | str, *, as_id: str | None = None, kinds: Sequence[str] = ()
    ) -> TakenIn:
        """Take an OSCAL catalog or profile, or a CISO Assistant library, into ``frameworks/``.

        Args:
            as_id: the catalog's id; by default made of its name.
            kinds: kinds of which any one meets any control; without them, every control is left
                open and stays missing until somebody writes what it needs.

        Raises:
            InputError: what is wrong with the file; nothing is written.
        """
        from .frameworks import import_frameworks

        done = import_frameworks(self, Path(file), as_id, kinds)
        for name in ("frameworks", "crosswalk", "catalogs"):
            self.__dict__.pop(name, None)
        return done
