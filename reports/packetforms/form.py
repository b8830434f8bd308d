"""The forms of a packet, and which of them is written how."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, assert_never

from muniment.schemas.errors import InputError

if TYPE_CHECKING:
    from muniment.reports.model import Cover, Embedded, PacketInput
    from muniment.reports.packet import Extras


class PacketForm(StrEnum):
    """How ``muniment packet`` writes the packet."""

    PDF = "pdf"
    HTML = "html"
    MARKDOWN = "markdown"
    JSON = "json"
    XLSX = "xlsx"

    def require_name(self, path: Path) -> None:
        """Refuse a name by which everybody would take the file for another form.

        Raises:
            InputError: ``usage.format``.
        """
        ending = path.suffix.lower()
        meant = ZIP if ending == f".{ZIP}" else str(_ENDINGS.get(ending, self))
        if meant != self:
            raise InputError(
                "usage.format",
                f"{path.name} would not be what its name says",
                hint="--bundle writes the files inside a packet as a zip"
                if meant == ZIP
                else f"--format {meant}, or another name",
                expected=meant,
                found=str(self),
            )

    def require_shown(self, asked: Extras) -> None:
        """Refuse what was asked for and this form has no place for.

        Raises:
            InputError: ``usage.format``.
        """
        from muniment.reports.model import Look

        wanted = {
            "--paper": asked.look.paper != Look().paper,
            "--certificate": asked.certificate is not None,
            "--with-artifacts": asked.with_artifacts,
        }
        for name, is_wanted in wanted.items():
            if is_wanted:
                self.require(name)

    def fitted(self, cover: Cover) -> Cover:
        """The cover as this form shows it: all of its words, and what looks there is place for."""
        return replace(
            cover,
            logo=cover.logo if self in _LOOKS["logo"] else None,
            accent=cover.accent if self in _LOOKS["accent"] else None,
        )

    def warnings(self, cover: Cover) -> tuple[str, ...]:
        """What of the cover this form leaves out: never a word, so that one file does for all."""
        return tuple(
            f"the cover's {name} has no place in a packet that is {self}; it is left out"
            for name, forms in _LOOKS.items()
            if getattr(cover, name) is not None and self not in forms
        )

    def require(self, name: str) -> None:
        """Refuse an extra, by the name users know it by, that this form has no place for.

        Raises:
            InputError: ``usage.format``.
        """
        forms = _ONLY[name]
        if self not in forms:
            raise InputError(
                "usage.format",
                f"{name} has no place in a packet that is {self}",
                hint=f"leave out {name}, or choose another --format",
                expected=" or ".join(forms),
                found=str(self),
            )


ZIP = "zip"
"""A file that is no packet, but holds the files inside one."""
_ONLY: Mapping[str, tuple[PacketForm, ...]] = {
    "--paper": (PacketForm.PDF,),
    "--certificate": (PacketForm.PDF,),
    "--bundle": (PacketForm.PDF,),
    "--with-artifacts": (PacketForm.PDF, PacketForm.HTML),
}
"""Extras that not every form shows. The sample and the cover's words have a place in each."""
_LOOKS: Mapping[str, tuple[PacketForm, ...]] = {
    "logo": (PacketForm.PDF,),
    "accent": (PacketForm.PDF, PacketForm.HTML),
}
"""Fields of a cover that are no words."""
_ENDINGS = {
    ".pdf": PacketForm.PDF,
    ".html": PacketForm.HTML,
    ".htm": PacketForm.HTML,
    ".md": PacketForm.MARKDOWN,
    ".json": PacketForm.JSON,
    ".xlsx": PacketForm.XLSX,
}


def render(packet: PacketInput, files: Sequence[Embedded], form: PacketForm) -> bytes:
    """The packet in one of the forms that nobody signs: any but ``pdf``.

    Args:
        files: the proofs, as the PDF embeds them; only ``html`` holds them.
    """
    from .document import to_json
    from .html import to_html
    from .markdown import to_markdown
    from .spreadsheet import to_xlsx

    match form:
        case PacketForm.HTML:
            return to_html(packet, files)
        case PacketForm.MARKDOWN:
            return to_markdown(packet).encode()
        case PacketForm.JSON:
            return to_json(packet)
        case PacketForm.XLSX:
            return to_xlsx(packet)
        case PacketForm.PDF:
            raise ValueError("a PDF is signed: see muniment.reports.packet.assemble")
        case _:
            assert_never(form)
