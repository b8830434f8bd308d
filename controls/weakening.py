"""Where a profile asks for less than one that it extends: nothing wrong, and never unsaid."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from .exceptions import FUNCTIONS, MAX_DAYS
from .layering import Document
from .profile_form import ALL


def weakenings(whole: Document, below: Document) -> Iterator[str]:
    """What ``whole`` asks less of than ``below`` does, in words.

    Args:
        whole: a profile's document with all its layers.
        below: that of one it stands on.
    """
    for catalog, block in below.get("blocks", {}).items():
        if _is_narrower(whole["blocks"][catalog], block):
            yield f"it blocks on less of {catalog}"
    if more := _more(whole.get("waivedBy", ()), below.get("waivedBy", ())):
        yield f"{more} may waive as well"
    if more := _more(whole.get("excludedBy", FUNCTIONS), below.get("excludedBy", FUNCTIONS)):
        yield f"{more} may rule out as well"
    days, before = (min(item.get("maxWaiverDays") or MAX_DAYS, MAX_DAYS) for item in (whole, below))
    if days > before:
        yield f"a waiver may last {days} days, not {before}"
    if whole.get("inferred", True) and not below.get("inferred", True):
        yield "pairs that nobody published count"
    for metric, limit in below.get("thresholds", {}).items():
        if _is_looser(whole["thresholds"][metric], limit):
            yield f"its limit on {metric} is looser"


def _more(now: Any, before: Any) -> str:
    """The functions that came to be named."""
    return " and ".join(sorted(set(now) - set(before)))


def _is_narrower(now: Any, before: Any) -> bool:
    """Whether a block is on fewer controls, or for fewer systems."""
    one, other = (
        item if isinstance(item, Mapping) else {"controls": item} for item in (now, before)
    )
    if one["controls"] != ALL and (
        other["controls"] == ALL or not set(other["controls"]) <= set(one["controls"])
    ):
        return True
    when, earlier = one.get("when", {}), other.get("when", {})
    return any(
        name not in earlier or not set(earlier[name]) <= set(words) for name, words in when.items()
    )


def _is_looser(now: Mapping[str, Any], before: Mapping[str, Any]) -> bool:
    """Whether a limit lets more figures pass, or fewer controls hang on it."""
    return (
        ("max" in before and now.get("max", float("inf")) > before["max"])
        or ("min" in before and now.get("min", float("-inf")) < before["min"])
        or ("controls" in now and not set(before.get("controls", ())) <= set(now["controls"]))
        or ("controls" in now and "controls" not in before)
    )
