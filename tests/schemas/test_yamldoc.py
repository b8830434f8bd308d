"""YAML from people: plain data only."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muniment.schemas.errors import InputError
from muniment.schemas.yamldoc import load, load_mapping

GOOD: dict[str, tuple[str, Any]] = {
    "mapping": ("a: 1\nb: [x, 2.5, true, null]", {"a": 1, "b": ["x", 2.5, True, None]}),
    "dates stay text": ("on: 2026-01-31", {True: "2026-01-31"}),
    "times stay text": ("at: 2026-01-31T09:30:00Z", {"at": "2026-01-31T09:30:00Z"}),
    "plain tags": ("a: !!str 5\nb: !!int '7'", {"a": "5", "b": 7}),
    "empty": ("", None),
    "comment": ("# nothing", None),
    "text in quotes": ("a: '*x &y !!z'", {"a": "*x &y !!z"}),
}


@pytest.mark.parametrize("name", GOOD)
def test_good_documents(name: str) -> None:
    """Each document reads to plain data."""
    text, expected = GOOD[name]
    assert load(text, what="it") == expected
    assert load(text.encode(), what="it") == expected


BAD: dict[str, str | bytes] = {
    "python object": "!!python/object/apply:os.system ['true']",
    "python name": "a: !!python/name:os.system",
    "own tag": "a: !thing {b: 1}",
    "date by tag": "a: !!timestamp 2026-01-31",
    "binary": "a: !!binary aGVsbG8=",
    "set": "a: !!set {b, c}",
    "ordered mapping": "a: !!omap [b: 1]",
    "pairs": "a: !!pairs [b: 1]",
    "alias": "a: &x [1]\nb: *x",
    "laughs": "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]",
    "merge by alias": "a: &a {x: 1}\nb:\n  <<: *a",
    "duplicate key": "a: 1\na: 2",
    "duplicate nested key": "a:\n  b: 1\n  b: 2",
    "duplicate by quotes": "a: 1\n'a': 2",
    "list as key": "? [a]\n: 1",
    "mapping by tag on a text": "a: !!map text",
    "two documents": "a: 1\n---\nb: 2",
    "tab": "a:\n\t- b",
    "open list": "a: [1, 2",
    "not UTF-8": b"a: \xff\xfe\xff",
    "control character": b"a: \x1b[31m",
    "deep": "[" * 2000,
    "too large": b"#" * (4 << 20) + b"#",
    "integer by tag": "a: !!int x",
}


@pytest.mark.parametrize("name", BAD)
def test_bad_documents(name: str) -> None:
    """Each is refused, with what was read in the message, on one line."""
    with pytest.raises(InputError) as caught:
        load(BAD[name], what="body.yaml")
    assert caught.value.code == "yaml.malformed"
    assert caught.value.message.startswith("body.yaml")
    assert "\n" not in caught.value.message


@given(st.text(alphabet="ab:[]{}-&*!|>'\"#,?% \n\t0.", max_size=30) | st.binary(max_size=30))
def test_any_text_gives_our_errors_only(text: str | bytes) -> None:
    """Whatever is in the file, data comes out or an error of ours."""
    try:
        load(text, what="it")
    except InputError as error:
        assert error.code == "yaml.malformed"


def test_files(tmp_path: Path) -> None:
    """A file holds one mapping with names for keys; an empty one is an empty mapping."""
    path = tmp_path / "body.yaml"
    path.write_text("a: 1")
    assert load_mapping(path, what="it") == {"a": 1}
    path.write_text("")
    assert load_mapping(path, what="it") == {}
    for text in ("- a", "5", "text", "5: a", "true: a"):
        path.write_text(text)
        with pytest.raises(InputError) as caught:
            load_mapping(path, what="it")
        assert caught.value.code == "yaml.malformed"


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    """A missing file and a folder each have their code."""
    for path, code in [(tmp_path / "no.yaml", "file.missing"), (tmp_path, "file.special")]:
        with pytest.raises(InputError) as caught:
            load_mapping(path, what="it")
        assert caught.value.code == code
