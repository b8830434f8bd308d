"""``muniment packet``: cover notes, paper, a workspace's templates."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pikepdf
import pytest
from PIL import Image

from muniment.reports import verifypages
from muniment.reports.signature import read_attachments
from muniment.reports.verify import verify_packet

from .conftest import Cli
from .test_answers import says

SVG = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9"><rect width="9" height="9"/></svg>'
ASKED = ("packet", "--framework", "readiness-gate", "-o", "out.pdf")


def test_a_packet_on_letter_paper_with_a_cover_verifies(place: Path, cli: Cli) -> None:
    """What a reviewer and a workspace add leaves the packet's proof whole."""
    (place / "cover.yaml").write_text("conclusions: Not ready.\naccent: '#1d5a91'\n")
    (place / "packet").mkdir()
    (place / "packet" / "closing.html").write_text('{% extends "muniment/closing.html" %}')
    assert cli(*ASKED, "--cover", "cover.yaml", "--paper", "letter").code == 0
    with pikepdf.open(io.BytesIO((place / "out.pdf").read_bytes())) as pdf:
        assert [round(float(side)) for side in pdf.pages[0].mediabox] == [0, 0, 612, 792]
        names = [str(name) for name in list(pdf.Root.Names.Dests.Names)[::2]]
    assert {"reviewer", "templates", "custody"} <= set(names)
    assert cli("verify", "out.pdf").code == 0


def test_what_is_wrong_is_said_before_anything_is_verified(place: Path, cli: Cli) -> None:
    """A bad cover, paper or template is bad input, and no file is written."""
    (place / "cover.yaml").write_text("accent: yellow\n")
    says(cli(*ASKED, "--cover", "cover.yaml"), 2, "cover.malformed", "accent")
    says(cli(*ASKED, "--cover", "nowhere.yaml"), 2, "file.missing")
    says(cli(*ASKED, "--paper", "a5"), 2, "packet.paper", "letter")
    (place / "packet").mkdir()
    (place / "packet" / "odd.html").write_text("x")
    says(cli(*ASKED), 2, "template.unknown", "odd.html")
    (place / "packet" / "odd.html").unlink()
    (place / "packet" / "closing.html").write_text("{{ nothing }}")
    says(cli(*ASKED), 3, "report.template", "packet/closing.html, line 1")
    assert not (place / "out.pdf").exists()


@pytest.mark.parametrize("name", ["logo.png", "logo.svg"])
def test_pages_with_a_logo_are_set_again(
    place: Path, cli: Cli, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The packet embeds its logo, so that whoever verifies sets the same pages; a logo does not
    free a signer from having to print what follows from the data."""
    Image.new("RGBA", (40, 20), (10, 80, 60, 200)).save(place / "logo.png")
    (place / "logo.svg").write_text(SVG)
    data = (place / name).read_bytes()
    (place / "cover.yaml").write_text(f"logo: {name}\naccent: '#1d5a91'\n")
    assert cli(*ASKED, "--cover", "cover.yaml").code == 0
    pdf = (place / "out.pdf").read_bytes()
    files = read_attachments(pdf)
    assert files[name] == data
    listed = json.loads(files["manifest.json"])["files"]
    assert name in {item["name"] for item in listed}
    said = cli("verify", "out.pdf", "--json")
    assert said.code == 0
    outcomes = {item["name"]: item["outcome"] for item in said.json["data"]["checks"]}
    assert outcomes["rendering"] == "held"
    monkeypatch.setattr(verifypages, "render", lambda packet, files: b"%PDF-1.7 other pages")
    assert {found.code for found in verify_packet(place / "out.pdf").findings} == {
        "pages.not-these"
    }
