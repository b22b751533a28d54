"""A callback as Granian hands it over, by RSGI."""

import time
from typing import Final

from granian.rsgi import HTTPProtocol, Scope  # type: ignore[attr-defined]  # without saying so

from gateway.http.asgi import PATH
from gateway.http.callback import Answer, Request

_NAME_AT: Final = len(PATH)


class RsgiRequest(Request):
    """A callback of Granian's."""

    __slots__ = ("_protocol", "_scope")

    def __init__(self, scope: Scope, protocol: HTTPProtocol, method: str, path: str) -> None:
        """``method`` and ``path`` are the scope's, which makes them anew each time it is asked."""
        self.method = method
        self.name = path[_NAME_AT:].strip("/")
        # Whatever it was on the wire, Granian makes sound UTF-8 of it.
        self.raw_query = scope.query_string.encode()
        self.answered = False
        self.arrived = time.monotonic()
        self._scope = scope
        self._protocol = protocol

    async def read(self, limit: int) -> bytes | None:
        """Read what it declares; where it declares nothing, what comes."""
        declared = declared_size(self._scope)
        if declared is not None:
            return await self._protocol() if declared <= limit else None
        chunks = []
        size = 0
        async for chunk in self._protocol:
            size += len(chunk)
            if size > limit:
                return None
            chunks.append(chunk)
        return b"".join(chunks)

    def header(self, name: str) -> str | None:
        """Return a header by its name in lower case."""
        found: str | None = self._scope.headers.get(name)
        return found

    def send(self, answer: Answer) -> None:
        """Hand the answer to Granian, which does not wait."""
        self._protocol.response_bytes(answer.status, answer.headers, answer.body)


def declared_size(scope: Scope) -> int | None:
    """Return what Content-Length says, in bytes; None where it says nothing sound."""
    declared: str | None = scope.headers.get("content-length")
    if declared is None or not declared.isdecimal() or len(declared) >= 20:
        return None
    return int(declared)
