"""What a packet's embedded files say, read without any code of the package: the data that its pages
are held against."""

from __future__ import annotations

import base64
import hashlib
import io
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

import pikepdf

STATES = {
    "met": "Met", "waived": "Waived", "partial": "Partial", "unapproved": "Unapproved",
    "stale": "Stale", "failed": "Failed", "missing": "Missing",
    "not-applicable": "Not applicable",
}  # fmt: skip
"""State to what the pages call it, in the order in which charts have them."""
GAPS = ("failed", "missing", "stale", "unapproved", "partial")
_KINDS = "https://muniment.dev/evidence/"


@dataclass(frozen=True, slots=True)
class Entry:
    """One record, from its receipt."""

    index: int
    sha256: str
    """RFC 6962 leaf hash, by which records name each other."""
    statement: dict[str, Any]
    fingerprint: str
    """Of the key that signed it."""
    recorded: str
    """Signed time of the first checkpoint that covers it, ISO 8601."""

    @property
    def kind(self) -> str:
        kind = str(self.statement["predicateType"]).removeprefix(_KINDS).removesuffix("/v1")
        return "gate-decision" if "verification_summary" in kind else kind

    @property
    def body(self) -> dict[str, Any]:
        """What it says; a gate decision's predicate, which is SLSA's, has no part of that name."""
        found: dict[str, Any] = self.statement["predicate"]
        return found if self.kind == "gate-decision" else found["body"]


class Facts:
    """Everything that one packet embeds."""

    def __init__(self, pdf: bytes) -> None:
        with pikepdf.open(io.BytesIO(pdf)) as document:
            attached = document.attachments
            self.files = {name: attached[name].get_file().read_bytes() for name in attached}
        self.coverage = self._json("coverage.json")
        self.gate = self._json("gate.json")
        self.pages = self._json("pages.json")
        self.manifest = self._json("manifest.json")
        self.input = self._json("input.json")
        self.sample: dict[str, Any] = (
            self._json("sample.json") if "sample.json" in self.files else {}
        )
        self.note = self.files["checkpoint.txt"].decode()
        self.origin, size, self.root = self.note.split("\n")[:3]
        self.size = int(size)
        self.time = _signed_time(self.note)

    def _json(self, name: str) -> Any:
        return json.loads(self.files[name])

    @cached_property
    def records(self) -> dict[int, Entry]:
        """Every record, key records among them, by place."""
        dated = [
            (c["size"], _signed_time(c["note"])) for c in self._json("history.json")["checkpoints"]
        ]
        dated = sorted([*dated, (self.size, self.time)])
        found = {}
        for name, data in self.files.items():
            if name.startswith("receipt-"):
                bundle = json.loads(data)
                entry = bundle["verificationMaterial"]["tlogEntries"][0]
                index = int(entry["logIndex"])
                leaf = base64.b64decode(entry["canonicalizedBody"])
                found[index] = Entry(
                    index,
                    hashlib.sha256(b"\0" + leaf).hexdigest(),
                    json.loads(base64.b64decode(bundle["dsseEnvelope"]["payload"])),
                    bundle["verificationMaterial"]["publicKey"]["hint"],
                    next(time for size, time in dated if size > index),
                )
        return dict(sorted(found.items()))

    @cached_property
    def about(self) -> dict[int, Entry]:
        """The records that the register lists: those that are about no key."""
        return {index: entry for index, entry in self.records.items() if entry.kind != "key"}

    @cached_property
    def keys(self) -> dict[str, Entry]:
        """The record that enrolled each key, by fingerprint."""
        return {
            entry.body["fingerprint"]: entry
            for entry in self.records.values()
            if entry.kind == "key" and entry.body["action"] == "enrol"
        }

    @property
    def catalogs(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.coverage["catalogs"]
        return found

    @cached_property
    def controls(self) -> dict[str, dict[str, Any]]:
        """Every control's result by its full id, in the order of the frameworks."""
        return {item["id"]: item for catalog in self.catalogs for item in catalog["controls"]}

    def called(self, short: str) -> list[dict[str, Any]]:
        """The controls with an id that, without its catalog and any space, is ``short``."""
        return [
            item
            for name, item in self.controls.items()
            if "".join(name.partition(":")[2].split()) == short
        ]

    @cached_property
    def previous(self) -> Entry | None:
        """The last record of a packet over the same frameworks."""
        wanted = {item["catalog"] for item in self.catalogs}
        issued = [
            entry
            for entry in self.about.values()
            if entry.kind == "packet" and {f["id"] for f in entry.body["frameworks"]} == wanted
        ]
        return issued[-1] if issued else None

    def before(self) -> Counter[str]:
        """Controls by state in the packet before; empty where there was none."""
        found: Counter[str] = Counter()
        for item in self.previous.body["frameworks"] if self.previous else ():
            found.update(item["counts"])
        return found

    def replaced(self) -> dict[int, int]:
        """Place of each record that another supersedes, to the place of that one."""
        return {
            entry.statement["predicate"]["supersedes"]["index"]: entry.index
            for entry in self.about.values()
            if entry.statement["predicate"].get("supersedes")
        }


def states(controls: Any) -> Counter[str]:
    """Number of controls in each state."""
    return Counter(item["state"] for item in controls)


def groups(controls: Any) -> dict[str, list[dict[str, Any]]]:
    """Controls by their area, in order."""
    found: dict[str, list[dict[str, Any]]] = {}
    for item in controls:
        found.setdefault(item["group"], []).append(item)
    return found


def refs(value: Any) -> Iterator[int]:
    """Places of all records that a JSON value refers to."""
    if isinstance(value, dict):
        if set(value) == {"index", "sha256"}:
            yield value["index"]
        for item in value.values():
            yield from refs(item)
    elif isinstance(value, list):
        for item in value:
            yield from refs(item)


def _signed_time(note: str) -> str:
    """When the ledger says that it signed a note: the time in its ``cosignature/v1`` line, which is
    longer than the other by eight bytes."""
    lines = [base64.b64decode(line.split(" ")[2]) for line in note.split("\n\n")[1].splitlines()]
    seconds = next(int.from_bytes(line[4:12], "big") for line in lines if len(line) == 76)
    return datetime.fromtimestamp(seconds, UTC).isoformat()
