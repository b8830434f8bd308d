"""DVC ``dvc.lock``, schema 2.0 (tried with 3.67.1): what each stage made out of what."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from .document import Document, unsupported
from .interface import Collected
from .values import items, mapping, source, text

FORMAT = "dvc-lock-2.0"
_TOOL = "DVC"
_SCHEMA = re.compile(rb"^schema:[ \t]*['\"]?(\d+\.\d+)", re.MULTILINE)
_STAGES = re.compile(rb"^stages:", re.MULTILINE)
_STEP_LIMIT = 2000


def matches(document: Document) -> bool:
    """A lock file: YAML with its schema's number and its stages at the top level."""
    return bool(_SCHEMA.search(document.data[:4096]) and _STAGES.search(document.data))


def collect(document: Document) -> Collected:
    """Draft a ``data-provenance`` with one preparation step per stage.

    DVC knows files by MD5, so there is no SHA-256 to fill the contents with; commands and
    parameters are not taken over, since they can hold secrets.
    """
    lock = _read(document)
    if lock.get("schema") != "2.0":
        raise unsupported(
            document,
            "a DVC lock file of another schema",
            "schema 2.0",
            f"schema {text(lock.get('schema'))}",
            "let a current DVC write it again: dvc commit",
        )
    stages = mapping(lock.get("stages"))
    if not stages:
        raise document.malformed(_TOOL, "it has no stages")
    notes = [
        "DVC gives MD5 digests only: contents must be given with their SHA-256",
        "a lock file has no time: take that of its commit",
    ]
    steps = [_step(document, name, mapping(stage)) for name, stage in stages.items()]
    return Collected(
        "data-provenance",
        {"preparation": steps},
        source(_TOOL, FORMAT, document.sha256, notes=notes),
        None,
    )


def _read(document: Document) -> Mapping[str, Any]:
    import yaml

    try:
        # NOTE: the base loader builds texts, lists and mappings, and nothing else.
        lock = yaml.load(document.data, Loader=yaml.BaseLoader)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise document.malformed(_TOOL, "it is not whole, well-formed YAML") from error
    if not isinstance(lock, dict):
        raise document.malformed(_TOOL, "it is not a mapping")
    return lock


def _step(document: Document, name: Any, stage: Mapping[str, Any]) -> str:
    outs = _files(stage.get("outs"))
    if not outs:
        raise document.malformed(_TOOL, f"stage {text(name)} has no outputs")
    step = f"{text(name)}: {_files(stage.get('deps')) or 'nothing'} -> {outs}"
    return text(step, _STEP_LIMIT) or ""


def _files(entries: Any) -> str:
    """Each file with its digest; a folder's digest ends in ``.dir``."""
    named = []
    for entry in map(mapping, items(entries)):
        digest = text(entry.get("md5"), 64)
        named.append(f"{text(entry.get('path'))} ({f'md5 {digest}' if digest else 'no digest'})")
    return ", ".join(named)
