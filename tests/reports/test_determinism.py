"""The same ledger, options and ``--as-of``: the same bytes before signing, wherever that is.

``data/packet-bytes.json`` holds the digest of one packet and what set it; every machine with the
same libraries must come to it. Where pages, catalogs, embedded files or the version change on
purpose, record it anew with ``.venv/bin/python -m tests.reports.test_determinism``.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from muniment.evidence.keyfiles import CONFIG_VARIABLE, KeyFiles
from muniment.evidence.keys import SigningKey
from muniment.reports import printed
from muniment.reports.workspace import Holder, Workspace
from muniment.schemas.record import Role

from ..cli.conftest import MUNIMENT, STORY, isolated, make_repository, run_all
from ..conftest import START

ROOT = Path(__file__).parents[2]
RECORDED = Path(__file__).parent / "data" / "packet-bytes.json"
COMMAND = ".venv/bin/python -m tests.reports.test_determinism"
OWN = ("muniment", "code")
"""Of what sets a packet, that which a change of Muniment itself changes."""
AS_OF = START + timedelta(days=30)
FORMS = ("pdf", "html", "markdown", "json", "xlsx")

_SCRIPT = """
import json, sys
from pathlib import Path
from tests.reports.test_determinism import made
print(json.dumps(made(Path(sys.argv[1]))))
"""
_OTHER_FONTS = """<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "urn:fontconfig:fonts.dtd">
<fontconfig>
<dir>/usr/share/fonts</dir>
<match target="pattern"><edit name="family" mode="assign" binding="strong">
<string>DejaVu Serif</string></edit></match>
<match target="font"><edit name="hinting" mode="assign"><bool>true</bool></edit>
<edit name="embolden" mode="assign"><bool>true</bool></edit></match>
</fontconfig>
"""


def made(folder: Path) -> dict[str, Any]:
    """The digest of the fixed packet, made in a new folder, and what set it.

    For a process of its own: keys, clock and random numbers of this one are no longer random.
    """
    os.environ[CONFIG_VARIABLE] = str(folder / "config")
    numbers = itertools.count()
    patch = pytest.MonkeyPatch()
    patch.setattr("muniment.evidence.workspace.new_ed25519", lambda: _ed25519(1))
    patch.setattr(secrets, "token_hex", lambda size: f"{next(numbers):0{2 * size}x}")
    # NOTE: a packet names a digest of Muniment's own files, which every change of them changes.
    patch.setattr(printed, "_code", lambda: "0" * 64)
    workspace = _ledger(folder)
    pdf = workspace.packet(as_of=AS_OF, cover=folder / "cover.yaml", sample="3")
    workspace.storage.close()
    unsigned = before_signing(pdf)
    with_what = {name: value for name, value in printed.renderer().items() if name not in OWN}
    return {
        "sha256": hashlib.sha256(unsigned).hexdigest(),
        "size": len(unsigned),
        "made_with": with_what,
    }


def _ed25519(number: int) -> SigningKey:
    return SigningKey(ed25519.Ed25519PrivateKey.from_private_bytes(bytes([number] * 32)))


def _ledger(folder: Path) -> Workspace:
    """A ledger of fixed keys, times and salts; Ed25519, for ECDSA signatures are never the same."""
    keys = KeyFiles(folder / "config", lambda name: None)
    keys.save(keys.path("ada"), _ed25519(2), None)
    reviewer = SigningKey(ec.derive_private_key(3, ec.SECP256R1()))
    keys.save(keys.path("rita"), reviewer, None)
    options: dict[str, Any] = {"clock": lambda: START, "key": "ada"}
    ada = Workspace.init(
        folder / "workspace",
        organisation="Beispielbank Öffentlich – Ελλάδα, Київ",
        origin="evidence.example.com",
        frameworks=["nist-ai-rmf-1.0", "iso-42001-2023"],
        holder=Holder("Ada Exámple", "ada@example.com"),
        **options,
    )
    rita = Holder("Rita Exampleß", "rita@example.com")
    ada.people.enrol(reviewer.public, rita, roles=[Role.APPROVER], functions=["risk"])
    owner = {"name": "Ada Exámple", "email": "ada@example.com"}
    ada.attach("system", system="credit@1.0.0", body={**_SYSTEM, "owner": owner})
    for number in range(4):
        ada.attach("eval-result", body=_evaluation(number), controls=["MEASURE 2.3"])
    policy = {
        "title": _TITLE,
        "version": "4",
        "inForceFrom": "2026-01-01",
        "reviewBy": "2030-01-01",
        "owner": owner,
    }
    file = folder / "policy.txt"
    file.write_text("We look before we leap.\n")
    ada.attach("policy", file, body=policy, controls=["GOVERN 1.1"])
    (folder / "cover.yaml").write_text("conclusions: Not ready – yet.\naccent: '#1d5a91'\n")
    ada.storage.close()
    return Workspace(folder / "workspace", key="rita", clock=options["clock"])


_SYSTEM = {
    "name": "Credit risk scoring",
    "purpose": "Scores applications before a person decides.",
    "phase": "pilot",
    "riskTier": "high",
}
_TITLE = "Affairs of the office: fi ffi fl, e\u0301 ñ ø ł, Правила, Κανόνες, 🙂 \u202e" + "A" * 90


def _evaluation(number: int) -> dict[str, Any]:
    return {
        "model": {"name": "model.onnx", "sha256": "a" * 64},
        "dataset": {"name": "held-out", "split": "held-out", "sha256": "b" * 64},
        "evaluated": 1000 + number,
        "metrics": [
            {"name": "AUC", "value": 0.7 + number / 17, "threshold": 0.78, "direction": "higher"},
            {"name": "ECE", "value": 1 / (number + 3), "threshold": 0.3, "direction": "lower"},
        ],
        "checks": [],
    }


def before_signing(signed: bytes) -> bytes:
    """The packet as it was before its first signature: the file begins with it."""
    end = b"%%EOF\n"
    return signed[: signed.index(end) + len(end)]


def _settings(tmp_path: Path) -> list[dict[str, str]]:
    """Two environments that have nothing in common but the program."""
    fonts = tmp_path / "fonts.conf"
    fonts.write_text(_OTHER_FONTS)
    homes = [tmp_path / name for name in ("home", "another home")]
    for home in homes:
        home.mkdir()
    first = {"PYTHONHASHSEED": "1", "TZ": "Asia/Tokyo", "LANG": "C", "LC_ALL": "C"}
    other = {
        "PYTHONHASHSEED": "77",
        "TZ": "America/St_Johns",
        "LANG": "tr_TR.UTF-8",
        "LC_ALL": "de_DE.UTF-8",
        "LANGUAGE": "de:tr",
        "FONTCONFIG_FILE": str(fonts),
        "FONTCONFIG_PATH": str(tmp_path),
        "XDG_CONFIG_HOME": str(homes[1] / "xdg"),
        "SOURCE_DATE_EPOCH": "1",
    }
    return [{**first, "HOME": str(homes[0])}, {**other, "HOME": str(homes[1])}]


def _start(script: str, given: str, folder: Path, env: Mapping[str, str]) -> Any:
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    return subprocess.Popen(
        [sys.executable, "-c", script, given],
        cwd=folder,
        env={**isolated(folder), **env, "PYTHONPATH": path},
        stdout=subprocess.PIPE,
        text=True,
    )


def _answers(processes: list[Any]) -> list[str]:
    said = [process.communicate()[0] for process in processes]
    assert [process.returncode for process in processes] == [0] * len(processes)
    return said


@pytest.fixture(scope="module")
def fixed(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """The fixed packet, made at once in two environments and folders."""
    folder = tmp_path_factory.mktemp("fixed")
    running = []
    for number, env in enumerate(_settings(folder)):
        place = folder / f"place {number}"
        place.mkdir()
        running.append(_start(_SCRIPT, str(place), Path(env["HOME"]), env))
    return [json.loads(answer) for answer in _answers(running)]


def test_two_processes_two_ledgers(fixed: list[dict[str, Any]]) -> None:
    """Time zone, language, hash seed, home, folder and fonts of the machine change no byte: neither
    of the pages nor of what is embedded, of a ledger that is itself made twice."""
    assert fixed[0] == fixed[1]
    assert fixed[0]["size"] > 100_000


def test_the_bytes_of_the_machine_that_recorded_them(fixed: list[dict[str, Any]]) -> None:
    """A machine with the libraries of the one that recorded the packet makes the same bytes."""
    expected = json.loads(RECORDED.read_text())
    here, there = fixed[0]["made_with"], expected["made_with"]
    other = [
        f"{name} {here.get(name)} (recorded with {there.get(name)})"
        for name in sorted({*here, *there})
        if here.get(name) != there.get(name)
    ]
    if other:
        pytest.skip(f"other libraries set pages here: {', '.join(other)}; record with {COMMAND}")
    assert fixed[0] == expected, f"if the packet was changed on purpose: {COMMAND}"


def test_the_command(tmp_path: Path) -> None:
    """Two processes that run ``packet`` over copies of a ledger write in every form the same bytes
    for the same options and ``--as-of``: those of a PDF up to its signature."""
    home = tmp_path / "story"
    make_repository(home / "ws")
    assert run_all(home, STORY) == [0] * len(STORY)
    as_of = ["--as-of", "2030-01-01", "--framework", "nist-ai-rmf-1.0"]
    commands = [["packet", *as_of, "--format", form, "-o", form] for form in FORMS]
    commands[0] += ["--no-record", "--sample", "3", "--with-artifacts"]
    script = MUNIMENT + "sys.exit(max(run(command) for command in json.loads(sys.argv[1])))"
    running, places = [], []
    for number, env in enumerate(_settings(tmp_path)):
        places.append(tmp_path / f"copy {number}" / "ws")
        for name in ("ws", "config"):
            shutil.copytree(home / name, places[-1].parent / name)
        env |= {CONFIG_VARIABLE: str(places[-1].parent / "config")}
        running.append(_start(script, json.dumps(commands), places[-1], env))
    _answers(running)
    for form in FORMS:
        first, second = ((place / form).read_bytes() for place in places)
        if form == "pdf":
            assert first != second, "ECDSA signatures are never the same"
            first, second = before_signing(first), before_signing(second)
        assert first == second, form


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as _folder:
        RECORDED.write_text(json.dumps(made(Path(_folder)), indent=1) + "\n")
    print(f"recorded in {RECORDED.relative_to(ROOT)}")
