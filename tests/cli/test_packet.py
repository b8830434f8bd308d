"""``muniment packet``, ``packet sign`` and ``verify`` of what they made: the proof inside."""

from __future__ import annotations

import hashlib
import io
import json
import random
import shutil
import subprocess
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pikepdf
import pytest

from muniment.evidence.keys import new_ed25519
from muniment.evidence.note import COSIGNATURE_V1, VerifierKey, cosign_note
from muniment.evidence.storage import AnchorRow
from muniment.evidence.workspace import Workspace
from muniment.reports import artifactfiles, printed, verifypages
from muniment.reports.artifactfiles import carry
from muniment.reports.signature import check_signature, read_attachments
from muniment.reports.verify import verify_packet
from muniment.schemas.finding import Check, Outcome

from ..tsa import Chain, OpenSsl, serve
from .conftest import Cli, Said, set_pages_here

PACKET = ("packet", "--framework", "nist-ai-rmf-1.0")


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages are set in this process: a fresh one for each packet would be most of the time."""
    set_pages_here(monkeypatch)


def checks(said: Said) -> dict[str, dict[str, Any]]:
    """The checks of a report, by name."""
    return {item["name"]: item for item in said.json["data"]["checks"]}


def faults(path: Path) -> set[str]:
    return {finding.code for finding in verify_packet(path).findings}


def test_the_ledger_records_what_was_issued(place: Path, cli: Cli) -> None:
    """A packet's SHA-256 stands in the ledger with checkpoint and counts; coverage stays as it was,
    nothing is left out for it, and ``--no-record`` leaves no trace."""

    def states() -> dict[str, Any]:
        data = cli("coverage", "--json").json["data"]
        return {name: data[name] for name in ("catalogs", "left_out", "hindsight")}

    before = states()
    said = cli(*PACKET, "-o", "a.pdf", "--json").json["data"]
    record = cli("record", "show", str(said["record"]["index"]), "--json").json["data"]
    body = json.loads(json.dumps(record))
    text = json.dumps(body)
    assert said["sha256"] == hashlib.sha256(Path("a.pdf").read_bytes()).hexdigest()
    assert said["sha256"] in text and '"packet"' in text
    assert states() == before
    again = cli(*PACKET, "-o", "b.pdf", "--no-record", "--json").json["data"]
    assert again["record"] is None
    opened = Workspace(place)
    assert opened.ledger.checkpoint().size == said["record"]["index"] + 1
    opened.storage.close()
    assert cli("verify").code == 0


def test_a_packet_of_the_record_is_not_attached_by_hand(place: Path, cli: Cli) -> None:
    """Only the command makes such a record."""
    said = cli("attach", "packet", "policy.md", "--json")
    assert said.json["error"]["code"] == "attach.kind"


def test_since(place: Path, cli: Cli) -> None:
    """A new packet proves that its ledger is the old packet's with records added; the old one
    proves nothing of the new, another ledger is told apart, and a receipt has no past."""
    cli(*PACKET, "-o", "old.pdf")
    cli(*PACKET, "-o", "new.pdf")
    said = cli("verify", "new.pdf", "--since", "old.pdf", "--json")
    assert said.code == 0
    assert checks(said)["since"]["outcome"] == "held"
    assert [note["code"] for note in checks(said)["since"]["notes"]] == ["since.issued"]
    assert checks(said)["previous"]["checked"] == 1
    back = cli("verify", "old.pdf", "--since", "new.pdf", "--json")
    assert back.code == 1
    assert [item["code"] for item in checks(back)["since"]["findings"]] == ["since.no-proof"]
    Path("none.txt").write_text("no checkpoint")
    assert cli("verify", "new.pdf", "--since", "none.txt").code == 2


def test_since_finds_a_history_that_was_rewritten(place: Path, cli: Cli, packet: Path) -> None:
    """A ledger that shares the old one's key but not its records is a fork."""
    shutil.copytree("../ws", "../other")
    cli(*PACKET, "-o", "a.pdf", "--no-record")
    cli("retract", "#5", "--reason", "Another version was meant")
    cli(*PACKET, "-o", "mine.pdf")
    other = ("--workspace", "../other")
    cli("approve", "#5", "--key", "risk", *other)
    cli(*PACKET, "-o", "theirs.pdf", *other)
    said = cli("verify", "mine.pdf", "--since", "theirs.pdf", "--json")
    assert [item["code"] for item in checks(said)["since"]["findings"]] == ["outside.fork"]


def test_artifacts_and_bundle(place: Path, cli: Cli) -> None:
    """Stored files go into the packet where that is asked for; the bundle holds the same files, as
    a zip the same bytes each time."""
    assert cli(*PACKET, "-o", "a.pdf", "--with-artifacts", "--bundle", "a.zip").code == 0
    inside = read_attachments(Path("a.pdf").read_bytes())
    report = hashlib.sha256(Path("report.txt").read_bytes()).hexdigest()
    assert inside[f"artifact-{report}"] == Path("report.txt").read_bytes()
    with zipfile.ZipFile("a.zip") as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == inside
        assert archive.namelist() == sorted(inside)
    said = cli("verify", "a.pdf", "--json")
    assert (said.code, checks(said)["artifacts"]["outcome"]) == (0, "held")
    assert cli(*PACKET, "-o", "b.pdf", "--bundle", "there", "--no-record").code == 0
    files = {file.name: file.read_bytes() for file in Path("there").iterdir()}
    assert files == read_attachments(Path("b.pdf").read_bytes())
    refused = cli(*PACKET, "-o", "c.pdf", "--bundle", "there", "--json")
    assert refused.json["error"]["code"] == "export.not-empty"
    assert not Path("c.pdf").exists()


def test_what_does_not_fit_is_listed(
    place: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file beyond the room is named with its digest in the manifest and on the omissions page."""
    monkeypatch.setattr("muniment.reports.packet.MAX_BYTES", 10)
    cli(*PACKET, "-o", "a.pdf", "--with-artifacts")
    manifest = json.loads(read_attachments(Path("a.pdf").read_bytes())["manifest.json"])
    report = hashlib.sha256(Path("report.txt").read_bytes()).hexdigest()
    policy = hashlib.sha256(Path("policy.md").read_bytes()).hexdigest()
    assert {item["sha256"] for item in manifest["left_out"]} == {policy}
    assert f"artifact-{report}" in {item["name"] for item in manifest["files"]}
    pages = json.loads(read_attachments(Path("a.pdf").read_bytes())["pages.json"])
    assert any(policy in sentence for sentence in pages["not_included"])
    assert faults(Path("a.pdf")) == set()


def test_changed_bytes_in_the_store_are_not_carried(place: Path) -> None:
    """What the store holds is hashed again before it goes into a packet."""
    opened = Workspace(place)
    records = opened.verified().records
    report = hashlib.sha256(Path("report.txt").read_bytes()).hexdigest()
    file = opened.store.path(report)
    opened.storage.close()
    file.chmod(0o600)
    file.write_bytes(b"another")
    with pytest.raises(Exception, match="other bytes than were signed"):
        carry(records, opened.store, artifactfiles.MAX_BYTES)


def test_countersign(place: Path, cli: Cli) -> None:
    """A second person's signature keeps every byte of the first, is recorded, and verifies; a third
    one, the same person's, and one over a broken packet are refused."""
    cli(*PACKET, "-o", "a.pdf")
    first = Path("a.pdf").read_bytes()
    own = cli("packet", "sign", "a.pdf", "--json")
    assert own.json["error"]["code"] == "packet.same-person"
    said = cli("packet", "sign", "a.pdf", "--key", "risk", "--json")
    assert said.code == 0 and said.json["data"]["record"]["index"] > 0
    both = Path("a.pdf").read_bytes()
    assert both.startswith(first) and len(both) > len(first)
    verified = cli("verify", "a.pdf", "--json")
    assert verified.code == 0
    assert checks(verified)["reviewer"]["checked"] == 2
    assert checks(verified)["rendering"]["outcome"] == "held"
    again = cli("packet", "sign", "a.pdf", "--key", "risk", "--json")
    assert again.json["error"]["code"] == "packet.countersigned"
    Path("broken.pdf").write_bytes(first[:-1])
    broken = cli("packet", "sign", "broken.pdf", "--key", "risk", "--json")
    assert (broken.code, broken.json["ok"]) == (1, False)
    assert cli("packet", "--no-record", "sign", "a.pdf").code == 2
    assert cli("packet").code == 2


def test_a_key_enrolled_later_cannot_countersign(place: Path, cli: Cli) -> None:
    """The packet must know its second signer, or nobody could verify from the file alone."""
    cli(*PACKET, "-o", "a.pdf")
    cli("key", "new", "late")
    cli("key", "add", "../config/keys/late.pub", "--name", "Late", "--email", "late@example.com",
        "--role", "approver", "--function", "risk")  # fmt: skip
    said = cli("packet", "sign", "a.pdf", "--key", "late", "--json")
    assert said.json["error"]["code"] == "packet.late-key"


def test_time_stamps_and_cosignatures(
    place: Path, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With an authority and a witness that the workspace names, checkpoint and signature are dated
    from outside, provably from the file alone; whom to trust stays the reader's question."""
    monkeypatch.setenv("no_proxy", "*")
    chain = Chain.new()
    chain.write_roots(place / "roots.pem")
    opened = Workspace(place)
    last, key = opened.ledger.checkpoint(), new_ed25519()
    line = cosign_note(last.note.text, "w.example.com", key, int(last.time.timestamp()))
    row = AnchorRow(size=last.size, kind="witness", source="w", proof=str(line).encode())
    with opened.storage.write() as writer:
        writer.add([row])
    opened.storage.close()
    vkey = VerifierKey("w.example.com", COSIGNATURE_V1, key.public)
    (place / "policy.txt").write_text(f"witness one {vkey}\nquorum one\n")
    with serve(OpenSsl(tmp_path / "tsa", chain).answer) as (url, _):
        with (place / "muniment.yaml").open("a") as file:
            file.write(f"timestamps: {url}\ntimestamp_roots: roots.pem\npolicy: policy.txt\n")
        assert cli("timestamp").code == 0
        assert "PAdES B-T" in cli(*PACKET, "-o", "a.pdf").out
    said = cli("verify", "a.pdf", "--json")
    assert said.code == 0
    outside, dated = checks(said)["outside"], checks(said)["signature-time"]
    assert {note["code"] for note in outside["notes"]} == {"timestamp.held", "witness.held"}
    assert "deserve trust" in outside["not_checked"][0]
    assert (outside["checked"], dated["checked"]) == (2, 1)
    assert [note["code"] for note in dated["notes"]] == ["signature.stamped"]


def test_500_flips(packet: Path, tmp_path: Path) -> None:
    """One changed bit anywhere in the file, 500 times: each is found from the file alone, by the
    check that every verification begins with."""
    data = packet.read_bytes()
    source = random.Random(20261121)
    for number in range(500):
        place, bit = source.randrange(len(data)), source.randrange(8)
        changed = bytearray(data)
        changed[place] ^= 1 << bit
        assert not check_signature(bytes(changed)).ok, f"byte {place}, bit {bit}"
        if number < 5:
            (tmp_path / "flipped.pdf").write_bytes(changed)
            assert not verify_packet(tmp_path / "flipped.pdf").ok


def test_other_versions_are_not_compared(packet: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where another renderer is here, the pages are not set again, and the report says why."""
    here = {**printed.renderer(), "pango": "another"}
    monkeypatch.setattr(verifypages, "renderer", lambda: here)
    (check,) = (item for item in verify_packet(packet).checks if item.name == "rendering")
    assert check.outcome is Outcome.NOT_CHECKED
    assert "pango" in check.not_checked[0]


def test_pages_that_do_not_follow_are_found(packet: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages that the same program would set otherwise are found, though all signatures hold."""
    monkeypatch.setattr(verifypages, "render", lambda packet, files: b"%PDF-1.7 other pages")
    assert faults(packet) == {"pages.not-these"}


def test_pages_against_the_manifest(packet: Path) -> None:
    """The manifest fixes number and content of the pages."""
    stated = json.loads(read_attachments(packet.read_bytes())["manifest.json"])["pages"]
    coverage = json.loads(read_attachments(packet.read_bytes())["coverage.json"])
    for name in ("count", "content_sha256"):
        check = Check("pages", "")
        verifypages.check_pages(check, packet.read_bytes(), {**stated, name: "0"}, coverage)
        assert [item.code for item in check.findings] == ["pages.content"]


@pytest.fixture
def tools() -> Iterator[tuple[str, ...]]:
    """The PDF tools that are on this machine."""
    found = tuple(name for name in ("qpdf", "pdfsig") if shutil.which(name))
    if not found:
        pytest.skip("no PDF tool is on this machine")
    yield found


def test_other_tools_accept_it(place: Path, cli: Cli, tools: tuple[str, ...]) -> None:
    """qpdf and pdfsig, as far as they are here, find no fault before signing, after it, and after
    counter-signing; validators of its standards are asked in ``tests/interop``."""
    cli(*PACKET, "-o", "one.pdf")
    shutil.copy("one.pdf", "two.pdf")
    cli("packet", "sign", "two.pdf", "--key", "risk")
    _write_unsigned(Path("one.pdf"), Path("none.pdf"))
    commands = {"qpdf": ["qpdf", "--check"], "pdfsig": ["pdfsig"]}
    for tool in tools:
        for file, signatures in (("none.pdf", 0), ("one.pdf", 1), ("two.pdf", 2)):
            done = subprocess.run([*commands[tool], file], capture_output=True, text=True)
            if tool == "pdfsig":
                assert done.stdout.count("Signature is Valid") == signatures
                assert ("Total document signed" in done.stdout) == bool(signatures)
            else:
                assert done.returncode == 0, done.stdout + done.stderr


def _write_unsigned(signed: Path, target: Path) -> None:
    """The packet as it was before its first signature: the file begins with it."""
    data = signed.read_bytes()
    target.write_bytes(data[: data.index(b"%%EOF\n") + len(b"%%EOF\n")])
    with pikepdf.open(io.BytesIO(target.read_bytes())) as document:
        assert "/V" not in document.Root.AcroForm.Fields[0]
