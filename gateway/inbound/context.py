"""What a handler may ask about the delivery that it handles, beside the message itself."""

from collections.abc import Callable, Mapping
from functools import cached_property
from types import MappingProxyType
from urllib.parse import parse_qsl

from gateway.protocol.account import Account


class Context:
    """One delivery of a message; trace id and query are worked out when they are asked for."""

    def __init__(
        self,
        account: Account,
        raw_query: bytes,
        *,
        trace_id: Callable[[], str],
        attempt: int,
    ) -> None:
        self.account = account
        """The account that the message was sent to."""
        self._raw_query = raw_query
        self._trace_id = trace_id
        self.attempt = attempt
        """Which delivery of this message this is, 1 for the first, as this process saw them."""

    @cached_property
    def trace_id(self) -> str:
        """32 hex digits: the caller's W3C trace, or a new one; stands in the log lines."""
        return self._trace_id()

    @cached_property
    def query(self) -> Mapping[str, str]:
        """The callback's query parameters, WeChat's own and those put in the URL; last one wins."""
        pairs = parse_qsl(self._raw_query.decode("latin-1"), keep_blank_values=True)
        return MappingProxyType(dict(pairs))
