"""``muniment export`` and ``import`` as they are typed."""

from __future__ import annotations

import base64
import json
import shutil
from pathlib import Path

import pytest

from muniment.evidence.dsse import PAYLOAD_TYPE, pae
from muniment.evidence.keys import new_p256

from .conftest import Cli

RECORDS = 7


@pytest.mark.parametrize(
    ("form", "files", "one"),
    [
        ("bundles", 11, "receipt-000006.sigstore.json"),
        ("proofs", 15, "receipt-000000.tlog-proof"),
        ("tiles", 9, "tile/entries/000.p/7"),
        ("intoto", 3, "records.intoto.jsonl"),
    ],
)
def test_every_form_is_written(place: Path, cli: Cli, form: str, files: int, one: str) -> None:
    """Each form writes its files, and the answer says how many records under which root."""
    data = cli("export", form, "out", "--json").json["data"]
    written = [path for path in (place / "out").rglob("*") if path.is_file()]
    assert len(written) == files and place / "out" / one in written
    assert (data["records"], data["erased"], data["form"]) == (RECORDS, 0, form)
    said = cli("export", form, "again")
    assert said.code == 0 and "wrote 7 records to again" in said.out
    assert str(data["root"]) in said.out


def test_there_and_back(place: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """An export becomes the ledger of a folder that holds nothing but its muniment.yaml; the same
    records are listed there, and what needs copying beside it is said."""
    root = cli("export", "tiles", "../out", "--json").json["data"]["root"]
    listed = cli("record", "list").out
    new = place.parent / "new"
    new.mkdir()
    shutil.copy(place.parent / "out/muniment.yaml", new)
    monkeypatch.chdir(new)
    said = cli("import", "../out")
    assert said.code == 0 and "imported 7 records" in said.out and root in said.out
    assert "artifacts" in said.err
    assert cli("record", "list").out == listed
    again = cli("import", "../out", "--json")
    assert (again.code, again.json["error"]["code"]) == (2, "import.exists")


def test_a_tampered_export_is_a_no(place: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """A tampered export is answered with 1 and the fault, and no ledger is there afterwards."""
    cli("export", "tiles", "../out")
    file = place.parent / "out/tile/0/000.p/7"
    file.write_bytes(bytes(32) + file.read_bytes()[32:])
    new = place.parent / "new"
    new.mkdir()
    shutil.copy(place.parent / "out/muniment.yaml", new)
    monkeypatch.chdir(new)
    said = cli("import", "../out", "--json")
    assert (said.code, said.json["error"]["code"]) == (1, "tile.differs")
    assert cli("verify", "--json").json["error"]["code"] == "store.missing"


def test_an_attestation_is_taken(place: Path, cli: Cli) -> None:
    """A third party's file becomes a record that says what it is, who signed it and what it
    concludes."""
    key = new_p256()
    payload = json.dumps(
        {
            "_type": "https://in-toto.io/Statement/v1",
            "subject": [{"name": "model.bin", "digest": {"sha256": "d" * 64}}],
            "predicateType": "https://in-toto.io/attestation/test-result/v0.1",
            "predicate": {"result": "PASSED"},
        }
    ).encode()
    envelope = {
        "payload": base64.b64encode(payload).decode(),
        "payloadType": PAYLOAD_TYPE,
        "signatures": [{"sig": base64.b64encode(key.sign(pae(payload))).decode()}],
    }
    (place / "test.json").write_text(json.dumps(envelope))
    (place / "maker.pem").write_text(key.public.pem())
    command = ["import", "test.json", "--key", "maker.pem", "--control", "MEASURE 2.3"]
    said = cli(*command)
    assert said.code == 0 and "recorded as #7" in said.out and key.public.fingerprint in said.out
    (record,) = cli(*command, "--json").json["data"]["records"]
    assert (record["record"], record["new"], record["result"]) == (7, False, "passed")
    assert "attestations" in cli("verify").out


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["import", "policy.md"], "import.unknown"),
        (["import", "missing.json", "--key", "missing.pem"], "file.missing"),
        (["import", "policy.md", "--key", "../config/keys/risk.pub"], "json.malformed"),
        (["import", "data", "--key", "../config/keys/risk.pub"], "usage"),
        (["import", "data", "--control", "MEASURE 2.3"], "usage"),
        (["import", "data"], "import.no-export"),
        (["export", "tiles", "data"], "export.not-empty"),
        (["export", "tiles", "policy.md"], "export.not-empty"),
    ],
)
def test_what_cannot_be_done_is_said(
    place: Path, cli: Cli, arguments: list[str], code: str
) -> None:
    """Bad input is answered with 2 and a code, and the ledger stays as it was."""
    said = cli(*arguments, "--json")
    assert (said.code, said.json["error"]["code"]) == (2, code)
    assert cli("verify").code == 0


def test_a_foreign_signature_is_a_no(place: Path, cli: Cli) -> None:
    """An attestation that the given key did not sign is answered with 1."""
    cli("export", "intoto", "out")
    said = cli("import", "out/records.intoto.jsonl", "--key", "../config/keys/risk.pub", "--json")
    assert (said.code, said.json["error"]["code"]) == (1, "attestation.signature")
