"""Exports as OSCAL, read back and validated by ``compliance-trestle``.

Run with ``pytest -m interop``. It runs in an environment of its own, as it pins much of what it
needs.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from muniment.controls.catalog import load_catalogs

pytestmark = pytest.mark.interop

Trestle = Callable[..., "subprocess.CompletedProcess[str]"]
RELEASE = "compliance-trestle==3.12.4"
"""The last release for OSCAL 1.1."""


@pytest.fixture(scope="session")
def trestle(tmp_path_factory: pytest.TempPathFactory) -> Trestle:
    """Run ``trestle`` in a folder."""
    folder = tmp_path_factory.mktemp("trestle")
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    pip = [str(folder / "bin/python"), "-m", "pip", "--quiet", "--disable-pip-version-check"]
    if subprocess.run([*pip, "install", RELEASE], check=False).returncode:
        pytest.skip(f"{RELEASE} cannot be installed here")

    def run(where: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [str(folder / "bin/trestle"), *arguments]
        return subprocess.run(command, cwd=where, capture_output=True, text=True, check=False)

    return run


@pytest.fixture(scope="session")
def written(sample: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample's coverage over every catalog that ships."""
    folder = tmp_path_factory.mktemp("oscal") / "out"
    sample.workspace.export_oscal(folder, frameworks=[item.id for item in load_catalogs()])
    return folder


def taken_in(run: Trestle, where: Path, file: Path) -> subprocess.CompletedProcess[str]:
    """Import one file; a dot in the name would be taken for an ending."""
    return run(where, "import", "-f", str(file), "-o", file.stem.replace(".", "-"))


def test_every_file_is_read_and_validated(trestle: Trestle, written: Path, tmp_path: Path) -> None:
    """Trestle reads every file of an export, and each passes all its validators."""
    assert trestle(tmp_path, "init").returncode == 0
    files = sorted(written.glob("*.json"))
    assert {"profile.json", "assessment-results.json", "poam.json"} < {file.name for file in files}
    for file in files:
        done = taken_in(trestle, tmp_path, file)
        assert done.returncode == 0, done.stdout + done.stderr
    assert (written / "poam.json").read_text().count('"deviation-approved"') == 2
    done = trestle(tmp_path, "validate", "--all")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("VALID: ") == len(files)


def test_the_profile_resolves(trestle: Trestle, written: Path, tmp_path: Path) -> None:
    """Trestle finds the controls that block in the catalog that the profile imports."""
    trestle(tmp_path, "init")
    for file in (written / "profile.json", *written.glob("catalog-*.json")):
        taken_in(trestle, tmp_path, file)
    profile = json.loads((written / "profile.json").read_text())["profile"]
    for number, item in enumerate(profile["imports"]):
        name = item["href"].removesuffix(".json").replace(".", "-")
        href = f"trestle://catalogs/{name}/catalog.json"
        chosen = ["href", "-n", "profile", "-hr", href, "-i", str(number)]
        assert trestle(tmp_path, *chosen).returncode == 0
    done = trestle(tmp_path, "author", "profile-resolve", "-n", "profile", "-o", "resolved")
    assert done.returncode == 0, done.stdout + done.stderr
    text = (tmp_path / "catalogs/resolved/catalog.json").read_text()
    wanted = [i for item in profile["imports"] for i in item["include-controls"][0]["with-ids"]]
    assert wanted and all(f'"{control}"' in text for control in wanted)


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        ("assessment-results.json", '"not-satisfied"', '"perhaps"'),
        ("poam.json", '"poam-items"', '"items"'),
        ("profile.json", '"imports"', '"import"'),
    ],
)
def test_a_wrong_file_would_be_found(
    trestle: Trestle, written: Path, tmp_path: Path, name: str, before: str, after: str
) -> None:
    """The checks above can fail."""
    trestle(tmp_path, "init")
    text = (written / name).read_text()
    assert before in text
    (tmp_path / "changed.json").write_text(text.replace(before, after))
    assert taken_in(trestle, tmp_path, tmp_path / "changed.json").returncode != 0
