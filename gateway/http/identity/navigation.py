"""Requests that open a page, as against those that a page makes."""

from typing import Final
from urllib.parse import quote

from litestar.types import HTTPScope

_KEPT: Final = "/?&=%#:;,+@!$'()*[]~-._"


def is_navigation(scope: HTTPScope) -> bool:
    """Tell whether a browser opens a page by a request: only such a one can sign somebody in.

    An image or a script that is led to WeChat's page shows nothing of it.
    """
    sent = dict(scope["headers"])
    mode = sent.get(b"sec-fetch-mode")
    if mode is not None:
        return mode == b"navigate"
    # Browsers that do not say so: WeChat's own, of some years ago.
    return b"text/html" in sent.get(b"accept", b"")


def escaped(uri: str) -> str:
    """Return a path and query with what a URL has escaped: some clients send it as it is."""
    return quote(uri, safe=_KEPT, encoding="latin-1")
