"""``cover.yaml``: what the reviewer adds to a packet, checked before anything is printed."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, ParseError

from muniment.schemas import yamldoc
from muniment.schemas.errors import InputError
from muniment.schemas.files import read_small
from muniment.schemas.validation import Validator

from .model import Cover, Embedded, Logo

MAX_LOGO = 256 << 10
"""Bytes of a logo."""
MAX_SIDE = 2000
"""Pixels of a logo's longer side."""
MAX_DEPTH = 16
"""Elements of a drawing that stand in one another: each is a state more that a page must save, and
PDF/A allows 28 (ISO 19005-3 §6.1.13)."""
LEAST_CONTRAST = 4.5
"""Between the accent colour and white, as WCAG 2.2 asks of text (§1.4.3): white stands on it."""
LOGOS = {"image/png": "logo.png", "image/svg+xml": "logo.svg"}
"""Embedded file that a packet's logo is, by its media type."""
_COLOUR = "#[0-9A-Fa-f]{6}"
_PNG = b"\x89PNG\r\n\x1a\n"
_MODES = frozenset(("1", "L", "LA", "P", "RGB", "RGBA"))
"""What Pillow calls the kinds of pixels that the pages can hold."""
_SVG = "{http://www.w3.org/2000/svg}"
_ELEMENTS = frozenset(
    (
        "svg", "g", "path", "rect", "circle", "ellipse", "line", "polyline", "polygon", "title",
        "desc",
    )
)  # fmt: skip
_ATTRIBUTES = frozenset(
    (
        "id", "class", "width", "height", "viewBox", "preserveAspectRatio", "version", "x", "y",
        "x1", "x2", "y1", "y2", "cx", "cy", "r", "rx", "ry", "d", "points", "transform", "fill",
        "fill-opacity", "fill-rule", "stroke", "stroke-width", "stroke-opacity", "stroke-linecap",
        "stroke-linejoin", "stroke-miterlimit", "stroke-dasharray", "opacity",
    )
)  # fmt: skip


def read_cover(file: Path) -> Cover:
    """Read and check a cover file; the logo's path is relative to it.

    Raises:
        SchemaError: ``cover.malformed``, with every fault.
        InputError: ``cover.accent``, ``cover.logo``, or a file cannot be read.
    """
    value = yamldoc.load_mapping(file, what=file.name)
    _form().require(value, "cover.malformed", file.name)
    said = value.get("conclusions", [])
    accent = value.get("accent")
    if accent is not None:
        require_accent(accent)
    return Cover(
        value.get("reviewer"),
        value.get("scope"),
        tuple([said] if isinstance(said, str) else said),
        _logo(file.parent / value["logo"]) if "logo" in value else None,
        accent,
    )


def _form() -> Validator:
    prose = {"type": "string", "minLength": 1, "maxLength": 20_000, "pattern": "\\S"}
    line = {
        "type": "string",
        "minLength": 1,
        "maxLength": 120,
        "pattern": "^[^\\n\\r]*\\S[^\\n\\r]*$",
    }
    listed = {"type": "array", "minItems": 1, "maxItems": 50, "items": prose}
    properties: dict[str, Any] = {
        "reviewer": {"description": "Who reviewed, in one line.", **line},
        "scope": {"description": "A note on what was looked at.", **prose},
        "conclusions": {
            "description": "What the reviewer concludes: one text, or a list of paragraphs.",
            "oneOf": [prose, listed],
        },
        "logo": {"description": "A PNG or SVG file, relative to this one.", **line},
        "accent": {
            "description": "A colour, written #1d5a91.",
            "type": "string",
            "pattern": f"^{_COLOUR}$",
            "x-form": "a colour, written '#1d5a91' in quotes",
        },
    }
    return Validator(
        {
            "type": "object",
            "properties": properties,
            "minProperties": 1,
            "unevaluatedProperties": False,
        }
    )


def contrast_with_white(colour: str) -> float:
    """Contrast ratio of ``#rrggbb`` with white, 1 to 21 (WCAG 2.2, relative luminance)."""
    parts = (int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5))
    linear = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    ]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return 1.05 / (luminance + 0.05)


def require_accent(colour: str) -> None:
    """Refuse what is no colour, or one that white cannot be read on.

    Raises:
        InputError: ``cover.accent``.
    """
    if not re.fullmatch(_COLOUR, colour):
        raise InputError(
            "cover.accent",
            "the accent is no colour",
            expected="a colour, written #1d5a91",
            found=colour[:60],
        )
    ratio = contrast_with_white(colour)
    if ratio < LEAST_CONTRAST:
        raise InputError(
            "cover.accent",
            f"the accent colour {colour} is too light for white text to be read on it",
            hint="choose a darker shade",
            expected=f"a contrast with white of {LEAST_CONTRAST} or more",
            found=f"{ratio:.2f}",
        )


def logo_file(logo: Logo) -> Embedded:
    """The logo as a packet embeds it, so that whoever verifies can set the same pages."""
    name = LOGOS[logo.media_type]
    return Embedded(name, logo.data, logo.media_type, "Source", "Logo on the cover")


def embedded_logo(files: Mapping[str, bytes]) -> Logo | None:
    """The logo among a packet's files, as strictly checked as when a packet is made.

    Raises:
        InputError: ``cover.logo``.
    """
    return next((_checked(name, files[name]) for name in LOGOS.values() if name in files), None)


def _logo(file: Path) -> Logo:
    return _checked(str(file), read_small(file, MAX_LOGO))


def _checked(file: str, data: bytes) -> Logo:
    if len(data) > MAX_LOGO:
        raise _refused(file, "it is too large", f"at most {MAX_LOGO:,} bytes")
    if data.startswith(_PNG):
        _check_png(file, data)
        return Logo("image/png", data)
    _check_svg(file, data)
    return Logo("image/svg+xml", data)


def _check_png(file: str, data: bytes) -> None:
    import io

    from PIL import Image

    try:
        with warnings.catch_warnings(), _strictly():
            # NOTE: of an image that would fill the memory Pillow warns before it reads on.
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            image = Image.open(io.BytesIO(data), formats=["PNG"])
            image.verify()
            image = Image.open(io.BytesIO(data), formats=["PNG"])
            if max(image.size) <= MAX_SIDE:
                image.load()
    except MemoryError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise _too_large(file) from error
    except Exception as error:  # the boundary to a library that reads a stranger's bytes
        raise _refused(file, "it cannot be read as PNG", "a whole PNG file") from error
    if max(image.size) > MAX_SIDE:
        raise _too_large(file)
    if image.mode not in _MODES:
        raise _refused(file, "its pixels have 16 bits each", "a PNG with 8 bits a colour or fewer")


@contextmanager
def _strictly() -> Iterator[None]:
    """Have Pillow refuse a file that was cut: WeasyPrint, once it is loaded, lets it pass."""
    from PIL import ImageFile

    before = ImageFile.LOAD_TRUNCATED_IMAGES
    ImageFile.LOAD_TRUNCATED_IMAGES = False
    try:
        yield
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = before


def _too_large(file: str) -> InputError:
    return _refused(file, "it is too large", f"at most {MAX_SIDE} pixels on a side")


def _check_svg(file: str, data: bytes) -> None:
    """Refuse whatever could fetch, run, refer to something, or need a font."""
    from defusedxml.common import DefusedXmlException
    from defusedxml.ElementTree import fromstring

    try:
        root = fromstring(data, forbid_dtd=True)
    except (ParseError, DefusedXmlException, ValueError, LookupError) as error:
        raise _refused(file, "it is neither PNG nor plain SVG", "a PNG or SVG image") from error
    if root.tag != f"{_SVG}svg":
        raise _refused(file, "it is neither PNG nor plain SVG", "a PNG or SVG image")
    level = [root]
    for _ in range(MAX_DEPTH):
        for element in level:
            _check_element(file, element)
        level = [inner for element in level for inner in element]
    if level:
        raise _refused(file, "its groups stand too deep in one another", f"at most {MAX_DEPTH}")


def _check_element(file: str, element: Element) -> None:
    name = str(element.tag).removeprefix(_SVG)
    if name not in _ELEMENTS:
        raise _refused(
            file, f"its element {name[:60]!r} may fetch, run or need a font", "plain shapes"
        )
    for attribute, value in element.attrib.items():
        if attribute not in _ATTRIBUTES:
            raise _refused(
                file,
                f"its attribute {attribute[:60]!r} may fetch or run",
                "plain presentation attributes; no style, href or on…",
            )
        if "url" in value.casefold() or "\\" in value:
            raise _refused(
                file, f"its attribute {attribute!r} refers to something", "plain colours"
            )


def _refused(file: str, why: str, expected: str) -> InputError:
    return InputError("cover.logo", f"{file} cannot be a logo: {why}", expected=expected)
