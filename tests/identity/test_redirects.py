"""Where a sign-in may lead back to: every way around that is known, refused."""

from typing import Final
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from gateway.identity.redirects import MAX_URL, RedirectRefused, check_redirect

HOSTS: Final = frozenset(("shop.example", "shop.example:8443", "127.0.0.1:8000", "[::1]:8000"))


@pytest.mark.parametrize(
    "url",
    [
        "https://shop.example",
        "https://shop.example/",
        "https://shop.example/a/b;c=1?d=e&f=%E5%A5%BD#top",
        "https://shop.example?next=//evil.example",
        "https://shop.example//evil.example",
        "https://shop.example#//evil.example",
        "https://shop.example/@evil.example",
        "https://shop.example:8443/x",
        "http://127.0.0.1:8000/x",
        "http://[::1]:8000/x",
        "https://127.0.0.1:8000/x",
    ],
)
def test_pages_of_the_hosts_are_led_back_to(url: str) -> None:
    assert check_redirect(url, HOSTS) == url


def test_scheme_and_host_are_written_small() -> None:
    assert check_redirect("HTTPS://Shop.EXAMPLE/Page", HOSTS) == "https://shop.example/Page"


FOREIGN: Final = [
    "",
    "/relative",
    "shop.example",
    "//shop.example/x",
    "///evil.example",
    "https:shop.example",
    "https:/shop.example",
    "https:///shop.example",
    "https://",
    "https://evil.example",
    "https://shop.example.evil.example",
    "https://evilshop.example",
    "https://evil.example/https://shop.example",
    "https://evil.example?shop.example",
    "https://evil.example#shop.example",
    "https://evil.example\\@shop.example",
    "https://shop.example\\.evil.example",
    "https://shop.example\\evil",
    "\\\\evil.example",
    "/\\evil.example",
    "https://shop.example@evil.example",
    "https://shop.example:pw@evil.example",
    "https://user@shop.example",
    "https://shop.example%2eevil.example",
    "https://shop.example%00.evil.example",
    "https://shop.example%23@evil.example",
    "https://shop.example.",
    "https://.shop.example",
    "https://www.shop.example",
    "https://shop.example:443",
    "https://shop.example:",
    "https://shop.example:8443:80",
    "https://shop.example:８４４３",
    "https://ѕhop.example",
    "https://shop。example",
    "https://ｓhop.example",
    "https://shop.exam\u200bple",
    "https://xn--hop-tdc.example",
    "https://SHOP.EXAMPLE.evil.example",
    "http://shop.example",
    "http://127.0.0.1.evil.example:8000",
    "http://127.0.0.1:8001",
    "http://2130706433:8000",
    "http://0x7f.1:8000",
    "ftp://shop.example",
    "javascript:alert(1)",
    "javascript://shop.example/%0aalert(1)",
    "data:text/html,x",
    "https://shop.example\r\nSet-Cookie: a=b",
    "https://shop.example/\r\nLocation: https://evil.example",
    "https://shop.example/\n",
    "https://shop.example/\t",
    "https://shop.example/ ",
    " https://shop.example",
    "\thttps://shop.example",
    "https://shop.example/\x00",
    "https://shop.example/好",
    'https://shop.example/"><script>',
    "https://shop.example/`x`",
    "ht\ntps://shop.example",
    "https://shop.example/" + "a" * MAX_URL,
]


@pytest.mark.parametrize("url", FOREIGN)
def test_nowhere_else_is_led_back_to(url: str) -> None:
    with pytest.raises(RedirectRefused) as caught:
        check_redirect(url, HOSTS)
    # What is said of it holds nothing of it.
    assert "evil" not in str(caught.value)


def test_no_host_of_the_settings_opens_another() -> None:
    """Though somebody wrote one there that is none."""
    for hosts in ({"u@shop.example"}, {"shop.example/"}, {"a b"}, {"evil.example\\"}, {""}):
        for host in hosts:
            with pytest.raises(RedirectRefused):
                check_redirect(f"https://{host}/x", hosts)


_PIECES: Final = st.sampled_from(
    [
        *("https", "http", ":", "/", "//", "\\", "@", "#", "?", "shop.example", "evil.example"),
        *(".", "%2f", ":8443", "127.0.0.1:8000", "\t", "\r\n", "。", "[::1]", "a", "%00"),
    ]
)


@given(st.lists(_PIECES, max_size=9).map("".join))
def test_whatever_is_let_through_leads_to_the_hosts_in_every_parser(url: str) -> None:
    try:
        led = check_redirect(url, HOSTS)
    except RedirectRefused:
        return
    assert led.isascii()
    assert led.isprintable()
    assert urlsplit(led).netloc in HOSTS
    host = URL(led, encoded=True)
    assert host.authority in HOSTS or f"[{host.raw_host}]:{host.explicit_port}" in HOSTS
