"""The whole pure path over any account and message, by this gateway and by wechatpy."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import pytest
from wechatpy import create_reply, parse_message
from wechatpy.crypto import WeChatCrypto

from bench.growth.clock import WrongResult
from gateway.http.callback import RandomBlocks
from gateway.kernels import extract
from gateway.protocol.account import Account
from gateway.protocol.callback import receive, respond
from gateway.protocol.messages import Text
from gateway.protocol.replies import TextReply
from gateway.simulator.sealing import Callback, Sender, make_callback
from tests.support import NOW, text_document, use_kernels

NONCE: Final = "1372623149"
_RANDOM: Final = b"0123456789abcdef"

Answer = Callable[[Account, bytes, bytes], bytes]
"""Answers a sealed text to an account, given as raw query and body, with its sealed echo."""


@contextmanager
def kernels(name: str) -> Iterator[None]:
    """Let the gateway run on the kernels called ``compiled`` or ``pure``."""
    with pytest.MonkeyPatch.context() as patch:
        use_kernels(patch, name)
        yield


def gateway_path() -> Answer:
    """Return what answers with whichever kernels run."""
    random = RandomBlocks()

    def answer(account: Account, query: bytes, body: bytes) -> bytes:
        received = receive(account, query, body, NOW)
        message = received.message
        assert isinstance(message, Text)
        return respond(account, received, TextReply("echo: " + message.content), NOW, random())

    return answer


def wechatpy_path(crypto: WeChatCrypto, callback: Callback) -> Callable[[], str]:
    """Return what answers one callback as wechatpy's documentation shows it.

    The query is parsed already, which a web framework does.
    """
    signature = signature_of(callback)

    def answer() -> str:
        document = crypto.decrypt_message(callback.body, signature, str(NOW), NONCE)
        message = parse_message(document)
        reply = create_reply("echo: " + message.content, message)
        sealed: str = crypto.encrypt_message(reply.render(), NONCE, str(NOW))
        return sealed

    return answer


def callback_with(sender: Sender, content: str) -> Callback:
    """Return the callback that brings a text."""
    document = text_document(content)
    return make_callback(sender, document, now=NOW, nonce=NONCE, random=_RANDOM)


def check_echo(crypto: WeChatCrypto, reply: bytes, content: str) -> None:
    """Raise WrongResult unless the reply is what wechatpy, too, opens to the echo of a text."""
    signature = extract(reply)["MsgSignature"]
    document = crypto.decrypt_message(reply, signature, str(NOW), NONCE)
    echoed = extract(document.encode())["Content"]
    if echoed != f"echo: {content}":
        raise WrongResult(f"a text of {len(content)} characters was answered {echoed[:40]!r}")


def signature_of(callback: Callback) -> str:
    """Return the msg_signature, which stands last in the query."""
    return callback.query.rpartition("msg_signature=")[2]
