"""Collectors: they read files that machine-learning tools already write, and draft evidence."""

from __future__ import annotations

from dataclasses import replace

from muniment.schemas import strictjson
from muniment.schemas.errors import InputError

from . import (
    croissant,
    dvc,
    evidently,
    fairlearn,
    garak,
    great_expectations,
    inspect_ai,
    junit,
    lm_eval,
    mlflow,
    pip_audit,
    promptfoo,
    sarif,
    sklearn,
)
from .document import Document
from .interface import Collected, Collector

__all__ = ["FORMATS", "MAX_BYTES", "VERSION", "Collected", "collect"]

VERSION = 1
"""Of all collectors together: it goes up when one of them drafts otherwise from the same bytes."""

MAX_BYTES = 64 * 2**20
"""Files above this are not read."""
_MAX_BODY = 900 * 2**10
"""Bytes of a body, leaving the rest of a payload's 1 MiB to the statement around it."""
_COLLECTORS: tuple[Collector, ...] = (
    inspect_ai,
    lm_eval,
    mlflow,
    junit,
    croissant,
    dvc,
    sklearn,
    fairlearn,
    evidently,
    pip_audit,
    sarif,
    great_expectations,
    promptfoo,
    garak,
)
FORMATS: tuple[str, ...] = tuple(collector.FORMAT for collector in _COLLECTORS)
"""Names of the formats that are recognised."""


def collect(data: bytes, name: str) -> Collected | None:
    """Draft a record's body from a tool's file; the same bytes always give the same draft.

    Args:
        data: the file's bytes; the format is told from them alone.
        name: the file's name, for messages.

    Returns:
        The draft, or None if no collector recognises the file or it is above ``MAX_BYTES``.

    Raises:
        InputError: ``collector.malformed`` (broken, truncated or contradicting itself),
            ``collector.unsupported`` (a format or version that is not read) or
            ``collector.too-large`` (the body would not fit a record).
    """
    if len(data) > MAX_BYTES:
        return None
    document = Document(data, name)
    for collector in _COLLECTORS:
        if collector.matches(document):
            collected = collector.collect(document)
            _check_size(collected, name)
            return replace(collected, source={**collected.source, "collector": VERSION})
    return None


def _check_size(collected: Collected, name: str) -> None:
    size = len(strictjson.canonical(dict(collected.body)))
    if size > _MAX_BODY:
        raise InputError(
            "collector.too-large",
            f"the evidence in {name} does not fit one record",
            hint="split the run, or write the body by hand and attach the file as its subject",
            expected=f"at most {_MAX_BODY} bytes",
            found=f"{size} bytes",
        )
