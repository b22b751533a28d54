"""wechatpy as an independent peer: each side opens what the other seals."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wechatpy import parse_message
from wechatpy.crypto import WeChatCrypto
from wechatpy.exceptions import InvalidSignatureException
from wechatpy.utils import check_signature

from gateway.protocol.callback import receive, respond
from gateway.protocol.query import parse_query
from gateway.protocol.replies import TextReply
from gateway.simulator.sealing import make_callback, make_verification
from tests.support import (
    AES_KEY,
    APP_ID,
    NOW,
    TOKEN,
    Kernels,
    make_account,
    make_sender,
    text_document,
)

RANDOM = b"0123456789abcdef"
# wechatpy drops white space at both ends of a text; the gateway does not.
TEXT = (
    st.text(st.characters(exclude_categories=["Cc", "Cs", "Cn"]), max_size=80)
    .map(str.strip)
    .filter(bool)
)


def _peer() -> WeChatCrypto:
    return WeChatCrypto(TOKEN, AES_KEY, APP_ID)


@pytest.mark.parametrize("content", ["你好", "hello 😀", "a & b < c", "x" * 2000])
def test_what_wechatpy_seals_the_gateway_opens(kernels: Kernels, content: str) -> None:
    document = (
        "<xml><ToUserName>gh_1</ToUserName><FromUserName>o1</FromUserName>"
        f"<CreateTime>{NOW}</CreateTime><MsgType>text</MsgType>"
        f"<Content><![CDATA[{content}]]></Content><MsgId>1</MsgId></xml>"
    )
    body = _peer().encrypt_message(document, "nonce1", str(NOW))
    signature = kernels.extract(body.encode())["MsgSignature"]
    query = f"timestamp={NOW}&nonce=nonce1&encrypt_type=aes&msg_signature={signature}"
    received = receive(make_account(kernels), query.encode(), body.encode(), NOW)
    assert received.message.raw["Content"] == content


@given(TEXT)
def test_what_the_gateway_seals_wechatpy_opens(content: str) -> None:
    account, sender = make_account(), make_sender()
    callback = make_callback(sender, text_document(), now=NOW, nonce="77", random=RANDOM)
    received = receive(account, callback.query.encode(), callback.body, NOW)
    body = respond(account, received, TextReply(content), NOW, RANDOM).decode()
    from gateway.kernels import extract  # noqa: PLC0415 - only to take the signature out

    signature = extract(body.encode())["MsgSignature"]
    reply = _peer().decrypt_message(body, signature, str(NOW), "77")
    assert parse_message(reply).content == content


def test_the_simulator_s_callbacks_are_sound_to_wechatpy() -> None:
    callback = make_callback(make_sender(), text_document("hi"), now=NOW, nonce="5", random=RANDOM)
    query = parse_query(callback.query.encode())
    check_signature(TOKEN, query[b"signature"].decode(), str(NOW), "5")
    document = _peer().decrypt_message(
        callback.body.decode(), query[b"msg_signature"].decode(), str(NOW), "5"
    )
    assert parse_message(document).content == "hi"


def test_the_simulator_s_url_verification_is_sound_to_wechatpy() -> None:
    query = parse_query(make_verification(make_sender(), now=NOW, nonce="5", echostr="9").encode())
    check_signature(TOKEN, query[b"signature"].decode(), str(NOW), "5")
    with pytest.raises(InvalidSignatureException):
        check_signature(TOKEN, query[b"signature"].decode(), str(NOW), "6")
