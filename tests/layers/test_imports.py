"""Layers: who may import whom, and what is loaded when."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ALLOWED = {
    "schemas": {"schemas"},
    "evidence": {"schemas", "evidence"},
    "controls": {"schemas", "controls"},
    "reports": {"schemas", "evidence", "controls", "reports"},
    "cli": {"schemas", "evidence", "controls", "reports", "cli"},
}
SQL = {"sqlmodel", "sqlalchemy", "sqlite3", "psycopg"}
PROCESSES = {"subprocess", "multiprocessing", "git"}
HEAVY = {
    "weasyprint",
    "pyhanko",
    "pikepdf",
    "git",
    "sqlmodel",
    "sqlalchemy",
    "jinja2",
    "rich",
    "jsonschema_rs",
    "cel",
    "yaml",
    "cryptography",
    "fontTools",
}


def sources(folder: str) -> list[Path]:
    found = sorted((ROOT / folder).rglob("*.py"))
    assert found, folder
    return found


def imports(path: Path) -> Iterator[tuple[str, int]]:
    """Absolute name and line of everything a file imports, at any depth."""
    package = ["muniment", *path.relative_to(ROOT).parent.parts]
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            name = ".".join([*base, *([node.module] if node.module else [])])
            if name in ("muniment", ".".join(base)):
                yield from ((f"{name}.{alias.name}", node.lineno) for alias in node.names)
            else:
                yield name, node.lineno


def test_the_reader_of_imports_sees_every_form() -> None:
    """Relative, absolute and nested imports are all seen, with their full names."""
    seen = {name for name, _ in imports(ROOT / "evidence" / "collectors" / "__init__.py")}
    assert {"muniment.evidence.collectors.junit", "muniment.schemas.errors"} <= seen
    assert "muniment.evidence.collectors.document" in seen
    nested = {name for name, _ in imports(ROOT / "cli" / "review.py")}
    assert "muniment.reports.verifyfile" in nested


@pytest.mark.parametrize("folder", ALLOWED)
def test_a_package_imports_only_those_to_its_left(folder: str) -> None:
    """schemas <- evidence, controls <- reports <- cli; evidence and controls do not meet."""
    ours = {"__version__"} | ALLOWED[folder]
    for path in sources(folder):
        for name, line in imports(path):
            parts = name.split(".")
            if parts[0] == "muniment":
                assert parts[1] in ours, f"{path.relative_to(ROOT)}:{line} imports {name}"


@pytest.mark.parametrize("folder", ALLOWED)
def test_within_the_tree_nothing_is_imported_by_folder_name(folder: str) -> None:
    """The import name is ``muniment.evidence``, never a top-level ``evidence``."""
    for path in sources(folder):
        for name, line in imports(path):
            top = name.split(".")[0]
            assert top not in ALLOWED, f"{path.relative_to(ROOT)}:{line} imports {name}"


def test_only_the_storage_module_knows_sql() -> None:
    """A change of database touches storage and its tables."""
    users = {
        path.relative_to(ROOT).as_posix()
        for folder in ALLOWED
        for path in sources(folder)
        for name, _ in imports(path)
        if name.split(".")[0] in SQL
    }
    assert users == {
        f"evidence/{name}.py" for name in ("database", "scrub", "storage", "tables", "versions")
    }


def test_the_proof_core_does_no_input_or_output() -> None:
    """Tree, envelope and note are bytes in, bytes or an error out."""
    outside = SQL | PROCESSES | {"os", "pathlib", "time", "socket", "urllib", "shutil", "tempfile"}
    for name in ("merkle", "dsse", "note", "checkpoint", "leaf", "tiles", "entry"):
        path = ROOT / "evidence" / f"{name}.py"
        used = {imported.split(".")[0] for imported, _ in imports(path)}
        assert not used & outside, path.name


@pytest.mark.parametrize(
    "code",
    [
        "import muniment",
        "import muniment.cli.app",
        "import muniment.cli.app as it; it.run(['--help'])",
        "import muniment.cli.app as it; it.run(['attach', '--help'])",
        "import muniment.cli.app as it; it.run(['--version'])",
    ],
)
def test_start_up_loads_no_heavy_library(code: str) -> None:
    """``--help`` answers without any library that only work needs."""
    report = "import sys; print(sorted({name.split('.')[0] for name in sys.modules}))"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\n{report}"], capture_output=True, text=True, check=True
    )
    loaded = set(ast.literal_eval(done.stdout.splitlines()[-1]))
    assert "muniment" in loaded
    assert not loaded & HEAVY


def test_help_is_really_shown_without_the_heavy_libraries() -> None:
    """The real command shows its help where no heavy library can be imported at all."""
    block = f"import sys\nfor name in {sorted(HEAVY)}: sys.modules[name] = None\n"
    run = "from muniment.cli.app import run\nraise SystemExit(run(['verify', '--help']))"
    done = subprocess.run(
        [sys.executable, "-c", block + run], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "Verify the whole ledger" in done.stdout
