"""``muniment packet --format`` and ``muniment verify`` of what it wrote."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from openpyxl import load_workbook

from muniment.reports.workspace import Workspace
from muniment.schemas.errors import InputError

from .conftest import Cli

PACKET = ("packet", "--framework", "nist-ai-rmf-1.0", "--as-of", "2030-01-01")
ENDINGS = {"html": "html", "markdown": "md", "json": "json", "xlsx": "xlsx"}


@pytest.mark.parametrize("form", ENDINGS)
def test_each_form_is_written(form: str, place: Path, cli: Cli) -> None:
    """A file is written; the answer names its form and says that nobody signed it."""
    name = f"packet.{ENDINGS[form]}"
    said = cli(*PACKET, "--format", form, "-o", name)
    assert said.code == 0 and "signed by nobody" in said.out
    assert ("muniment verify" in said.out) == (form == "html")
    answer = cli(*PACKET, "--format", form, "-o", name, "--json").json["data"]
    assert answer["format"] == form
    assert answer["size"] == (place / name).stat().st_size > 1000


def test_the_document_is_that_of_coverage(place: Path, cli: Cli) -> None:
    """The JSON form holds, word for word, what ``coverage --json`` says."""
    assert cli(*PACKET, "--format", "json", "-o", "packet.json").code == 0
    document = json.loads((place / "packet.json").read_text())
    coverage = cli(
        "coverage", "--framework", "nist-ai-rmf-1.0", "--as-of", "2030-01-01", "--json"
    ).json["data"]
    packet = document["data"]["coverage"]
    shared = packet.keys() & coverage.keys()
    assert {"system", "as_of", "catalogs", "left_out", "profile_sha256"} <= shared
    asked = {item["catalog"]: item for item in packet["catalogs"]}
    for catalog in coverage["catalogs"]:
        assert asked[catalog["catalog"]] == catalog


def test_a_name_of_another_form_is_refused(place: Path, cli: Cli) -> None:
    """Nobody gets a PDF that is called a web page; nothing is written."""
    said = cli(*PACKET, "-o", "packet.html")
    assert said.code == 2 and "usage.format" in said.err and "--format html" in said.err
    assert not (place / "packet.html").exists()


def test_a_key_is_asked_for_where_something_is_signed(place: Path, cli: Cli) -> None:
    """A form that nobody signs needs no private key."""
    for key in (place.parent / "config" / "keys").iterdir():
        if key.suffix != ".pub":
            key.unlink()
    assert cli(*PACKET, "--format", "html", "-o", "packet.html").code == 0
    assert cli(*PACKET, "-o", "packet.pdf").code == 2


COVER = "reviewer: Head of Risk\nconclusions: Not ready.\n"
PIXEL = '<svg xmlns="http://www.w3.org/2000/svg"><rect width="1" height="1"/></svg>'


@pytest.mark.parametrize(
    ("form", "extra"),
    [
        ("html", ("--paper", "letter")),
        ("html", ("--bundle", "files")),
        ("html", ("--certificate", "chain.pem")),
        ("json", ("--with-artifacts",)),
        ("xlsx", ("--paper", "letter")),
    ],
)
def test_what_a_form_has_no_place_for_is_refused(
    form: str, extra: tuple[str, ...], place: Path, cli: Cli
) -> None:
    """An extra that the form would pass over is an error, and nothing is written."""
    name = f"packet.{ENDINGS[form]}"
    said = cli(*PACKET, "--format", form, "-o", name, *extra)
    assert said.code == 2 and "usage.format" in said.err
    assert extra[0] in said.err
    assert not (place / name).exists() and not (place / "files").exists()


@pytest.mark.parametrize("form", ENDINGS)
def test_one_cover_does_for_all_forms(form: str, place: Path, cli: Cli) -> None:
    """A look that the form cannot show is left out and noted; a page without it verifies whole."""
    (place / "logo.svg").write_text(PIXEL)
    (place / "cover.yaml").write_text(f'{COVER}logo: logo.svg\naccent: "#1d5a91"\n')
    name = f"packet.{ENDINGS[form]}"
    asked = (*PACKET, "--format", form, "-o", name, "--cover", "cover.yaml")
    said = cli(*asked)
    assert said.code == 0 and "note: the cover's logo has no place" in said.err
    assert ("the cover's accent has no place" in said.err) == (form != "html")
    assert len(cli(*asked, "--json").json["data"]["warnings"]) == (1 if form == "html" else 2)
    if form == "html":
        checks = cli("verify", name, "--json").json["data"]["checks"]
        assert {c["name"]: c["outcome"] for c in checks}["page"] == "held"


def test_the_library_refuses_what_the_command_refuses(place: Path) -> None:
    """``Workspace.packet`` passes nothing over in silence either, and says the same."""
    workspace = Workspace(place)
    with pytest.raises(InputError) as caught:
        workspace.packet(form="json", paper="letter")
    assert caught.value.code == "usage.format"
    workspace.storage.close()


@pytest.mark.parametrize("form", ENDINGS)
def test_sample_and_cover_are_in_every_form(form: str, place: Path, cli: Cli) -> None:
    """What was drawn and what the reviewer says are in the file, whatever its form."""
    (place / "cover.yaml").write_text(COVER)
    path = place / f"packet.{ENDINGS[form]}"
    extras = ("--sample", "2", "--cover", "cover.yaml")
    assert cli(*PACKET, "--format", form, "-o", path.name, *extras).code == 0
    if form == "xlsx":
        book = load_workbook(path)
        rows = list(book["Test sample"].values)
        assert rows[0][-2:] == ("Outcome", "Note") and len(rows) == 3
        assert ("The reviewer’s conclusion", "Not ready.") in list(book["About"].values)
        return
    text = path.read_text("utf-8")
    assert "Not ready." in text and "Head of Risk" in text
    if form == "json":
        assert len(json.loads(text)["data"]["sample"]["records"]) == 2
    else:
        assert "2 records of 5 about" in text and "muniment-sample/v1" in text


def test_a_page_with_everything_verifies(place: Path, cli: Cli) -> None:
    """Sample, artifacts and cover are checked as in a PDF; that nobody signed the words is said."""
    (place / "cover.yaml").write_text(f'{COVER}accent: "#7a1f3d"\n')
    extras = ("--sample", "2", "--cover", "cover.yaml", "--with-artifacts")
    assert cli(*PACKET, "--format", "html", "-o", "packet.html", *extras).code == 0
    said = cli("verify", "packet.html", "--json")
    outcomes = {check["name"]: check["outcome"] for check in said.json["data"]["checks"]}
    assert said.code == 0
    assert outcomes["sample"] == outcomes["page"] == outcomes["artifacts"] == "held"
    beyond = next(c for c in said.json["data"]["checks"] if c["name"] == "beyond")
    assert any("the reviewer's words" in text for text in beyond["not_checked"])
    page = (place / "packet.html").read_text("utf-8")
    (place / "packet.html").write_text(page.replace("Not ready.", "All ready."), "utf-8")
    assert cli("verify", "packet.html").code == 1


def test_no_form_but_the_pdf_is_recorded(place: Path, cli: Cli) -> None:
    """The ledger is as it was, and the answer names no record."""
    before = cli("record", "list", "--json").json["data"]
    said = cli(*PACKET, "--format", "html", "-o", "packet.html", "--json").json["data"]
    assert said["record"] is None and said["bundle"] is None
    assert cli("record", "list", "--json").json["data"] == before


def test_a_page_extends_an_old_one(place: Path, cli: Cli) -> None:
    """``verify PAGE --since OLD`` holds for a page of the same ledger and size."""
    for name in ("old.html", "new.html"):
        assert cli(*PACKET, "--format", "html", "-o", name).code == 0
    said = cli("verify", "new.html", "--since", "old.html", "--json")
    outcomes = {check["name"]: check["outcome"] for check in said.json["data"]["checks"]}
    assert said.code == 0 and outcomes["since"] == outcomes["page"] == "held"


def test_the_page_is_verified_like_a_pdf(place: Path, cli: Cli) -> None:
    """It holds against the workspace's root; changed, it is a no; ``--vkey`` is for receipts."""
    assert cli(*PACKET, "--format", "html", "-o", "packet.html").code == 0
    said = cli("verify", "packet.html")
    assert said.code == 0 and "root.pinned" in said.out
    assert "a web page carries no signature" in said.out
    text = (place / "packet.html").read_text("utf-8")
    (place / "packet.html").write_text(text.replace("Not verified yet.", "Verified."), "utf-8")
    said = cli("verify", "packet.html", "--json")
    assert said.code == 1
    findings = [item for check in said.json["data"]["checks"] for item in check["findings"]]
    assert [item["code"] for item in findings] == ["page.differs"]
    assert "Not verified yet." in findings[0]["expected"]
    assert cli("verify", "packet.html", "--vkey", "x").code == 2


def test_a_page_is_an_old_checkpoint(place: Path, cli: Cli) -> None:
    """``verify --since`` takes a page, as it takes a PDF; a broken one is an error."""
    assert cli(*PACKET, "--format", "html", "-o", "packet.html").code == 0
    said = cli("verify", "--since", "packet.html")
    assert said.code == 0 and "since" in said.out
    page = (place / "packet.html").read_bytes()
    (place / "packet.html").write_bytes(page.replace(b'{"files":', b'{"file":'))
    said = cli("verify", "--since", "packet.html")
    assert said.code == 2 and "since.malformed" in said.err


def test_another_page_is_no_packet(place: Path, cli: Cli) -> None:
    """A web page without proofs is a no, not a failure."""
    (place / "other.html").write_text("<!DOCTYPE html><p>Verified!")
    said = cli("verify", "other.html")
    assert said.code == 1 and "packet.malformed" in said.out


def test_markdown_begins_with_what_the_gate_blocks_on(place: Path, cli: Cli) -> None:
    """The matrix of the profile's own framework stands first, wherever it was asked for."""
    asked = ("--framework", "nist-ai-rmf-1.0", "--framework", "readiness-gate")
    assert cli("packet", *asked, "--format", "markdown", "-o", "packet.md").code == 0
    matrix = (place / "packet.md").read_text("utf-8").partition("## Control matrix")[2]
    first, second = re.findall("<summary>(.*?) controls</summary>", matrix)
    assert first.startswith("Production-readiness gate") and second.startswith("NIST AI RMF")
