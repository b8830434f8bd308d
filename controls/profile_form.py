"""The form of a profile's document: one layer, as in a file, and the whole, as in a packet."""

from __future__ import annotations

from functools import cache
from typing import Any

from muniment.controls.requirement import SecondPerson
from muniment.schemas.validation import Validator

ALL = "all"
"""Stands in a profile for every control of a catalog."""
PHASES = ("experiment", "pilot", "production", "retired")
RISK_TIERS = ("minimal", "limited", "high", "unacceptable")

_NAME = {"type": "string", "pattern": "^[a-z][a-z0-9-]{0,63}$"}
_TEXT = {"type": "string", "minLength": 1, "maxLength": 2000}
_LINE = {"type": "string", "minLength": 1, "maxLength": 300}
_IDS = {"type": "array", "items": _LINE, "minItems": 1, "maxItems": 2000, "uniqueItems": True}
_DAYS = {"type": "integer", "minimum": 0, "maximum": 36500}


def check_layer(value: Any) -> None:
    """Refuse what is not the document of one layer.

    Raises:
        SchemaError: ``profile.malformed``, with every fault.
    """
    _layer().require(value, "profile.malformed", "a profile")


def check_whole(value: Any) -> None:
    """Refuse what is not the document of a resolved profile.

    Raises:
        SchemaError: ``profile.malformed``, with every fault.
    """
    _whole().require(value, "profile.malformed", "a profile")


def _object(properties: dict[str, Any], *required: str, **more: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
        **more,
    }


def _properties() -> dict[str, Any]:
    chosen = {"anyOf": [{"const": ALL}, _IDS]}
    when = _object({"phase": _some(PHASES), "riskTier": _some(RISK_TIERS)}, minProperties=1)
    block = _object({"controls": chosen, "when": when}, "controls", "when")
    override = _object(
        {
            "reason": _TEXT,
            "validityDays": _DAYS,
            "kinds": _IDS,
            "minimumKinds": {"type": "integer", "minimum": 1, "maximum": 100},
            "secondPerson": {"enum": [str(item) for item in SecondPerson]},
            "approver": _LINE,
        },
        "reason",
        minProperties=2,
    )
    limit = {"type": "number"}
    threshold = _object(
        {"min": limit, "max": limit, "controls": _IDS},
        anyOf=[{"required": ["min"]}, {"required": ["max"]}],
    )
    return {
        "profile": _NAME,
        "version": {"type": "string", "pattern": "^[0-9][0-9.]{0,19}$"},
        "name": _TEXT,
        "description": _TEXT,
        "blocks": _each({"anyOf": [{"const": ALL}, _IDS, block]}),
        "overrides": _each(override),
        "thresholds": {**_each(threshold), "maxProperties": 100},
        "inferred": {"type": "boolean"},
        "waivedBy": {**_IDS, "minItems": 0},
        "maxWaiverDays": {**_DAYS, "minimum": 1},
        "excludedBy": {**_IDS, "minItems": 0},
        "reason": _TEXT,
    }


def _some(words: tuple[str, ...]) -> dict[str, Any]:
    return {"type": "array", "items": {"enum": list(words)}, "uniqueItems": True}


def _each(item: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "additionalProperties": item, "maxProperties": 2000}


@cache
def _layer() -> Validator:
    extends = {"anyOf": [_NAME, {"type": "array", "items": _NAME, "minItems": 1, "maxItems": 50}]}
    head = ("profile", "version", "name", "description")
    return Validator(
        _object(
            {**_properties(), "extends": extends},
            *head,
            anyOf=[{"required": ["extends"]}, {"required": ["blocks"]}],
        )
    )


@cache
def _whole() -> Validator:
    layers = {"type": "array", "items": _LINE, "minItems": 1, "maxItems": 1000}
    head = ("profile", "version", "name", "description", "blocks")
    weaker = {"type": "array", "items": {"type": "string", "maxLength": 100_000}, "maxItems": 1000}
    return Validator(_object({**_properties(), "layers": layers, "weaker": weaker}, *head))
