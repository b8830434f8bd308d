"""The benchmarks run; what they measure is for people to read."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path


def _run(*arguments: str) -> str:
    command = [sys.executable, "-m", "benchmarks", *arguments]
    root = Path(__file__).parents[1]
    return subprocess.run(command, cwd=root, check=True, capture_output=True, text=True).stdout


def test_list_names_every_subject() -> None:
    """Every module with cases is listed, with what it measures."""
    listed = [line.split(maxsplit=1) for line in _run("--list").splitlines()]
    files = Path(__file__).parents[1].joinpath("benchmarks").glob("*.py")
    assert {name for name, _ in listed} == {
        file.stem for file in files if "def cases(" in file.read_text()
    }


def test_a_small_run_compares_with_its_floors() -> None:
    """A run of fifty records answers a rate for each case, and a ratio for each that has floors."""
    document = json.loads(
        _run("verify", "append", "receipt", "--size", "50", "--rounds", "1", "--json")
    )
    for found in document["results"].values():
        floors = {item["case"] for item in found if not item["ratios"]}
        assert floors and len(floors) < len(found)
        for item in found:
            assert item["per_second"] > 0
            assert set(item["ratios"]) <= {other["case"] for other in found} - {item["case"]}
