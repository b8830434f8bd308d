"""The commands that a packet prints for readers without Muniment."""

from __future__ import annotations

import json
import re
import subprocess
from importlib import resources
from pathlib import Path

import pytest

DATA = Path(__file__).parent / "data"


def run(script: str, bundle: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    text = resources.files("muniment.reports").joinpath("templates", script).read_text("utf-8")
    command = text.replace("RECEIPT", str(bundle))
    return subprocess.run(
        ["bash", "-euc", command], capture_output=True, text=True, cwd=folder, check=False
    )


@pytest.fixture
def bundle() -> Path:
    return DATA / "bundle_ec.json"


def test_openssl_accepts_a_record(bundle: Path, tmp_path: Path) -> None:
    """The printed commands print the statement and the key's fingerprint and say Verified OK."""
    done = run("signature.sh", bundle, tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.rstrip().endswith("Verified OK")
    assert "SHA256:KF/O6vGohQhqPQFk4G7MiPhAseUQsTArvmig6aW+t/o" in done.stdout


def test_openssl_refuses_a_changed_record(bundle: Path, tmp_path: Path) -> None:
    """The printed commands fail on another payload."""
    value = json.loads(bundle.read_text())
    value["dsseEnvelope"]["payload"] = "e30="
    changed = tmp_path / "changed.json"
    changed.write_text(json.dumps(value))
    done = run("signature.sh", changed, tmp_path)
    assert done.returncode != 0
    assert "Verified OK" not in done.stdout


def test_python_computes_the_root(bundle: Path, tmp_path: Path) -> None:
    """The printed commands compute the checkpoint's root hash from one receipt."""
    done = run("inclusion.sh", bundle, tmp_path)
    assert done.stdout.strip() == "3x0FrwRTE4RwgzN0Gfy2fUVUXaBuCyFx+mOkk/lKYw4="


@pytest.mark.parametrize("script", ["signature.sh", "inclusion.sh"])
def test_commands_fit_the_page(script: str) -> None:
    """No printed line is wrapped, or it could not be copied."""
    text = resources.files("muniment.reports").joinpath("templates", script).read_text("utf-8")
    assert max(len(line) for line in re.split("\n", text)) <= 98
