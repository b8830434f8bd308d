"""Muniment: signed evidence that an AI system was fit to launch.

The public Python API. Names load on first use, so that ``import muniment`` costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from muniment.reports.workspace import Workspace as Workspace
    from muniment.schemas.errors import MunimentError as MunimentError

__version__ = "0.1.0"
__all__ = ["MunimentError", "Workspace", "__version__"]

_HOMES = {
    "MunimentError": "muniment.schemas.errors",
    "Workspace": "muniment.reports.workspace",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'muniment' has no attribute {name!r}")
