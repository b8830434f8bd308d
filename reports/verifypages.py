"""The part of a packet's verification that looks at its pages, and at the artifacts in it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

from muniment.schemas.errors import InputError, MunimentError, ReportError
from muniment.schemas.finding import Check, Finding
from muniment.schemas.record import Record
from muniment.schemas.text import counted

from .artifactfiles import carried_digests
from .model import PacketInput
from .pagecheck import compare_pages
from .pagetext import read_pages
from .printed import renderer, with_look
from .signature import first_revision, read_embedded
from .worker import render


def check_pages(
    check: Check, pdf: bytes, stated: Mapping[str, Any], coverage: Mapping[str, Any]
) -> None:
    """Hold the pages against the manifest and the coverage.

    Args:
        stated: ``pages`` of the manifest.
        coverage: the coverage document.
    """
    try:
        content, root = read_pages(pdf)
    except MunimentError as error:
        check.findings.append(Finding.of(error))
        return
    check.checked = 1
    found = content.to_json()
    if stated != found:
        text = "the pages are not those that the manifest names"
        check.findings.append(Finding("pages.content", text, None, str(stated), str(found)))
    compare_pages(check, root, coverage)


def cannot_set(said: Mapping[str, Any]) -> str | None:
    """Why the pages cannot be set again to the same bytes here; None if they can.

    Args:
        said: ``pages.json``.
    """
    stated, look = said["renderer"], said["look"]
    if look["templates"]:
        return "the pages have templates of the workspace, which no verifier runs"
    try:
        here = renderer()
    except ReportError as error:
        return f"the pages cannot be set here: {error.message}"
    names = sorted({*stated, *here})
    other = [name for name in names if stated.get(name) != here.get(name)]
    if not other:
        return None
    return f"the packet was set by other versions than are here: {', '.join(other)}"


def check_rendering(check: Check, pdf: bytes, packet: PacketInput) -> None:
    """Set the pages again: what was signed must be the same bytes, before anything else.

    Raises:
        ReportError: they cannot be set.
    """
    check.checked = 1
    files = read_embedded(pdf)
    try:
        packet = with_look(packet, {item.name: item.data for item in files})
    except InputError as error:
        check.findings.append(Finding.of(error))
        return
    if first_revision(pdf) != render(packet, files):
        text = "the same program sets other pages from the embedded data"
        check.findings.append(Finding("pages.not-these", text))


def check_artifacts(check: Check, files: Mapping[str, bytes], records: Iterable[Record]) -> None:
    """Hold every embedded artifact against its name and the records.

    Args:
        files: the packet's, by name.
    """
    named = {
        subject.sha256
        for record in records
        for subject in record.statement.subjects
        if subject.is_file
    }
    carried = carried_digests(files)
    for digest, data in carried.items():
        check.checked += 1
        found = hashlib.sha256(data).hexdigest()
        if found != digest or digest not in named:
            text = "an artifact in the packet is not the file that a record names"
            check.findings.append(Finding("artifact.changed", text, None, digest, found))
    if missing := len(named - set(carried)):
        check.not_checked.append(
            f"{counted(missing, 'file')} that records name: the digests are here, the bytes are not"
        )
    elif not named:
        check.not_checked.append("no record names a file")
