"""Reading the sample files, and edited copies of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from muniment.evidence.collectors import Collected, collect

DATA = Path(__file__).parent / "data"


@pytest.fixture
def sample() -> Callable[[str], bytes]:
    """The bytes of a sample file."""
    return lambda name: (DATA / name).read_bytes()


@pytest.fixture
def draft() -> Callable[..., Collected]:
    """What is drafted from a sample file, or from bytes or a JSON value given instead of it."""

    def read(name: str, content: Any = None) -> Collected:
        if content is None:
            content = (DATA / name).read_bytes()
        elif not isinstance(content, bytes):
            content = json.dumps(content).encode()
        collected = collect(content, Path(name).name)
        assert collected is not None
        return collected

    return read


@pytest.fixture
def loaded() -> Callable[[str], Any]:
    """The JSON value of a sample file, to edit."""
    return lambda name: json.loads((DATA / name).read_bytes())
