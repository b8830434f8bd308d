"""A packet whose rightful signer runs a program of their own, so that every signature holds."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pikepdf
import pytest

from muniment.reports import packet as making
from muniment.reports import proofs
from muniment.reports.identity import Identity
from muniment.reports.model import Embedded, PacketInput
from muniment.reports.pagetext import read_pages
from muniment.reports.signature import check_signature
from muniment.reports.verify import verify_packet
from muniment.schemas import strictjson
from muniment.schemas.errors import VerificationError

from .conftest import Cli, set_pages_here

PACKET = ("packet", "--framework", "nist-ai-rmf-1.0", "--no-record", "-o", "lie.pdf")


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages are set in this process."""
    set_pages_here(monkeypatch)


def _codes(path: Path = Path("lie.pdf")) -> set[str]:
    return {finding.code for finding in verify_packet(path).findings}


def _before_signing(monkeypatch: pytest.MonkeyPatch, change: Callable[[bytes], bytes]) -> None:
    signing = Identity.sign

    def sign(self: Identity, pdf: bytes, field: str) -> bytes:
        return signing(self, change(pdf), field)

    monkeypatch.setattr(Identity, "sign", sign)


def _noted(pdf: bytes) -> bytes:
    """A stamp over all of the first page, as one more revision of the file."""
    from pyhanko.pdf_utils import generic
    from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter

    writer = IncrementalPdfFileWriter(io.BytesIO(pdf))
    page = writer.root["/Pages"]["/Kids"].raw_get(0)
    make: Any = generic
    note = make.DictionaryObject(
        {
            generic.NameObject("/Type"): generic.NameObject("/Annot"),
            generic.NameObject("/Subtype"): generic.NameObject("/Stamp"),
            generic.NameObject("/Rect"): generic.ArrayObject(
                make.NumberObject(number) for number in (0, 0, 595, 842)
            ),
            generic.NameObject("/Contents"): generic.TextStringObject("GATE PASSED"),
        }
    )
    page.get_object()["/Annots"] = generic.ArrayObject([writer.add_object(note)])
    writer.mark_update(page)
    output = io.BytesIO()
    writer.write(output)  # type: ignore[no-untyped-call]
    return output.getvalue()


def test_a_note_over_the_pages(place: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is put over the pages before they are signed is found: signatures bring nothing else."""
    _before_signing(monkeypatch, _noted)
    assert cli(*PACKET).code == 0
    assert "packet.updated" in _codes()
    assert cli("verify", "lie.pdf").code == 1


def test_other_pages_behind_the_right_ones(
    place: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bytes that a file begins with and no reader looks at are not its pages."""

    def behind(pdf: bytes) -> bytes:
        """The pages twice: the second time at their new places, with their own table alone."""
        output = io.BytesIO()
        with pikepdf.open(io.BytesIO(pdf)) as document:
            document.save(output, object_stream_mode=pikepdf.ObjectStreamMode.disable)
        other = output.getvalue()
        return _moved(pdf, other)

    _before_signing(monkeypatch, behind)
    assert cli(*PACKET).code == 0
    assert {"pages.not-these"} <= _codes()


def _moved(first: bytes, other: bytes) -> bytes:
    """``other`` after ``first``, its table of objects counted from there."""
    at = len(first)
    place = int(re.findall(rb"startxref\n(\d+)", other)[-1])
    table = re.sub(
        rb"(\d{10}) (\d{5}) n",
        lambda entry: b"%010d %s n" % (int(entry[1]) + at, entry[2]),
        other[place:],
    )
    table = re.sub(rb"startxref\n\d+", b"startxref\n%d" % (place + at), table)
    return first + other[:place] + table


def _lie(
    monkeypatch: pytest.MonkeyPatch,
    change: Callable[[PacketInput, list[Embedded]], tuple[PacketInput, list[Embedded]]],
) -> None:
    gathering = making.gather

    def gather(*arguments: Any) -> tuple[PacketInput, list[Embedded]]:
        packet, files = change(*gathering(*arguments))
        listed = [item for item in files if item.name != "manifest.json"]
        manifest = proofs.document_file(
            "manifest.json", proofs.manifest(listed), proofs.MANIFEST_WORDS
        )
        return packet, [*listed, manifest]

    monkeypatch.setattr(making, "gather", gather)


def _with(files: list[Embedded], name: str, change: Callable[[Any], None]) -> list[Embedded]:
    """The files, with something else in one of them."""
    changed = []
    for item in files:
        if item.name == name:
            value = strictjson.loads(item.data, what=name)
            change(value)
            item = proofs.document_file(name, value, item.description)
        changed.append(item)
    return changed


def test_a_witness_who_never_was(place: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the pages say of witnesses and authorities must follow from the proofs in the packet."""

    def change(value: Any) -> None:
        said = {"kind": "cosignature", "source": "Audit Office", "time": None, "held": True}
        value["outside"] = [{**said, "note": "It holds."}]

    _lie(monkeypatch, lambda packet, files: (packet, _with(files, "pages.json", change)))
    cli(*PACKET)
    assert "pages.outside" in _codes()


def test_a_file_that_nobody_reads(place: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """A packet holds no file beside its proofs, whatever its manifest lists."""
    more = Embedded("approval.json", b"{}", "application/json", "Data", "Certified")
    _lie(monkeypatch, lambda packet, files: (packet, [*files, more]))
    cli(*PACKET)
    assert "packet.unknown-file" in _codes()


def test_other_words_for_the_same_states(
    place: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the same program chose the words of the coverage, other words are found."""

    def change(value: Any) -> None:
        value["catalogs"][0]["controls"][0]["title"] = "Certified by the regulator"

    _lie(monkeypatch, lambda packet, files: (packet, _with(files, "coverage.json", change)))
    cli(*PACKET)
    assert "coverage.words" in _codes()


def test_who_signed_is_what_the_ledger_says(place: Path, cli: Cli) -> None:
    """Every verification names the signers as the ledger knows them."""
    cli(*PACKET)
    notes = [
        note.message
        for check in verify_packet(Path("lie.pdf")).checks
        if check.name == "reviewer"
        for note in check.notes
    ]
    assert len(notes) == 1 and "says the ledger" in notes[0] and "certificate" not in notes[0]


def test_pages_that_unpack_without_end(packet: Path) -> None:
    """Content that unpacks to more than any page needs is refused before it is unpacked."""
    with pikepdf.open(packet) as document:
        many = [document.make_stream(b" " * (100 << 20)) for _ in range(3)]
        document.pages[0].obj.Contents = pikepdf.Array(many)
        output = io.BytesIO()
        document.save(output, compress_streams=True)
    with pytest.raises(VerificationError, match="too large") as caught:
        read_pages(output.getvalue())
    assert caught.value.code == "packet.too-large"
    assert not check_signature(output.getvalue()).ok
