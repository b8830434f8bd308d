"""The only things a page may load: the bundled fonts and what is written into the page itself."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources
from typing import Any

from weasyprint.urls import FatalURLFetchingError, URLFetcher, URLFetcherResponse

from muniment.schemas.errors import ReportError

from . import widefonts

_FONTS = frozenset(
    f"fonts/{name}.ttf"
    for name in (
        "IBMPlexMono-Regular",
        "IBMPlexSans-Light",
        "IBMPlexSans-Medium",
        "IBMPlexSans-Regular",
        "IBMPlexSans-SemiBold",
    )
)
_SCHEME = "muniment:"


class BundledFetcher(URLFetcher):  # type: ignore[misc]
    """Answers ``muniment:fonts/…``, ``muniment:cjk/…`` and ``data:``; anything else ends the
    rendering."""

    def __init__(self) -> None:
        super().__init__(allowed_protocols=["data"], allow_redirects=False, fail_on_errors=True)

    def fetch(self, url: str, headers: Any = None) -> Any:
        """The bytes behind ``url``."""
        name = url.removeprefix(_SCHEME)
        if url.startswith(_SCHEME) and name in _FONTS:
            data = resources.files(__package__).joinpath(name).read_bytes()
            return URLFetcherResponse(url, data, {"Content-Type": "font/ttf"})
        if (wide := widefonts.read(url)) is not None:
            return URLFetcherResponse(url, wide, {"Content-Type": "font/ttf"})
        if url.startswith("data:"):
            return super().fetch(url, headers)
        raise FatalURLFetchingError(f"the page asks for {url[:200]}")


@contextmanager
def refusals() -> Iterator[None]:
    """Turn a refused fetch into our error.

    Raises:
        ReportError: ``report.fetch-refused``.
    """
    try:
        yield
    except FatalURLFetchingError as error:  # a BaseException, so no other handler catches it
        raise ReportError(
            "report.fetch-refused",
            f"a page of the packet tried to load something: {error}",
            hint="a template holds an address; packets load nothing",
        ) from error
