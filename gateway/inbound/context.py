"""What a handler may ask about the delivery that it handles, beside the message itself."""

from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType
from urllib.parse import parse_qsl

from gateway.errors import BotError
from gateway.identity.people import Person
from gateway.protocol.account import Account
from gateway.telemetry.message_trace import MessageTrace
from gateway.telemetry.tracing import traceparent_of


class Context:
    """One delivery of a message; trace id and query are worked out when they are asked for."""

    __slots__ = (
        *("_find_sender", "_query", "_sender", "_trace_id"),
        *("account", "arrived_at", "attempt", "key", "raw_query", "trace"),
    )

    def __init__(
        self,
        account: Account,
        raw_query: bytes,
        trace_id: str = "",
        attempt: int = 1,
        arrived_at: float = 0.0,
        key: bytes = b"",
    ) -> None:
        self.account = account
        """The account that the message was sent to."""
        self.raw_query = raw_query
        """The callback's query as it came."""
        self.attempt = attempt
        """Which delivery of this message this is, 1 for the first; for a background handler, which
        try."""
        self.arrived_at = arrived_at
        """When it arrived, in Unix seconds; 0 for a background handler."""
        self.key = key
        """The message's dedupe key, which all its deliveries have in common."""
        self.trace: MessageTrace | None = None
        """The spans of this delivery; None where it is not sampled."""
        self._trace_id = trace_id
        self._query: Mapping[str, str] | None = None

    @property
    def trace_id(self) -> str:
        """The caller's W3C trace, or the message's dedupe key: 32 hex digits.

        The key is the same for each delivery of the message. Stands in the log lines.
        """
        if not self._trace_id:
            self._trace_id = self.find_trace_id()
        return self._trace_id

    @property
    def origin(self) -> str:
        """Where what is stored for the message comes from, as tracing's ``written`` writes it."""
        return self.trace_id if self.trace is None else self.trace.origin

    @property
    def traceparent(self) -> str:
        """What tells others the span of this delivery; empty where it is not sampled."""
        return "" if self.trace is None else traceparent_of(self.trace.origin)

    def log_fields(self) -> Mapping[str, str]:
        """Return what stands on each log line that is written while the message is handled."""
        ids = {"account": self.account.name, "trace_id": self.trace_id}
        return {**ids, "message_id": self.key.hex()} if self.key else ids

    def find_trace_id(self) -> str:
        """Return the trace id where none was given: whoever has the request overrides this."""
        return ""

    @property
    def query(self) -> Mapping[str, str]:
        """The callback's query parameters, WeChat's own and those put in the URL; last one wins."""
        if self._query is None:
            pairs = parse_qsl(self.raw_query.decode("latin-1"), keep_blank_values=True)
            self._query = MappingProxyType(dict(pairs))
        return self._query

    async def identity(self) -> Person:
        """Return who sent the message: their ids in all apps, tags, roles; looked up once.

        Somebody new is a person of their own from now on. Raises BotError where nobody is known:
        the settings have no identity.secret, the message is of no user, or of one who was erased
        since; and StoreDown.
        """
        try:
            return self._sender
        except AttributeError:
            pass
        try:
            find = self._find_sender
        except AttributeError:
            raise BotError(
                "context.identity: nobody is known here: set identity.secret, and ask for it in "
                "what handles a user's message"
            ) from None
        person = await find()
        if person is None:
            raise BotError(
                "context.identity: the sender closed their account, and was erased since"
            )
        self._sender: Person = person
        return person

    def know(self, find: Callable[[], Awaitable[Person | None]]) -> None:
        """Let ``identity`` find who sent the message."""
        self._find_sender = find
