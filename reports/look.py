"""What the reviewer and the workspace add to the look of a packet, read and checked."""

from __future__ import annotations

from pathlib import Path

from muniment.schemas.errors import InputError

from .cover import read_cover
from .model import Cover, Look
from .overrides import read_overrides

PAPERS = ("a4", "letter")


def read_look(root: Path, cover: Path | None, paper: str) -> Look:
    """The look of a packet of the workspace in ``root``.

    Raises:
        SchemaError: ``cover.malformed``.
        InputError: ``packet.paper``, and what reading the files raises.
    """
    if paper not in PAPERS:
        raise InputError(
            "packet.paper",
            "there is no paper of that size",
            expected=" or ".join(PAPERS),
            found=paper,
        )
    return Look(read_cover(cover) if cover is not None else Cover(), read_overrides(root), paper)
