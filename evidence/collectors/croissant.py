"""Croissant dataset descriptions, JSON-LD (MLCommons Croissant 1.0, with its RAI vocabulary)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from .document import Document
from .interface import Collected
from .values import given, items, mapping, moment, number, sha256, source, text

FORMAT = "croissant-1.0"
_TOOL = "Croissant"
_VOCABULARY = "http://mlcommons.org/croissant/"
_KNOWN = f"{_VOCABULARY}1.0"
_LONG = 2000
_PREPARATION = ("dataPreprocessingProtocol", "dataManipulationProtocol", "dataImputationProtocol")
_GAPS = ("dataBiases", "dataLimitations")
# NOTE: a user, a password or a signed query can stand in a link; none of them is taken over.
_LINK = re.compile(r"https?://[A-Za-z0-9.-]+(?::\d{1,5})?(?:/[\w.~/+,;=-]*)?(?=[?#]|$)", re.ASCII)


def matches(document: Document) -> bool:
    """JSON-LD that says it conforms to Croissant."""
    if not document.has_keys("@context", "distribution") or not document.holds(b'"@type"'):
        return False
    return document.holds(_VOCABULARY.encode()) or document.holds(b"mlcommons.org/croissant")


def collect(document: Document) -> Collected:
    """Draft a ``data-provenance``; a file without its SHA-256 is not among the contents.

    Split, rows, consent and whether people can be told apart are not in the format.
    """
    card = document.root(_TOOL)
    if _local(card.get("@type")) != "Dataset":
        raise document.malformed(_TOOL, "it does not describe a dataset")
    notes = _version(card)
    contents = list(_contents(card, notes))
    body = {
        "dataset": given(
            name=_one(card, "name"),
            version=_version_of(card),
            description=_one(card, "description", _LONG),
        ),
        "source": given(
            origin=_one(card, "rai:dataCollectionRawData") or _organisation(card, notes),
            url=_link(card.get("url")),
            method=_one(card, "rai:dataCollection", _LONG),
        ),
        "rights": given(licence=_licence(card)),
        **given(collectionPeriod=_period(card)),
        "contents": contents,
        "preparation": _texts(card, _PREPARATION),
        "knownGaps": _texts(card, _GAPS),
        "sensitiveCategories": _texts(card, ("personalSensitiveInformation",), 300),
        **given(labelling=_one(card, "rai:dataAnnotationProtocol", _LONG)),
    }
    when = _published(card, notes)
    return Collected(
        "data-provenance",
        {name: value for name, value in body.items() if value not in ({}, [])},
        source(_TOOL, FORMAT, document.sha256, notes=notes),
        when,
    )


def _version(card: Mapping[str, Any]) -> list[str]:
    claims = {text(_reference(claim)) for claim in items(card.get("conformsTo"))}
    if _KNOWN in claims:
        return []
    found = ", ".join(sorted(claim for claim in claims if claim)) or "no version"
    return [f"read as Croissant 1.0; the file states {found}"]


def _contents(card: Mapping[str, Any], notes: list[str]) -> Iterator[dict[str, Any]]:
    """The files that have a SHA-256; whether the bytes still match is not known here."""
    for entry in map(mapping, items(card["distribution"])):
        name = _one(entry, "name") or text(entry.get("@id")) or text(entry.get("contentUrl"))
        digest = sha256(entry.get("sha256"))
        if digest is None:
            notes.append(f"{name or 'a file'} has no SHA-256 and is left out of the contents")
        else:
            yield {"name": name or "unnamed", "sha256": digest}


def _licence(card: Mapping[str, Any]) -> str | None:
    names = [text(_reference(entry)) for entry in items(card.get("license"))]
    return text(", ".join(filter(None, names)))


def _organisation(card: Mapping[str, Any], notes: list[str]) -> str | None:
    """The creators that are organisations; people are not taken over."""
    names = []
    for creator in map(mapping, items(card.get("creator"))):
        if _local(creator.get("@type")) == "Organization":
            names.append(_one(creator, "name"))
        else:
            notes.append("a creator that is not stated to be an organisation is left out")
    return text(", ".join(filter(None, names)))


def _period(card: Mapping[str, Any]) -> dict[str, str] | None:
    times = [moment(value, []) for value in items(card.get("rai:dataCollectionTimeframe"))]
    days = sorted(time.date().isoformat() for time in times if time)
    return {"start": days[0], "end": days[1]} if len(days) == len(times) == 2 else None


def _published(card: Mapping[str, Any], notes: list[str]) -> Any:
    for key in ("dateModified", "datePublished"):
        for value in items(card.get(key))[:1]:
            spare: list[str] = []
            if (when := moment(value, spare)) is not None:
                notes += [f"{key} has no time zone and is taken as UTC"] if spare else []
                return when
    return None


def _version_of(card: Mapping[str, Any]) -> str | None:
    value = card.get("version")
    figure, _ = number(value)
    return text(value) if isinstance(value, str) or figure is None else str(figure)


def _texts(card: Mapping[str, Any], keys: tuple[str, ...], limit: int = _LONG) -> list[str]:
    values = (text(value, limit) for key in keys for value in items(card.get(f"rai:{key}")))
    return [value for value in values if value]


def _one(entry: Mapping[str, Any], key: str, limit: int = 300) -> str | None:
    """A text; where there are several (a one-item list is written as its item), all of them."""
    values = (text(_reference(value), limit) for value in items(entry.get(key)))
    return text("; ".join(filter(None, values)), limit)


def _reference(value: Any) -> Any:
    """JSON-LD writes a text or link bare, or as an object."""
    node = mapping(value)
    return next((node[key] for key in ("@value", "url", "@id", "name") if key in node), value)


def _link(value: Any) -> str | None:
    link = next(iter(items(value)), None)
    found = _LINK.match(link[:500]) if isinstance(link, str) else None
    return found[0] if found else None


def _local(name: Any) -> str | None:
    """``sc:Dataset`` and ``https://schema.org/Dataset`` are ``Dataset``."""
    return re.split(r"[:/]", name)[-1] if isinstance(name, str) else None
