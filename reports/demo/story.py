"""The demo: one system's way from pilot to production, told with genuine tool files."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from muniment.controls.coverage import Coverage
from muniment.evidence.keyfiles import KeyFiles
from muniment.evidence.keys import PublicKey, new_p256
from muniment.evidence.workspace import Holder
from muniment.reports.files import write_atomically
from muniment.reports.issued import record_packet
from muniment.reports.verify import verify_packet
from muniment.reports.workspace import Gated, Workspace
from muniment.schemas import times
from muniment.schemas.errors import InputError
from muniment.schemas.finding import VerificationReport
from muniment.schemas.record import Role

from .repository import Repository
from .stage import KEY_PREFIX, Stage

_ORGANISATION = "Harbour Clinics (example.com)"
_ORIGIN = "evidence.harbour-clinics.example.com"
_FRAMEWORKS = (
    "nist-ai-rmf-1.0",
    "nist-ai-600-1",
    "iso-42001-2023",
    "eu-ai-act-high-risk",
    "readiness-gate",
)
_IN_PACKET = ("iso-42001-2023", "eu-ai-act-high-risk")
"""What the packet's reader, an auditor, asked about, beside the gate; it keeps the demo short."""
_ROOT = Holder("Compliance Lead", "compliance@example.com")
_BUILDER = Holder("Model Builder", "builder@example.com")
_CI = Holder("CI Runner", "ci@example.com", "machine")
_CI_KINDS = ("eval-result", "monitoring-report", "change-record", "data-provenance")
_EXECUTIVE = Holder("Executive Owner", "executive@example.com")
_EXECUTIVE_FUNCTIONS = ("executive-owner", "risk", "privacy")
_ACTS = ("1-pilot", "2-evaluation", "3-production", "4-launch")


@dataclass(frozen=True, slots=True)
class Told:
    """What the story ends with."""

    workspace: Path
    pilot_size: int
    """Number of records when the pilot's gate had decided."""
    coverage: Coverage
    gated: Gated
    packet: Path
    verified: VerificationReport
    flipped_at: int
    """Place of the changed byte in ``flipped``, counted from 0."""
    flipped: Path
    """The packet with one bit of one byte changed."""
    refused: VerificationReport


def tell(folder: Path, say: Callable[[str], None]) -> Told:
    """Tell the story in ``folder``.

    Args:
        folder: is made; must not exist or be empty.
        say: hears one line of talk at a time.

    Raises:
        InputError: ``demo.folder``.
        StoreError: git, the disk or the ledger did not answer.
        ReportError: the packet cannot be made.
    """
    root = _made(folder)
    with TemporaryDirectory() as keys:
        repository = Repository(root, Path(keys))
        _open_workspace(repository, say)
        stage = Stage(repository, times.now(), say)
        try:
            for act in _ACTS:
                stage.play(act)
            pilot, *_ = stage.decided
            return _end(stage.workspace("compliance"), pilot.index + 1, say)
        finally:
            stage.close()


def _made(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        used = any(folder.iterdir())
    except OSError as error:
        raise InputError(
            "demo.folder", f"{folder} cannot be used as a folder: {error.strerror}"
        ) from error
    if used:
        raise InputError(
            "demo.folder",
            f"{folder} is not empty",
            hint="muniment demo FOLDER tells the story in another folder",
        )
    return folder.resolve()


def _open_workspace(repository: Repository, say: Callable[[str], None]) -> None:
    """Make the workspace, enrol four signers, and commit ``muniment.yaml``."""
    workspace = Workspace.init(
        repository.root,
        organisation=_ORGANISATION,
        # NOTE: a second demo has the same root key; under the same name it would be a fork.
        origin=f"{_ORIGIN}/{secrets.token_hex(4)}",
        frameworks=_FRAMEWORKS,
        holder=_ROOT,
        functions=["compliance"],
        key=KEY_PREFIX + "compliance",
    )
    contributor, approver = Role.CONTRIBUTOR, Role.APPROVER
    workspace.people.enrol(_key(workspace.keys, "builder"), _BUILDER, roles=[contributor])
    workspace.people.enrol(_key(workspace.keys, "ci"), _CI, roles=[contributor], kinds=_CI_KINDS)
    workspace.people.enrol(
        _key(workspace.keys, "executive"),
        _EXECUTIVE,
        roles=[contributor, approver],
        functions=_EXECUTIVE_FUNCTIONS,
    )
    workspace.storage.close()
    repository.commit("Open the evidence store", ["muniment.yaml"])
    say(f"a fresh repository and ledger in {repository.root}, four signers enrolled")
    if not repository.signs:
        say("commits are not signed: git and ssh-keygen on this machine cannot do it")


def _key(keys: KeyFiles, who: str) -> PublicKey:
    """The public half of the demo's key, made unless an earlier demo made it."""
    name = KEY_PREFIX + who
    if not keys.exists(name):
        keys.save(keys.path(name), new_p256(), None)
    return keys.public(name)


def _end(workspace: Workspace, pilot_size: int, say: Callable[[str], None]) -> Told:
    """Coverage, the failing gate, the packet, and what one changed byte does to it."""
    say("coverage, the production gate and the packet, all from the verified ledger")
    coverage = workspace.coverage()
    gated = workspace.gate()
    pdf = workspace.packet(frameworks=_IN_PACKET)
    packet, flipped = workspace.root / "packet.pdf", workspace.root / "packet-flipped.pdf"
    at = len(pdf) // 2
    changed = bytearray(pdf)
    changed[at] ^= 1
    write_atomically(packet, pdf)
    record_packet(workspace, pdf, packet.name)
    write_atomically(flipped, bytes(changed))
    pinned = workspace.config.root
    return Told(
        workspace=workspace.root,
        pilot_size=pilot_size,
        coverage=coverage,
        gated=gated,
        packet=packet,
        verified=verify_packet(packet, pinned),
        flipped_at=at,
        flipped=flipped,
        refused=verify_packet(flipped, pinned),
    )
