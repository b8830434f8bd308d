"""Setting one field of a body by its path."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muniment.schemas.errors import InputError
from muniment.schemas.paths import set_path

GOOD: dict[str, tuple[dict[str, Any], str, dict[str, Any]]] = {
    "field": ({}, "title", {"title": 1}),
    "field replaced": ({"title": 0}, "title", {"title": 1}),
    "nested": ({}, "a.b.c", {"a": {"b": {"c": 1}}}),
    "beside": ({"a": {"x": 0}}, "a.b", {"a": {"x": 0, "b": 1}}),
    "new entry": ({}, "a[0]", {"a": [1]}),
    "next entry": ({"a": [0]}, "a[1]", {"a": [0, 1]}),
    "entry replaced": ({"a": [0, 0]}, "a[0]", {"a": [1, 0]}),
    "field of entry": ({}, "a[0].b", {"a": [{"b": 1}]}),
    "entry by name": (
        {"m": [{"name": "x"}, {"name": "y"}]},
        "m[y].value",
        {"m": [{"name": "x"}, {"name": "y", "value": 1}]},
    ),
    "new entry by name": ({}, "m[x y].value", {"m": [{"name": "x y", "value": 1}]}),
    "deep": ({}, "a[0].b[z].c", {"a": [{"b": [{"name": "z", "c": 1}]}]}),
    "hyphen": ({}, "a-b._c", {"a-b": {"_c": 1}}),
}


@pytest.mark.parametrize("name", GOOD)
def test_good_paths(name: str) -> None:
    """Each path sets its one field and leaves the others alone."""
    body, path, expected = GOOD[name]
    set_path(body, path, 1)
    assert body == expected


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "empty": ({}, ""),
    "dot": ({}, "."),
    "leading dot": ({}, ".a"),
    "trailing dot": ({}, "a."),
    "two dots": ({}, "a..b"),
    "entry first": ({}, "[0]"),
    "entry without brackets": ({}, "a.0"),
    "empty entry": ({}, "a[]"),
    "open bracket": ({}, "a[0"),
    "name after entry without dot": ({}, "a[0]b"),
    "dot before entry": ({}, "a.[0]"),
    "list in list": ({}, "a[0][0]"),
    "named entry in entry": ({}, "a[x][y]"),
    "hole": ({"a": [0]}, "a[2]"),
    "far hole": ({}, "a[999999999999]"),
    "endless number": ({}, f"a[{'9' * 5000}]"),
    "field of a text": ({"a": "x"}, "a.b"),
    "entry of a text": ({"a": "x"}, "a[0]"),
    "entry of a group": ({"a": {}}, "a[0]"),
    "field of a list": ({"a": []}, "a.b"),
    "field of a number in a list": ({"a": [5]}, "a[0].b"),
    "white space": ({}, "a b"),
    "field of a bare entry": ({"a": [[1]]}, "a[0].b"),
    "entry of a named entry": ({"a": [{"name": "x", "b": 5}]}, "a[x].b[0]"),
    "field below a text": ({"a": {"b": "x"}}, "a.b.c.d"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_paths(name: str) -> None:
    """Each path that cannot be set is refused, and named."""
    body, path = BAD[name]
    with pytest.raises(InputError) as caught:
        set_path(body, path, 1)
    assert caught.value.code == "path.malformed"
    assert repr(path) in caught.value.message


@given(st.text(alphabet="ab.[]01é²٣ -_\n", max_size=12))
def test_any_path_gives_our_errors_only(path: str) -> None:
    """Whatever is typed, a body is changed or an error of ours raised."""
    body: dict[str, Any] = {"a": [{"name": "b"}, 1], "b": {"a": {}}}
    try:
        set_path(body, path, 1)
    except InputError as error:
        assert error.code == "path.malformed"
