"""The YAML files beside the code."""

from __future__ import annotations

from importlib import resources
from typing import Any


def read_yaml(path: str) -> Any:
    """Read one of our own data files, such as ``catalogs/readiness-gate.yaml``."""
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    text = resources.files(__package__).joinpath(path).read_text("utf-8")
    return yaml.load(text, Loader=loader)
