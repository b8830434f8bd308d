"""The part of a packet's verification that holds its rules against those this verifier ships."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from muniment.controls.catalog import Catalog, load_catalog
from muniment.controls.crosswalk import Crosswalk, Pair, load_crosswalk
from muniment.controls.profile import Profile, load_profile, shipped_layers
from muniment.schemas.errors import InputError, MunimentError
from muniment.schemas.finding import Check, Finding

from . import proofs


def check_rules(
    check: Check, catalogs: Sequence[Catalog], crosswalk: Crosswalk, profile: Profile
) -> None:
    """Hold catalogs, crosswalk and profile against those of their names; what is the organisation's
    own is for the reader to judge."""
    controls = {control.id for catalog in catalogs for control in catalog.controls}
    owned = {catalog.id for catalog in catalogs if _is_own(catalog)}
    for catalog in catalogs:
        if catalog.id in owned:
            check.not_checked.append(
                f"catalog {catalog.id} is the organisation's own, with its own requirements; "
                f"it stands whole in {proofs.catalog_name(catalog.id)}: judge it yourself"
            )
        else:
            _hold(check, "catalog", catalog.id, catalog.sha256, load_catalog)
    shipped = load_crosswalk().among(controls)
    own = [pair for pair in crosswalk.pairs if _catalogs(pair) & owned]
    if own:
        check.not_checked.append(
            f"{len(own)} pairs of the crosswalk are the organisation's own; they stand in "
            f"{proofs.CROSSWALK}: judge them yourself"
        )
    rest = replace(crosswalk, pairs=tuple(pair for pair in crosswalk.pairs if pair not in own))
    _hold(check, "crosswalk", rest.id, rest.sha256, lambda _: shipped)
    if profile.id in shipped_layers():
        _hold(check, "profile", profile.id, profile.sha256, load_profile)
    else:
        check.not_checked.append(
            f"profile {profile} is the organisation's own; it stands whole in {proofs.INPUT}: "
            "judge it yourself"
        )


def _hold(check: Check, what: str, name: str, digest: str, load: Any) -> None:
    try:
        own = load(name).sha256
    except MunimentError:
        own = f"no {what} {name}"
    check.checked += 1
    if own != digest:
        check.findings.append(
            Finding(
                "rules.differ",
                f"the packet was judged by a {what} {name} that this verifier does not ship; "
                "verify with the version of Muniment that the packet names",
                expected=own,
                found=digest,
            )
        )


def _catalogs(pair: Pair) -> set[str]:
    """The catalogs that a pair ties."""
    return {end.partition(":")[0] for end in (pair.first, pair.second)}


def _is_own(catalog: Catalog) -> bool:
    """Whether the catalog goes by a name that nothing which ships could be meant by."""
    try:
        load_catalog(catalog.id)
    except InputError as error:
        return error.code == "catalog.unknown"
    return False
