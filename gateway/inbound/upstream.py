"""Upstreams: endpoints that are asked in place of a handler, so that a bot is of any language."""

from collections.abc import Sequence
from typing import NamedTuple

from gateway.inbound.bot import Bot
from gateway.inbound.context import Context
from gateway.inbound.outbox import Subscription
from gateway.inbound.publishing import Asker, outgoing_of
from gateway.protocol.cloudevents import TYPES, encode, event_of
from gateway.protocol.dedupe import dedupe_key
from gateway.protocol.json_replies import reply_of
from gateway.protocol.messages import Message
from gateway.protocol.replies import Reply
from gateway.telemetry.tracing import current_origin, traceparent_of


class Upstream(NamedTuple):
    """An endpoint, with what it is asked about."""

    subscription: Subscription
    asker: Asker
    seconds: float
    """How long its answer may take."""


def with_upstreams(bot: Bot, upstreams: Sequence[Upstream]) -> Bot:
    """Return a bot that asks the upstreams about what no handler of ``bot`` takes.

    What stands around the bot's handlers stands around that too.
    """
    if not upstreams:
        return bot
    whole, asking = Bot(), bot.surroundings()
    whole.include(bot)
    whole.include(asking)

    @asking.on(Message)
    async def ask(message: Message, context: Context) -> Reply | None:
        type_, account = TYPES[type(message)], context.account
        for upstream in upstreams:
            if upstream.subscription.wants(type_, account.name):
                key = dedupe_key(account.app_id, message)
                # The handler's span, which this is called in.
                traceparent = traceparent_of(current_origin())
                trace_id = context.trace_id
                event = event_of(account.name, account.app_id, message, key, trace_id, traceparent)
                outgoing = outgoing_of(encode(event))
                return reply_of(await upstream.asker.ask(outgoing, upstream.seconds))
        return None

    return whole
