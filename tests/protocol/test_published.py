"""Every published callback, run through the whole pure path with both kernels."""

import json
from typing import Any

import pytest

from gateway.errors import Refused
from gateway.kernels import Fields
from gateway.protocol.account import Account, Mode, decode_aes_key
from gateway.protocol.callback import echo, receive
from gateway.protocol.query import parse_query
from gateway.protocol.replies import Reply, to_reply
from tests.support import Kernels, make_account, vectors

CRYPTO = vectors("crypto.json")
POSTS = [v for v in CRYPTO if v["kind"] == "msg_decrypt"]
GETS = [v for v in CRYPTO if v.get("response_body") is not None]


def _account(kernels: Kernels, vector: dict[str, Any]) -> Account:
    key = vector.get("encoding_aes_key")
    return make_account(
        app_id=vector.get("appid", "wx"),
        tokens=(vector["token"].encode(),),
        # Cases without a mode assume the account is in safe mode, says the vectors' README.
        mode=Mode(vector.get("mode") or "safe"),
        ciphers=(kernels.EnvelopeCipher(decode_aes_key(key)),) if key else (),
    )


def test_the_vectors_are_all_there() -> None:
    assert len(CRYPTO) == 62
    assert len(POSTS) == 45
    assert {v["expect"] for v in POSTS} == {"accept", "reject"}


@pytest.mark.parametrize(
    "vector", [v for v in POSTS if v["expect"] == "accept"], ids=lambda v: v["name"]
)
def test_a_sound_callback_is_received_with_what_was_sealed(
    kernels: Kernels, vector: dict[str, Any]
) -> None:
    received = receive(
        _account(kernels, vector),
        vector["query"].encode(),
        vector["body"].encode(),
        float(vector["timestamp"]),
    )
    sealed: Fields = (
        json.loads(vector["plaintext"])
        if vector["format"] == "json"
        else kernels.extract(vector["plaintext"].encode())
    )
    assert received.message.raw == sealed
    assert received.as_json is (vector["format"] == "json")


@pytest.mark.parametrize(
    "vector", [v for v in POSTS if v["expect"] == "reject"], ids=lambda v: v["name"]
)
def test_an_unsound_callback_is_refused(kernels: Kernels, vector: dict[str, Any]) -> None:
    with pytest.raises(Refused):
        receive(
            _account(kernels, vector),
            vector["query"].encode(),
            vector["body"].encode(),
            float(vector["timestamp"]),
        )


@pytest.mark.parametrize("vector", GETS, ids=lambda v: v["name"])
def test_a_url_verification_is_answered_byte_for_byte(
    kernels: Kernels, vector: dict[str, Any]
) -> None:
    account = _account(kernels, vector)
    query = parse_query(vector["query"].encode())
    if vector["expect"] == "reject":
        with pytest.raises(Refused):
            echo(account, query, float(vector["timestamp"]))
    else:
        assert echo(account, query, float(vector["timestamp"])) == vector["response_body"].encode()


REPLIES = vectors("replies/index.json")


def test_the_published_replies_are_all_there() -> None:
    assert {v["msgtype"] for v in REPLIES} >= {"text", "image", "voice", "video", "music", "news"}


def test_a_reply_is_not_made_from_anything_else() -> None:
    for value in (1, b"bytes", {"a": 1}, [1], ["text"], object()):
        with pytest.raises(TypeError, match="a handler returns"):
            to_reply(value)
    assert to_reply(Reply()) == Reply()
