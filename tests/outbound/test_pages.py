"""Signatures for pages that call WeChat's JS-SDK."""

import asyncio
import json
from pathlib import Path
from typing import Any, Final

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from gateway.errors import ApiError, NotSent
from gateway.http.jssdk import jssdk_route
from gateway.outbound.pages import PageRefused, PageSigner
from gateway.outbound.ports import StoredToken
from gateway.protocol.jssdk import page_signature

SAMPLES: Final[list[dict[str, Any]]] = [
    sample
    for sample in json.loads(
        (Path(__file__).parents[1] / "vectors" / "signatures.json").read_text(encoding="utf-8")
    )
    if sample["kind"] == "jsapi_signature"
]


class Tickets:
    """Gives a ticket, or raises."""

    def __init__(self, error: ApiError | None = None) -> None:
        self._error = error

    async def get(self) -> StoredToken:
        """Return it."""
        if self._error is not None:
            raise self._error
        return StoredToken("TICKET", 1, 0.0, 7200.0)


def signer(error: ApiError | None = None) -> PageSigner:
    """Return a signer of two hosts, whose time stands still."""
    hosts = ["shop.example", "dev.example:8443"]
    return PageSigner(
        "wx1", hosts, Tickets(error), clock=lambda: 1_414_587_457.9, nonce=lambda: "n0nce"
    )


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample["name"])
def test_the_documented_examples_come_out(sample: dict[str, Any]) -> None:
    ticket, nonce = sample["jsapi_ticket"], sample["noncestr"]
    timestamp, url = int(sample["timestamp"]), sample["url"]
    assert page_signature(ticket, nonce, timestamp, url) == sample["signature"]
    assert page_signature(ticket, nonce, timestamp, f"{url}#part") == sample["signature"]


def test_there_are_documented_examples() -> None:
    assert len(SAMPLES) >= 2


@pytest.mark.parametrize(
    "url", ["https://shop.example/a?b=1#c", "http://SHOP.example", "https://dev.example:8443/"]
)
def test_pages_of_the_hosts_are_signed(url: str) -> None:
    signed = asyncio.run(signer().sign(url))
    assert signed.signature == page_signature("TICKET", "n0nce", 1_414_587_457, url)
    assert (signed.app_id, signed.timestamp, signed.nonce) == ("wx1", 1_414_587_457, "n0nce")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "shop.example/a",
        "//shop.example/a",
        "ftp://shop.example/a",
        "javascript:alert(1)//shop.example",
        "https://evil.example/",
        "https://evil.example/shop.example",
        "https://shop.example.evil.example/",
        "https://evilshop.example/",
        "https://shop.example:8443/",
        "https://dev.example/",
        "https://shop.example@evil.example/",
        "https://evil.example\\@shop.example/",
        "https://shop.example\\evil.example/",
        "https://shop.example /",
        "https://shop.example\r\nx: y/",
        "https://shop。example/",
        "https://shop.example/" + "a" * 2048,
    ],
    ids=ascii,
)
def test_no_other_page_is(url: str) -> None:
    with pytest.raises(PageRefused):
        asyncio.run(signer().sign(url))


def test_over_http_a_page_gets_what_wx_config_takes() -> None:
    route = jssdk_route({"main": signer(), "down": signer(NotSent("/x: no connection"))})
    with TestClient(Litestar([route])) as client:
        url = "https://shop.example/a?b=1"
        answer = client.get("/jssdk/main", params={"url": url})
        assert answer.json() == {
            "appId": "wx1",
            "timestamp": 1_414_587_457,
            "nonceStr": "n0nce",
            "signature": page_signature("TICKET", "n0nce", 1_414_587_457, url),
        }
        assert answer.headers["access-control-allow-origin"] == "https://shop.example"
        refused = client.get("/jssdk/main", params={"url": "https://evil.example/"})
        assert (refused.status_code, "jssdk_hosts" in refused.json()["error"]) == (403, True)
        assert "access-control-allow-origin" not in refused.headers
        assert client.get("/jssdk/main").status_code == 403
        assert client.get("/jssdk/other", params={"url": url}).status_code == 404
        down = client.get("/jssdk/down", params={"url": url})
        assert (down.status_code, down.headers["retry-after"]) == (503, "5")
