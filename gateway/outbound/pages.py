"""Signatures for web pages that call WeChat's JS-SDK: for pages of known hosts only."""

import re
from collections.abc import Callable, Collection
from typing import Final, NamedTuple, Protocol
from urllib.parse import urlsplit

from gateway.outbound.ports import StoredToken
from gateway.protocol.jssdk import page_signature

MAX_URL: Final = 2048
"""Characters of a page's URL."""

_SOUND: Final = re.compile(r"https?://[^\s\\@/?#]+([/?#][^\s\\]*)?", re.IGNORECASE)
"""No user, no backslash, no blank: nothing that a browser and a parser may read differently."""


class PageRefused(Exception):
    """A page that is not signed for; its argument says why."""


class Tickets(Protocol):
    """Where the ticket comes from that pages are signed with."""

    async def get(self) -> StoredToken:
        """Return one that holds; raise ApiError."""


class PageSignature(NamedTuple):
    """What a page gives to ``wx.config``."""

    app_id: str
    timestamp: int
    nonce: str
    signature: str
    origin: str
    """The page's scheme and host: who may read the answer."""


class PageSigner:
    """Signs the pages of one account."""

    def __init__(
        self,
        app_id: str,
        hosts: Collection[str],
        tickets: Tickets,
        *,
        clock: Callable[[], float],
        nonce: Callable[[], str],
    ) -> None:
        """``hosts`` are those of the pages, with a port where they have one."""
        self._app_id = app_id
        self._hosts = frozenset(host.lower() for host in hosts)
        self._tickets = tickets
        self._clock = clock
        self._nonce = nonce

    async def sign(self, url: str) -> PageSignature:
        """Return the signature of a page; raise PageRefused, or the ApiError of its ticket."""
        if len(url) > MAX_URL or not _SOUND.fullmatch(url):
            raise PageRefused("url: write the page's whole URL, https://host/path")
        parts = urlsplit(url)
        if parts.netloc.lower() not in self._hosts:
            raise PageRefused("url: this host is not among the account's jssdk_hosts")
        ticket = await self._tickets.get()
        now, nonce = int(self._clock()), self._nonce()
        signature = page_signature(ticket.value, nonce, now, url)
        return PageSignature(
            self._app_id, now, nonce, signature, f"{parts.scheme}://{parts.netloc}"
        )
