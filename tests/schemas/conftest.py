"""The kinds, their schemas and one valid body of each."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

from muniment.schemas import strictjson
from muniment.schemas.kinds import KindRegistry

_DATA = Path(__file__).parent / "data"


@pytest.fixture(scope="session")
def registry() -> KindRegistry:
    """The built-in kinds."""
    return KindRegistry()


@pytest.fixture(scope="session")
def documents() -> dict[str, Any]:
    """Every schema file beside the code, by file name without ending, ``common`` included."""
    folder = resources.files("muniment.schemas").joinpath("kinds")
    return {
        file.name.removesuffix(".json"): strictjson.loads(file.read_bytes(), what=file.name)
        for file in folder.iterdir()
    }


@pytest.fixture
def bodies() -> dict[str, Any]:
    """One valid body per kind, with every field filled; a fresh copy for each test."""
    return {file.stem: json.loads(file.read_bytes()) for file in _DATA.glob("*.json")}
