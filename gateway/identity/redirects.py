"""Where a sign-in may lead back to: a URL of one of the account's hosts, and nothing else."""

import re
from collections.abc import Collection
from typing import Final
from urllib.parse import urlsplit

MAX_URL: Final = 2048

_LOOPBACK: Final = frozenset(("localhost", "127.0.0.1", "[::1]"))

# Blanks, backslashes, quotes, controls and whatever is not ASCII: browsers and parsers read them
# in different ways, and no URL has to hold them. A page's path in Chinese comes percent-encoded.
_PLAIN: Final = re.compile(r"[!#-;=?-\[\]_a-z~]+")
_URL: Final = re.compile(r"(https?)://([^/?#]+)(.*)", re.IGNORECASE | re.DOTALL)


class RedirectRefused(Exception):
    """A URL that a sign-in does not lead back to; the message says what is wrong, not the URL."""


def check_redirect(url: str, hosts: Collection[str]) -> str:
    """Return a URL that leads to one of these hosts, as it is sent: raise RedirectRefused.

    A host has its port where there is one, and is compared whole. Other than https is for this
    machine alone.
    """
    if not url:
        raise RedirectRefused("missing: give the URL of the page to come back to")
    if len(url) > MAX_URL:
        raise RedirectRefused(f"longer than {MAX_URL} characters")
    if not _PLAIN.fullmatch(url):
        raise RedirectRefused("holds what a URL has percent-encoded, such as blanks or Chinese")
    parts = _URL.fullmatch(url)
    if parts is None:
        raise RedirectRefused("no URL: write it like https://shop.example/page")
    scheme, authority, rest = parts[1].lower(), parts[2].lower(), parts[3]
    if authority not in hosts or not _is_host(authority):
        raise RedirectRefused("not one of this account's sign_in_hosts")
    if scheme != "https" and not is_loopback(authority):
        raise RedirectRefused("must begin with https://")
    return f"{scheme}://{authority}{rest}"


def is_loopback(host: str) -> bool:
    """Tell whether a host, with a port or without, is this machine."""
    return re.sub(r":\d+$", "", host) in _LOOPBACK


def _is_host(authority: str) -> bool:
    """Tell whether there is nothing in it but a host and a port, as others read it too."""
    try:
        parts = urlsplit(f"//{authority}")
        port = parts.port
    except ValueError:
        return False
    host = parts.hostname or ""
    shown = f"[{host}]" if ":" in host else host
    return authority in (shown, f"{shown}:{port}")
