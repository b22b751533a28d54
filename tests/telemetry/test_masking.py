"""No secret and no open id survives in a line, whatever form it stands in."""

import base64
import hashlib
import html
import json
import logging
import traceback
from collections.abc import Callable
from typing import Final
from urllib.parse import quote, quote_plus, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.telemetry.logs import LogFormat, get_logger
from gateway.telemetry.masking import SHORTEST, Mask, open_id_hash
from tests.support import OPEN_ID
from tests.telemetry.lines import written

log = get_logger("gateway.test")
foreign = logging.getLogger("shop")

SECRET = "S3cret/with+signs="
UNION_ID = "o6_bmasdasdsad6_2sgVt7hMZOPf"

secrets = st.text(
    st.characters(exclude_characters="*", exclude_categories=["Cs"]), min_size=SHORTEST, max_size=60
)
"""Asterisks are the mask itself."""

open_ids = st.from_regex(r"o[A-Za-z0-9_-]{27}", fullmatch=True)

FORMS: Final[dict[str, Callable[[str], str]]] = {
    "plain": lambda s: f"it is {s}, no?",
    "alone": lambda s: s,
    "repr": lambda s: repr({"app_secret": s, "other": 'it\'s "quoted"'}),
    "exception": lambda s: repr(ValueError(f"wrong: '{s}' is not \"it\"")),
    "traceback": lambda s: "".join(traceback.format_exception(RuntimeError(f"wrong {s}"))),
    "bytes": lambda s: repr(s.encode()),
    "json": lambda s: json.dumps({"secret": s}),
    "json in utf-8": lambda s: json.dumps({"key": s}, ensure_ascii=False),
    "json in json": lambda s: json.dumps({"body": json.dumps({"key": s})}),
    "query": lambda s: f"https://api.example/cgi-bin/token?{urlencode({'secret': s, 'x': 1})}",
    "raw query": lambda s: f"/wechat?a=1&token={quote(s)}&b=2",
    "lower-case escapes": lambda s: quote(s, safe="").replace("%2F", "%2f").replace("%3D", "%3d"),
    "password": lambda s: f"redis://user:{quote(s, safe='')}@redis:6379/0",
    "html": lambda s: f"<p>{html.escape(s)}</p>",
    "in quotes thrice": lambda s: json.dumps(json.dumps(repr(s))),
    "encoded twice": lambda s: quote(quote(s, safe="")),
    "form": lambda s: f"grant_type=x&k={quote_plus(s)}",
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("way", ["json", "console"])
@given(secrets)
def test_no_secret_survives_in_a_line(form: str, way: LogFormat, secret: str) -> None:
    text = FORMS[form](secret)
    with written(way, Mask([secret])) as lines:
        log.error("failed", error=text)
        foreign.error("failed: %s", text)
        log.error("failed", secrets=[text], exc_info=ValueError(text))
    shown = lines.text
    assert "***" in shown
    for found in (secret, quote(secret, safe=""), quote_plus(secret), json.dumps(secret)[1:-1]):
        assert found not in shown
    if way == "json":
        assert secret not in json.dumps(lines.objects, ensure_ascii=False)
        assert len(lines.objects) == 3


@given(st.lists(secrets, min_size=1, max_size=8), st.data())
def test_of_secrets_in_each_other_none_survives(known: list[str], data: st.DataObject) -> None:
    known += [known[0] + known[-1], known[0][: SHORTEST + 1]]
    text = " ".join(data.draw(st.permutations(known)))
    masked = Mask(known)(text)
    assert not any(secret in masked for secret in known)


def test_the_longest_is_masked_whole() -> None:
    assert Mask(["abcdefgh", "abcdefghijkl"])("x abcdefghijkl y") == "x *** y"


def test_a_short_one_is_not_looked_for() -> None:
    assert Mask(["token", ""])("the token is wrong") == "the token is wrong"
    assert Mask(["x" * SHORTEST])("x" * SHORTEST) == "***"


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("GET /x?access_token=abc_D-9&x=1", "GET /x?access_token=***&x=1"),
        ("/x?appid=wx1&secret=abc&js_code=0a1 x", "/x?appid=wx1&secret=***&js_code=*** x"),
        ("/oauth/main/callback?code=0a1b&state=s", "/oauth/main/callback?code=***&state=s"),
        ("/wechat?msg_signature=0a&nonce=1", "/wechat?msg_signature=***&nonce=1"),
        ("?openid=oShort&x=1", "?openid=***&x=1"),
        ("to=%2Fx%3Faccess_token%3Dabc", "to=%2Fx%3Faccess_token%3D***"),
        ("errcode=40001 status_code=200", "errcode=40001 status_code=200"),
        ("Authorization: Bearer eyJ.a-b_c=", "Authorization: Bearer ***"),
        ("authorization: Basic dXNlcjpwYXNz", "authorization: Basic ***"),
        ("redis://:pass@redis:6379/0", "redis://:***@redis:6379/0"),
        ("postgresql://u:p@ss:w@db/x", "postgresql://u:***@db/x"),
        ("http://127.0.0.1:8000/x?a=b@c", "http://127.0.0.1:8000/x?a=b@c"),
        (
            '{"access_token": "abc", "expires_in": 7200}',
            '{"access_token": "***", "expires_in": 7200}',
        ),
        (
            r'{"x": "{\"session_key\":\"a/b==\",\"y\":1}"}',
            r'{"x": "{\"session_key\":\"***\",\"y\":1}"}',
        ),
        ("{'refresh_token': 'abc', 'code': 0}", "{'refresh_token': '***', 'code': 0}"),
        (r'{"secret": "a\"b", "event": "x"}', '{"secret": "***", "event": "x"}'),
        (r'{"secret": "ab\\", "event": "x"}', '{"secret": "***", "event": "x"}'),
        ("callback refused reason=signature", "callback refused reason=signature"),
        ("a bearer of news", "a bearer *** news"),
    ],
)
def test_patterns_are_masked_where_the_value_is_not_known(text: str, masked: str) -> None:
    assert Mask()(text) == masked


class TestOpenIds:
    """What stands for a user."""

    def test_they_stand_as_a_hash(self) -> None:
        digest = hashlib.sha256(OPEN_ID.encode()).hexdigest()
        assert open_id_hash(OPEN_ID) == f"user:{digest[:12]}"

    @given(open_ids)
    def test_of_none_more_than_the_hash_is_in_a_line(self, open_id: str) -> None:
        texts = (
            open_id,
            f"no user {open_id}.",
            f"first\n{open_id}\r\n\t{open_id}",
            f"/x?openid={open_id}&lang=zh_CN",
            quote(f"/x?openid={open_id}&lang=zh_CN", safe=""),
            f'{{"openid":"{open_id}","unionid": "{open_id}"}}',
            json.dumps({"body": json.dumps({"touser": open_id})}),
            repr([f"a\n{open_id}", f"\x01{open_id}", f"\x85{open_id}"]),
            f"['{open_id}', \"{open_id}\"]",
        )
        ways: tuple[LogFormat, ...] = ("json", "console")
        for way in ways:
            with written(way) as lines:
                for text in texts:
                    log.info("said", text=text)
                    foreign.info("said %s", text)
            assert open_id not in lines.text
            assert lines.text.count(open_id_hash(open_id)) >= 2 * len(texts)

    @pytest.mark.parametrize("open_id", [OPEN_ID, UNION_ID])
    def test_those_of_wechat_are_known(self, open_id: str) -> None:
        assert Mask()(f"of {open_id}!") == f"of {open_id_hash(open_id)}!"

    @pytest.mark.parametrize(
        "text",
        [
            OPEN_ID + "x",
            "x" + OPEN_ID,
            OPEN_ID[:-1],
            "0af7651916cd43dd8448eb211c80319c",
            "callback refused",
            open_id_hash(OPEN_ID),
            f"openid={open_id_hash(OPEN_ID)}",
            f'"openid": "{open_id_hash(OPEN_ID)}"',
        ],
    )
    def test_other_words_stay(self, text: str) -> None:
        assert Mask()(text) == text

    def test_one_that_no_encoding_takes_has_a_hash_too(self) -> None:
        assert open_id_hash("\ud800") != open_id_hash("\ud801")


@given(st.text(), st.lists(secrets, max_size=3))
def test_what_is_masked_stays_as_it_is(text: str, known: list[str]) -> None:
    mask = Mask(known)
    once = mask(text + f" openid={OPEN_ID} code=1 Bearer {known}")
    assert mask(once) == once


@given(st.dictionaries(st.text(), st.text() | st.lists(st.text())), secrets)
def test_a_line_of_json_stays_json(fields: dict[str, object], secret: str) -> None:
    line = json.dumps({"event": secret, **fields, "secret": secret, "url": "x://u:p@h"})
    assert isinstance(json.loads(Mask([secret])(line)), dict)


def test_a_key_of_base64_is_masked_in_urls_too() -> None:
    key = "whsec_" + base64.b64encode(bytes(range(200, 232))).decode()
    for form in (key, quote(key), quote(key, safe="")):
        assert Mask([key])(f"x={form}&y") == "x=***&y"
