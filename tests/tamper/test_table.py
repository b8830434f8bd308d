"""The threat table in ``docs/security.md``: every test that it names is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
NAMED = re.findall(
    r"`((?:\w+/)*test_\w+\.py)(?:::(\w+))?`",
    (TESTS.parent / "docs" / "security.md").read_text("utf-8"),
)


def test_the_table_names_tests() -> None:
    """The pattern below finds them."""
    assert len(NAMED) > 40


@pytest.mark.parametrize(("file", "name"), sorted(set(NAMED)))
def test_a_named_test_is_there(file: str, name: str) -> None:
    """File and function are where the table says."""
    text = (TESTS / file).read_text("utf-8")
    assert not name or f"\ndef {name}(" in text
