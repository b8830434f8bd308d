"""An exported tile tree, checked by Go's ``sumdb/tlog`` and ``sumdb/note``.

Run with ``pytest -m interop``. It needs a Go of 1.18 or newer and ``golang.org/x/mod``, both as
Debian packages them: ``golang-go`` and ``golang-golang-x-mod-dev``.
"""

from __future__ import annotations

import base64
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.interop

CHECKER = Path(__file__).with_name("check.go")
GOPATH = Path("/usr/share/gocode")

Go = Callable[[Path], "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def go(tmp_path_factory: pytest.TempPathFactory) -> Go:
    """Check a folder with Go."""
    compiler = shutil.which("go")
    if compiler is None:
        pytest.skip("Go is not installed: Debian's golang-go")
    if not (GOPATH / "src/golang.org/x/mod/sumdb/tlog").is_dir():
        pytest.skip("Go's x/mod is not installed: Debian's golang-golang-x-mod-dev")
    folder = tmp_path_factory.mktemp("go")
    program = folder / "check"
    environment = {
        **os.environ,
        "GO111MODULE": "off",
        "GOPATH": str(GOPATH),
        "GOCACHE": str(folder / "cache"),
        "GOFLAGS": "",
    }
    subprocess.run([compiler, "build", "-o", program, CHECKER], env=environment, check=True)
    return lambda tiles: subprocess.run([program, tiles], capture_output=True, text=True)


@pytest.fixture
def tiles(exported: Any, tmp_path: Path) -> Path:
    """A copy of the exported tile tree, to edit."""
    return Path(shutil.copytree(exported.folder / "tiles", tmp_path / "tiles"))


def test_go_accepts_the_export(go: Go, exported: Any, tiles: Path) -> None:
    """Go verifies the checkpoint with our vkey, proves each of a thousand leaves under it from the
    tiles, and finds every earlier checkpoint to be of the same tree."""
    done = go(tiles)
    root = base64.b64encode(exported.checkpoint.root).decode()
    assert (done.returncode, done.stdout) == (0, f"1000 {root}\n"), done.stderr


@pytest.mark.parametrize(
    "name",
    [
        "checkpoint",
        "checkpoints.jsonl",
        "tile/0/001",
        "tile/0/003.p/232",
        "tile/1/000.p/3",
        "tile/entries/002",
        "tile/entries/003.p/232",
    ],
)
def test_go_refuses_one_changed_byte(go: Go, tiles: Path, name: str) -> None:
    """One bit of one file changed, and Go refuses."""
    data = bytearray((tiles / name).read_bytes())
    # The root of the first checkpoint but the last; for tiles a hash or leaf in the middle.
    at = data.index(b"\\n3\\n") + 8 if name.endswith(".jsonl") else len(data) // 2
    data[at] ^= 1
    (tiles / name).write_bytes(bytes(data))
    assert go(tiles).returncode != 0
