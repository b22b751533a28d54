"""The whole pure path, from a request's query and body to the body of the sealed answer."""

from collections.abc import Callable

from bench.micro.samples import BODY, QUERY
from gateway.http.callback import RandomBlocks
from gateway.protocol.callback import receive, respond
from gateway.protocol.messages import Text
from gateway.protocol.replies import TextReply
from tests.support import NOW, Kernels, make_account


def whole_path(kernels: Kernels) -> Callable[[], bytes]:
    """Return what answers one sealed text with its sealed echo, over these kernels."""
    account, random = make_account(kernels, timestamp_window=600), RandomBlocks()

    def answer() -> bytes:
        received = receive(account, QUERY, BODY, NOW)
        message = received.message
        assert isinstance(message, Text)
        return respond(account, received, TextReply("echo: " + message.content), NOW, random())

    return answer
