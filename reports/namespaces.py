"""What templates can name of the modules that work pages out: functions and constants.

A module or a class would lead to everything that it can name itself, such as ``Markup``.
"""

from __future__ import annotations

from types import ModuleType, SimpleNamespace

from . import charts, views


def _of(module: ModuleType, *names: str) -> SimpleNamespace:
    return SimpleNamespace(**{name: getattr(module, name) for name in names})


VIEWS = _of(
    views,
    "MAX_EVALUATIONS", "MAX_LINKS", "MAX_ROWS", "body_parts", "check_note", "checks", "considered",
    "costed", "counts", "error_classes", "evaluated", "grouped", "headline", "is_digest",
    "long_date", "long_time", "metrics", "of_kind", "person", "short_date", "short_id",
    "short_time", "shorten", "text_of", "verdict", "weighed", "words",
)  # fmt: skip
"""``v`` in a template."""
CHARTS = _of(charts, "ORDER", "donut", "gauge")
"""``charts`` in a template."""
