"""Verification of a ledger, against nothing but the signature checks it cannot do without."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_public_key

from muniment.evidence.dsse import pae

from .ledgers import new_workspace, sign
from .measure import Case

ROUNDS = 3
SIZE = 100_000
ONE, TWO = "signatures alone, one thread", "signatures alone, two threads"
FEW = 1000
SMALL = f"Workspace.verify of {FEW:,} records"


def cases(size: int, folder: Path) -> list[Case]:
    """The signatures alone are of as many statements of the same form by the same key."""
    workspace = new_workspace(folder, size)
    public = load_der_public_key(workspace.signing_key.public.spki)
    assert isinstance(public, EllipticCurvePublicKey)
    algorithm = ECDSA(SHA256())
    signed = [
        (envelope.signature, pae(envelope.payload)) for envelope, _ in sign(workspace, range(size))
    ]

    def check(part: slice) -> int:
        for signature, message in signed[part]:
            public.verify(signature, message, algorithm)
        return len(signed[part])

    def check_in_threads() -> int:
        with ThreadPoolExecutor(2) as pool:
            return sum(pool.map(check, (slice(0, None, 2), slice(1, None, 2))))

    def verified() -> int:
        workspace.verified().require()
        return size

    def verify() -> int:
        assert workspace.verify().ok
        return size

    def incremental() -> int:
        report = workspace.verify(incremental=True)
        assert report.ok and report.extent == "incremental"
        return size

    workspace.verify(incremental=True)
    few = new_workspace(folder / "few", FEW)

    def verify_few() -> int:
        assert few.verify().ok
        return FEW

    whole = "Workspace.verify (and files, git)"

    return [
        Case(ONE, lambda: check(slice(None))),
        Case(TWO, check_in_threads),
        Case("Workspace.verified (the ledger)", verified, (TWO, ONE), aim=1.5),
        Case(SMALL, verify_few),
        Case(whole, verify, (TWO, ONE, SMALL), aim=1.5),
        Case("Workspace.verify, nothing new", incremental, (whole,), aim=1 / 15),
    ]
