"""Layering of profiles: which documents one is made of, in order, and what they make together.

Over plain documents. A later layer's word on a catalog, a control or a metric replaces the earlier
one's whole word on it, so layering is associative.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce
from typing import Any

from muniment.schemas.errors import InputError
from muniment.schemas.text import shorten

Document = Mapping[str, Any]
"""A profile as its file holds it."""

RULES = ("blocks", "overrides", "thresholds")
"""Parts of a profile that are laid over each other entry by entry; the rest is replaced."""
MAX_LAYERS = 50


def joined(one: Document, other: Document) -> dict[str, Any]:
    """What two layers say together, ``other`` being the later one."""
    both = {**one, **other}
    for part in RULES:
        if part in one and part in other:
            both[part] = {**one[part], **other[part]}
    return both


def parents(document: Document) -> list[str]:
    """Names of the profiles that a layer extends, in order."""
    named = document.get("extends", [])
    return [named] if isinstance(named, str) else list(named)


def lineage(name: str, documents: Mapping[str, Document]) -> list[Document]:
    """The layers of a profile, first to last, itself the last; each stands once, at its earliest.

    Raises:
        InputError: ``profile.unknown``, ``profile.parent`` where one that is extended is not there,
            ``profile.cycle`` or ``profile.too-deep``.
    """
    if name not in documents:
        raise unknown(name, documents)
    order: dict[str, Document] = {}
    _gather(name, documents, order, ())
    return list(order.values())


def _gather(
    name: str,
    documents: Mapping[str, Document],
    order: dict[str, Document],
    above: tuple[str, ...],
) -> None:
    if name in above:
        circle = " → ".join([*above[above.index(name) :], name])
        raise InputError("profile.cycle", f"profiles extend each other: {shorten(circle, 300)}")
    if len(above) >= MAX_LAYERS:
        raise InputError(
            "profile.too-deep",
            f"{above[0]} stands on more than {MAX_LAYERS} layers, one on another",
        )
    if name in order:
        return
    if name not in documents:
        missing = unknown(name, documents)
        raise InputError(
            "profile.parent",
            f"{above[-1]} extends {shorten(name, 100)!r}, which is not there",
            hint=missing.hint,
            expected=missing.expected,
            found=missing.found,
        )
    for parent in parents(documents[name]):
        _gather(parent, documents, order, (*above, name))
    order[name] = documents[name]


def layered(layers: Sequence[Document]) -> dict[str, Any]:
    """The document that layers make together, without what they extend.

    ``layers`` in it names what the last one stands on, as ``id@version``.
    """
    whole = reduce(joined, layers)
    below = [f"{layer['profile']}@{layer['version']}" for layer in layers[:-1]]
    result = {part: value for part, value in whole.items() if part != "extends"}
    return {**result, "blocks": whole.get("blocks", {}), **({"layers": below} if below else {})}


def unknown(name: str, known: Mapping[str, Any]) -> InputError:
    """The error for a name that no profile has."""
    import difflib

    near = difflib.get_close_matches(name[:100], known, n=2)
    return InputError(
        "profile.unknown",
        f"there is no profile {name[:100]!r}",
        hint=f"did you mean {' or '.join(near)}?" if near else None,
        expected=" or ".join(known),
        found=name[:200],
    )
