"""The Chinese, Japanese and Korean fonts of the extra ``cjk``, where it is installed.

They are ten times as large as all the rest of the package, so they come in a package of their own:
Noto Sans under the SIL Open Font License.
"""

from __future__ import annotations

from functools import cache
from importlib import metadata, resources, util

DISTRIBUTION = "justmytype-intl-cjk"
_PACKAGE = "justmytype_intl_cjk"
FACES = {
    "Noto Sans SC": "notosanssc/NotoSansSC[wght].ttf",
    "Noto Sans JP": "notosansjp/NotoSansJP[wght].ttf",
    "Noto Sans KR": "notosanskr/NotoSansKR[wght].ttf",
    "Noto Sans TC": "notosanstc/NotoSansTC[wght].ttf",
}
"""Family by family, the first that has a character prints it; with the file in the package."""
URL = "muniment:cjk/"


def version() -> str | None:
    """Version of the fonts; None where they are not installed."""
    if util.find_spec(_PACKAGE) is None:
        return None
    return metadata.version(DISTRIBUTION)


def style() -> str:
    """The style sheet that makes them known to the pages."""
    return "\n".join(
        f'@font-face {{ font-family: "{family}"; src: url("{URL}{family.replace(" ", "")}") }}'
        for family in FACES
    )


def read(url: str) -> bytes | None:
    """The font behind an address of ``style``; None for another."""
    files = {URL + family.replace(" ", ""): file for family, file in FACES.items()}
    if url not in files:
        return None
    return resources.files(_PACKAGE).joinpath("fonts/ofl", files[url]).read_bytes()


@cache
def covered() -> frozenset[int]:
    """Code points that one of them has; none where they are not installed."""
    if version() is None:
        return frozenset()
    from fontTools.ttLib import TTFont

    found: set[int] = set()
    for file in FACES.values():
        with resources.files(_PACKAGE).joinpath("fonts/ofl", file).open("rb") as opened:
            found.update(TTFont(opened, lazy=True).getBestCmap())
    return frozenset(found)
