"""A ledger such as a small team makes: three signers, two algorithms, thirty-seven records; and one
of a thousand, exported."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from muniment.evidence.checkpoint import SignedCheckpoint
from muniment.evidence.dsse import Envelope
from muniment.evidence.keyfiles import CONFIG_VARIABLE
from muniment.evidence.keys import (
    PublicKey,
    RecordKey,
    SigningKey,
    load_public,
    new_ed25519,
    new_p256,
)
from muniment.evidence.receipt import Receipt
from muniment.reports.workspace import Holder, Workspace
from muniment.schemas.record import Role
from muniment.schemas.statement import Statement, predicate_type

MANY_RECORDS = 1000
MODEL = {"name": "model.onnx", "sha256": "a" * 64}


@dataclass(frozen=True)
class Sample:
    """A ledger and its receipts under one checkpoint."""

    workspace: Workspace
    old: SignedCheckpoint
    """From when the ledger had eleven records."""
    checkpoint: SignedCheckpoint
    receipts: tuple[Receipt, ...]


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sample]:
    folder = tmp_path_factory.mktemp("interop")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(CONFIG_VARIABLE, str(folder / "keys"))
        yield _sample(folder / "workspace")


def _sample(folder: Path) -> Sample:
    ana = Workspace.init(
        folder,
        organisation="Example Bank",
        origin="evidence.example.com/credit",
        frameworks=["nist-ai-rmf-1.0"],
        holder=Holder("Ana", "ana@example.com"),
    )
    ben = _enrol(ana, "ben", new_p256(), Role.APPROVER)
    robot = _enrol(ana, "robot", new_ed25519(), Role.CONTRIBUTOR)
    ana.attach("system", system="credit-risk@1.0.0", body=_SYSTEM)
    for number in range(7):
        ana.attach("eval-result", body=_evaluation(number))
    old = ana.ledger.checkpoint()
    for number in range(7, 25):
        report = folder / f"report-{number}.txt"
        report.write_text(f"run {number}: nothing unusual – für die Akte\n")
        (robot if number % 2 else ana).attach("eval-result", report, body=_evaluation(number))
    for number in range(4, 10):
        ben.approve([f"#{number}"], role="risk")
    end = ana.clock().date() + timedelta(days=30)
    why: Any = {"reason": "Starts soon", "measure": "Checked by hand", "until": end}
    ben.waive(["MEASURE 1.1"], **why)
    ben.waive(["MEASURE 1.2"], **why, residual="Seen a day late")
    checkpoint = ana.ledger.checkpoint()
    receipts = tuple(ana.ledger.receipts(range(checkpoint.size), checkpoint))
    return Sample(ana, old, checkpoint, receipts)


def _enrol(root: Workspace, name: str, key: SigningKey, role: Role) -> Workspace:
    root.keys.save(root.keys.path(name), key, None)
    functions = ["risk"] if role is Role.APPROVER else []
    holder = Holder(name.title(), f"{name}@example.com")
    root.people.enrol(key.public, holder, roles=[role], functions=functions)
    return Workspace(root.root, key=name)


@dataclass(frozen=True)
class Exported:
    """A ledger of a thousand records, exported in every form."""

    workspace: Workspace
    checkpoint: SignedCheckpoint
    folder: Path
    """Holds a folder for each form."""

    def keys(self, form: str) -> dict[str, PublicKey]:
        """The key files of an export, by fingerprint."""
        files = (self.folder / form).glob("key-*.pem")
        keys = [load_public(path.read_bytes()) for path in files]
        return {key.fingerprint: key for key in keys}

    def leaves(self) -> list[bytes]:
        """The leaves, read from the entry bundles of the tile tree by its own rules."""
        found = []
        for path in sorted((self.folder / "tiles/tile/entries").rglob("*")):
            data = path.read_bytes() if path.is_file() else b""
            while data:
                length = int.from_bytes(data[:2], "big")
                found.append(data[2 : 2 + length])
                data = data[2 + length :]
        return found


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exported]:
    folder = tmp_path_factory.mktemp("exported")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(CONFIG_VARIABLE, str(folder / "keys"))
        yield _exported(folder)


def _exported(folder: Path) -> Exported:
    ana = Workspace.init(
        folder / "workspace",
        organisation="Example Bank",
        origin="evidence.example.com/credit",
        frameworks=["nist-ai-rmf-1.0"],
        holder=Holder("Ana", "ana@example.com"),
    )
    robot = _enrol(ana, "robot", new_ed25519(), Role.CONTRIBUTOR)
    ana.attach("system", system="credit-risk@1.0.0", body=_SYSTEM)
    ledger = ana.ledger
    key = ana.keys.load(ana.keys.ledger_path(ledger.vkey))
    signers = (ana.signing_key, robot.signing_key)
    for start in range(3, MANY_RECORDS, 200):
        numbers = range(start, min(start + 200, MANY_RECORDS))
        batch = [_signed(ana, number, signers[number % 2]) for number in numbers]
        ledger.append(key, batch, ana.kinds)
    for form in ("bundles", "proofs", "tiles", "intoto"):
        ana.export(form, folder / form)
    return Exported(ana, ledger.checkpoint(), folder)


def _signed(workspace: Workspace, number: int, signer: RecordKey) -> tuple[Envelope, RecordKey]:
    system = workspace.systems()[0]
    statement = Statement(
        subjects=(system.descriptor(),),
        predicate_type=predicate_type("eval-result"),
        system=system,
        collected_at=workspace.clock(),
        body=_evaluation(number),
        salt=f"{number:032x}",
        references=({"relation": "genesis", **workspace.ledger.genesis.to_json()},),
    )
    return Envelope.sign(statement.to_payload(), signer), signer


_SYSTEM = {
    "name": "Credit risk scoring",
    "purpose": "Scores applications before a person decides.",
    "phase": "pilot",
    "riskTier": "high",
    "owner": {"name": "Ana", "email": "ana@example.com"},
}


def _evaluation(number: int) -> dict[str, Any]:
    return {
        "model": MODEL,
        "dataset": {"name": "held-out", "split": "held-out", "sha256": "b" * 64},
        "evaluated": 1000 + number,
        "metrics": [{"name": "AUC", "value": 0.8125, "threshold": 0.78, "direction": "higher"}],
        "checks": [],
    }


_IS_NEW = "import sys; sys.exit(sys.version_info < (3, 12))"


@pytest.fixture(scope="session")
def newer_python() -> str:
    """A Python of at least 3.12, which the aics tools need; skips where there is none."""
    for name in (sys.executable, "python3.12", "python3.13", "python3.14"):
        # NOTE: a version manager's stand-in may be found and still not run.
        path = shutil.which(name)
        if (
            path
            and subprocess.run([path, "-c", _IS_NEW], stderr=subprocess.DEVNULL).returncode == 0
        ):
            return path
    pytest.skip("the aics tools need Python 3.12 or newer, and none is installed")
