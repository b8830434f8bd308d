"""The workspace's own templates, in ``packet/``: laid over those of the same name, in a sandbox."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from types import ModuleType
from typing import Any

from jinja2 import (
    BaseLoader,
    ChoiceLoader,
    FunctionLoader,
    PackageLoader,
    PrefixLoader,
    TemplateError,
)
from jinja2.exceptions import SecurityError
from jinja2.sandbox import ImmutableSandboxedEnvironment
from markupsafe import Markup

from muniment.schemas.errors import InputError, ReportError
from muniment.schemas.files import files_in, read_small

from .model import Override

FOLDER = "packet"
MAX_TEMPLATE = 256 << 10
"""Bytes of one template."""
STYLE = "packet.css"
NOTICE = "notice.html"
"""Says which templates were overridden, and cannot be."""
_FIXED = (NOTICE, "stamp.html", "webpage.")
"""How the names of templates begin that are ours alone: beside the notice, the stamp that a
signature is checked by, and the packet as a web page."""
_UNESCAPING = ("safe", "indent")
"""Filters that make markup of text: the second of what it is told to indent markup with."""
_UNTOLD = ("translate",)
"""Methods by which markup takes up text that is not escaped."""


def read_overrides(root: Path) -> tuple[Override, ...]:
    """The templates of a workspace, by name; none where it has no such folder.

    Raises:
        InputError: ``template.unknown``, ``template.encoding``, or a file cannot be read.
    """
    folder = root / FOLDER
    found = [*files_in(folder, ".html", "template"), *files_in(folder, ".css", "template")]
    return tuple(_override(file) for file in sorted(found))


def replaceable() -> list[str]:
    """Names that a workspace's template may have."""
    every = resources.files(__package__).joinpath("templates").iterdir()
    names = (item.name for item in every if item.name.endswith(".html"))
    return sorted([STYLE, *(name for name in names if not name.startswith(_FIXED))])


def _override(file: Path) -> Override:
    if file.name not in replaceable():
        raise InputError(
            "template.unknown",
            f"{file} takes the place of no template",
            expected=", ".join(replaceable()),
            found=file.name,
        )
    data = read_small(file, MAX_TEMPLATE)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError("template.encoding", f"{file} is not in UTF-8") from error
    return Override(file.name, text, hashlib.sha256(data).hexdigest())


class Sandbox(ImmutableSandboxedEnvironment):
    """An environment in which templates reach what they are given and nothing behind it, and no
    name, filter or method turns a text into markup."""

    def __init__(self, **options: Any) -> None:
        """Take ``jinja2.Environment``'s options."""
        super().__init__(**options)
        for name in _UNESCAPING:
            del self.filters[name]

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        """Refuse modules and classes as well: from there it is a few steps to the operating system,
        or to what makes markup of any text."""
        if isinstance(value, ModuleType | type) or (isinstance(obj, Markup) and attr in _UNTOLD):
            return False
        return super().is_safe_attribute(obj, attr, value)


def loader(overrides: Sequence[Override]) -> BaseLoader:
    """Finds the workspace's templates before those of the package, which also go by
    ``muniment/NAME``, so that a template can extend the one whose place it takes."""
    own = {item.name: item.text for item in overrides if item.name != STYLE}

    def source(name: str) -> tuple[str, str, None] | None:
        # NOTE: the file's name stands in the traceback, by which errors are placed.
        return (own[name], f"{FOLDER}/{name}", None) if name in own else None

    package = PackageLoader(__package__, "templates")
    return ChoiceLoader([FunctionLoader(source), package, PrefixLoader({"muniment": package})])


def told(error: Exception, overrides: Sequence[Override]) -> ReportError:
    """What a template of the workspace did wrong, as an error that names it where that is known.

    Args:
        error: what rendering raised.
    """
    name, line = _place(error, {item.name for item in overrides})
    where = f"{FOLDER}/{name}" if name else f"a template in {FOLDER}/"
    at = f", line {line}" if line else ""
    if isinstance(error, SecurityError):
        why = f"asks for what templates may not reach: {error}"
    elif isinstance(error, TemplateError):
        why = f"{error.message or error}"
    else:
        why = f"{type(error).__name__}: {error}"
    return ReportError(
        "report.template", f"{where}{at}: {why:.500}", hint=f"mend it, or take it out of {FOLDER}/"
    )


def _place(error: Exception, names: set[str]) -> tuple[str | None, int | None]:
    """Name and line of the innermost template of the workspace that the error came through."""
    found: tuple[str | None, int | None] = (None, None)
    trace = error.__traceback__
    while trace is not None:
        folder, _, name = trace.tb_frame.f_code.co_filename.partition("/")
        if folder == FOLDER and name in names:
            found = name, trace.tb_lineno
        trace = trace.tb_next
    return found
