"""The tree: what is exported, what must never be committed."""

from __future__ import annotations

import importlib
import re
import subprocess
from pathlib import Path

import pytest

import muniment

ROOT = Path(__file__).parents[2]
FOLDERS = ("schemas", "evidence", "controls", "reports", "cli", "src", "tests", "benchmarks")
MOST_LINES = 700
LOCK_FILES = {
    "uv.lock",
    "poetry.lock",
    "pdm.lock",
    "pylock.toml",
    "Pipfile.lock",
    "package-lock.json",
}
# Written in pieces, so that this file does not hold what it looks for.
MACHINE_PATHS = re.compile(
    "|".join(["/wo" + "rk/", "/ro" + "ot/", "/tmp/" + "venv", "/ho" + r"me/(?!ml/|ada/|\")[a-z]"])
)
REGISTRIES = re.compile(
    r"\b("
    + "|".join(
        [
            "pypi" + r"\.org",
            "python" + r"hosted\.org",
            "npm" + r"js\.(org|com)",
            "proxy" + r"\.golang\.org",
            "crates" + r"\.io",
        ]
    )
    + r")\b"
)


def tracked() -> list[Path]:
    """Files under version control, or about to be."""
    done = subprocess.run(
        ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        capture_output=True,
        check=False,
    )
    if done.returncode:
        pytest.skip("not a clone: no list of files")
    found = [ROOT / name for name in done.stdout.decode().split("\0") if name]
    return [path for path in found if path.is_file()]


def texts() -> list[tuple[Path, str]]:
    found = []
    for path in tracked():
        data = path.read_bytes()
        if b"\0" not in data:
            found.append((path, data.decode("utf-8", "replace")))
    assert len(found) > 100
    return found


def modules_with_exports() -> list[str]:
    found = []
    for folder in FOLDERS[:6]:
        base = ROOT / "src" if folder == "src" else ROOT
        for path in (ROOT / folder).rglob("*.py"):
            if re.search(r"^__all__\b", path.read_text("utf-8"), re.M):
                inner = path.relative_to(base).with_suffix("").parts
                name = inner[:-1] if inner[-1] == "__init__" else inner
                found.append(".".join(name if folder == "src" else ("muniment", *name)))
    return sorted(set(found))


def test_exports_are_found_where_they_are() -> None:
    """The test below looks at the public package at least."""
    assert {"muniment", "muniment.reports.workspace"} <= set(modules_with_exports())


@pytest.mark.parametrize("name", modules_with_exports())
def test_all_is_sorted_and_true(name: str) -> None:
    """``__all__`` holds no name twice, none that is not there, in one order."""
    module = importlib.import_module(name)
    exported = module.__all__
    assert len(set(exported)) == len(exported)
    constants = [item for item in exported if item.isupper()]
    others = [item for item in exported if not item.isupper()]
    classes = sorted(item for item in others if item[0].isupper())
    rest = sorted(item for item in others if not item[0].isupper())
    assert list(exported) == [*sorted(constants), *classes, *rest]
    for item in exported:
        assert getattr(module, item) is not None


def test_the_public_package_shows_what_it_exports() -> None:
    """Every public name of ``muniment`` loads, and an unknown one is an ordinary fault."""
    from muniment.reports.workspace import Workspace
    from muniment.schemas.errors import MunimentError

    assert muniment.Workspace is Workspace
    assert muniment.MunimentError is MunimentError
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = muniment.nothing


@pytest.mark.parametrize("folder", FOLDERS)
def test_no_file_is_too_long(folder: str) -> None:
    """No Python file of the product is over 700 lines."""
    for path in (ROOT / folder).rglob("*.py"):
        if folder == "tests":
            continue
        lines = len(path.read_text("utf-8").splitlines())
        assert lines <= MOST_LINES, f"{path.relative_to(ROOT)} has {lines} lines"


def test_no_lock_file_is_kept() -> None:
    """Versions are pinned by constraints.txt, not by one tool's lock file."""
    assert not [path for path in tracked() if path.name in LOCK_FILES]


def test_no_file_names_a_machine() -> None:
    """No path of the machine a file was written on is kept."""
    found = [
        f"{path.relative_to(ROOT)}: {match[0]}"
        for path, text in texts()
        if (match := MACHINE_PATHS.search(text))
    ]
    assert not found


def test_no_file_names_a_registry() -> None:
    """Where packages come from is the business of whoever installs."""
    found = [
        f"{path.relative_to(ROOT)}: {match[0]}"
        for path, text in texts()
        if (match := REGISTRIES.search(text))
    ]
    assert not found


def test_no_private_key_is_kept() -> None:
    """A private key in the tree is either a leak or a test that should make its own."""
    begin = re.compile("-----BEGIN [A-Z ]*PRIV" + "ATE KEY-----\n[A-Za-z0-9+/=\n]{60}")
    found = [str(path.relative_to(ROOT)) for path, text in texts() if begin.search(text)]
    assert not [name for name in found if not name.startswith("tests/")]
