"""``muniment verify`` of what somebody handed over: receipts, and packets in their workspace."""

from __future__ import annotations

import base64
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from muniment.evidence.keys import new_ed25519

from .conftest import ATTACH_POLICY, Cli, Said

BUNDLE = "receipt-000003.sigstore.json"
PROOF = "receipt-000003.tlog-proof"
LEAF = "receipt-000003.leaf.json"


@pytest.fixture
def receipts(place: Path, cli: Cli) -> Path:
    """The story's receipts in both forms, beside the workspace."""
    out = place.parent / "out"
    assert cli("export", "bundles", "../bundles").code == 0
    assert cli("export", "proofs", "../proofs").code == 0
    shutil.copytree(place.parent / "bundles", out)
    shutil.copytree(place.parent / "proofs", out, dirs_exist_ok=True)
    return out


def outcomes(said: Said) -> dict[str, str]:
    """Outcome of every check."""
    return {item["name"]: item["outcome"] for item in said.json["data"]["checks"]}


def codes(said: Said) -> list[str]:
    """Code of every fault."""
    checks: list[dict[str, Any]] = said.json["data"]["checks"]
    return [finding["code"] for item in checks for finding in item["findings"]]


def refusal(said: Said) -> tuple[int, str]:
    """Exit code and code of an error."""
    return said.code, said.json["error"]["code"]


@pytest.mark.parametrize("name", [BUNDLE, PROOF])
def test_a_receipt_in_its_workspace(receipts: Path, cli: Cli, name: str) -> None:
    """Signature, place and checkpoint hold, by the key that the workspace's root vouches for; what
    a receipt cannot show is listed."""
    said = cli("verify", str(receipts / name), "--json")
    assert said.code == 0
    assert outcomes(said) == {
        **dict.fromkeys(("form", "signatures", "receipts", "checkpoint"), "held"),
        "beyond": "not-checked",
    }
    assert "#3 with the digest" in said.json["data"]["conclusions"][0]
    assert (
        "stands in evidence.example.com, which had 7 records"
        in cli("verify", str(receipts / name)).out
    )


@pytest.mark.parametrize("name", [BUNDLE, PROOF])
def test_a_receipt_elsewhere(
    receipts: Path, cli: Cli, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Outside the workspace the ledger's key must be given, as text or in a file; without any key
    there is no answer that could be mistaken for a yes, and under another key it is a no."""
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(receipts, elsewhere)
    monkeypatch.chdir(elsewhere)
    key = (elsewhere / "ledger.vkey").read_text().strip()
    assert cli("verify", name, "--vkey", key).code == 0
    assert cli("verify", name, "--vkey", "ledger.vkey").code == 0
    assert refusal(cli("verify", name, "--json")) == (2, "receipt.ledger-key")
    for wrong in (key[:-8] + "AAAAAAA=", "nonsense+", name):
        said = cli("verify", name, "--vkey", wrong, "--json")
        assert refusal(said) == (2, "vkey.malformed")
    (elsewhere / "other").mkdir()
    monkeypatch.chdir(elsewhere / "other")
    assert cli("init", "--name", "A", "--email", "a@example.com").code == 0
    assert refusal(cli("verify", f"../{name}", "--json")) == (2, "receipt.ledger-key")
    cli("export", "proofs", "own")
    said = cli("verify", f"../{name}", "--vkey", "own/ledger.vkey", "--json")
    assert (said.code, codes(said)) == (1, ["checkpoint.foreign"])


def test_a_changed_receipt_is_a_no(receipts: Path, cli: Cli) -> None:
    """Each part of a receipt that is changed has its finding: the statement, the place, the
    checkpoint, all of it."""
    bundle = json.loads((receipts / BUNDLE).read_text())
    entry = bundle["verificationMaterial"]["tlogEntries"][0]
    proof = entry["inclusionProof"]

    def said() -> Said:
        (receipts / BUNDLE).write_text(json.dumps(bundle))
        return cli("verify", str(receipts / BUNDLE), "--json")

    payload = bundle["dsseEnvelope"]["payload"]
    text = base64.b64decode(payload).replace(b"accuracy", b"acuuracy")
    bundle["dsseEnvelope"]["payload"] = base64.b64encode(text).decode()
    assert (said().code, codes(said())) == (1, ["bundle.leaf"])
    bundle["dsseEnvelope"]["payload"] = payload
    entry["logIndex"] = proof["logIndex"] = "2"
    assert (said().code, outcomes(said())["receipts"]) == (1, "failed")
    entry["logIndex"] = proof["logIndex"] = "3"
    note = proof["checkpoint"]["envelope"]
    proof["checkpoint"]["envelope"] = note[:-9] + "AAAAAAA=\n"
    assert (said().code, outcomes(said())["checkpoint"]) == (1, "failed")
    (receipts / BUNDLE).write_text("rubbish")
    assert codes(cli("verify", str(receipts / BUNDLE), "--json")) == ["json.malformed"]


def test_a_changed_proof_is_a_no(receipts: Path, cli: Cli) -> None:
    """Another record's leaf stands elsewhere, a changed one is not signed, none at all is a
    mistake."""
    shutil.copy(receipts / "receipt-000004.leaf.json", receipts / LEAF)
    said = cli("verify", str(receipts / PROOF), "--json")
    assert (said.code, outcomes(said)["receipts"]) == (1, "failed")
    (receipts / LEAF).write_text("{}")
    assert "leaf.malformed" in codes(cli("verify", str(receipts / PROOF), "--json"))
    (receipts / LEAF).unlink()
    assert refusal(cli("verify", str(receipts / PROOF), "--json")) == (2, "receipt.leaf")


def test_a_proof_of_an_ed25519_record(place: Path, cli: Cli) -> None:
    """Its signature is over the envelope, which a proof does not hold: that is said, and the place
    is verified all the same."""
    pem = place.parent / "ed.pem"
    pem.write_bytes(
        new_ed25519().private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    pem.chmod(0o600)
    assert cli("key", "new", "ed", "--from", str(pem)).code == 0
    public = str(place.parent / "config/keys/ed.pub")
    assert cli("key", "add", public, "--name", "E", "--email", "e@example.com").code == 0
    assert cli(*ATTACH_POLICY, "--set", "title=Another", "--key", "ed").code == 0
    assert cli("export", "proofs", "../out").code == 0
    said = cli("verify", "../out/receipt-000008.tlog-proof", "--json")
    assert said.code == 0
    assert (outcomes(said)["signatures"], outcomes(said)["receipts"]) == ("not-checked", "held")


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ([BUNDLE, "--root", "SHA256:" + "A" * 43], "usage.root"),
        (["../packet.pdf", "--vkey", "ledger.vkey"], "usage.vkey"),
        (["ledger.vkey"], "verify.unknown-file"),
        ([BUNDLE, "--incremental"], "usage.incremental"),
        ([BUNDLE, "--since", BUNDLE], "usage.since"),
        (["--vkey", "ledger.vkey"], "usage.root"),
    ],
)
def test_what_does_not_go_together(
    receipts: Path, cli: Cli, arguments: list[str], code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Options that are for something else are refused, and files that are nothing of ours."""
    (receipts.parent / "packet.pdf").write_bytes(b"%PDF-1.7")
    monkeypatch.chdir(receipts)
    assert refusal(cli("verify", *arguments, "--json")) == (2, code)


def test_a_packet_in_its_workspace(place: Path, packet: Path, cli: Cli) -> None:
    """The root that muniment.yaml pins is expected of a packet of this ledger, and another root's
    packet is refused; a packet of another ledger is held against no root but one that is given."""
    said = cli("verify", str(packet), "--json")
    assert (said.code, outcomes(said)["root"]) == (0, "held")
    settings = place / "muniment.yaml"
    text = settings.read_text()
    lines = [line for line in text.splitlines() if not line.startswith("root:")]
    settings.write_text("\n".join([*lines, "root: SHA256:" + "A" * 43, ""]))
    said = cli("verify", str(packet), "--json")
    assert (said.code, codes(said)) == (1, ["root.differs"])
    settings.write_text(text.replace("evidence.example.com", "other.example.com"))
    said = cli("verify", str(packet), "--json")
    assert (said.code, outcomes(said)["root"]) == (0, "not-checked")


def test_a_packet_names_what_was_erased(place: Path, cli: Cli) -> None:
    """An erased record is said to be erased, by whom and on what basis, and never counted among
    those that are missing."""
    assert cli("erase", "#3", "--basis", "GDPR Art. 17", "--reason", "Asked", "--yes").code == 0
    assert cli("packet", "-o", "../erased.pdf", "--no-record").code == 0
    said = cli("verify", "../erased.pdf", "--json")
    (beyond,) = (item for item in said.json["data"]["checks"] if item["name"] == "beyond")
    assert [item["code"] for item in beyond["notes"]] == ["record.erased"]
    assert "#3 was erased by #7" in beyond["notes"][0]["message"]
    assert not any("not in the packet" in item for item in beyond["not_checked"])
    checks = {item["name"]: item for item in cli("verify", "--json").json["data"]["checks"]}
    assert checks["signatures"]["checked"] == 8
    artifacts = checks["artifacts"]
    assert not (artifacts["checked"] and "no record speaks of a file" in artifacts["not_checked"])


def test_the_files_that_settings_name_are_exported(
    place: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The policy goes with the export, so that a ledger made again from it can be verified."""
    with (place / "muniment.yaml").open("a") as file:
        file.write("policy: trust/policy.txt\n")
    (place / "trust").mkdir()
    (place / "trust/policy.txt").write_text("quorum none\n")
    assert cli("export", "tiles", "../out").code == 0
    new = place.parent / "new"
    shutil.copytree(place.parent / "out/trust", new / "trust")
    shutil.copy(place.parent / "out/muniment.yaml", new)
    monkeypatch.chdir(new)
    assert cli("import", "../out").code == 0
    assert "policy" in cli("verify").out
    monkeypatch.chdir(place)
    (place / "checkpoint").write_text("quorum none\n")
    settings = (place / "muniment.yaml").read_text()
    (place / "muniment.yaml").write_text(settings.replace("trust/policy.txt", "checkpoint"))
    assert refusal(cli("export", "tiles", "../again", "--json")) == (2, "export.name")
    assert not (place.parent / "again").exists()
