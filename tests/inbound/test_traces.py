"""A message's trace goes on in all that is stored of it, and in all that is asked for it."""

import asyncio
from typing import Final

import msgspec
from litestar import Litestar
from litestar.testing import TestClient

from gateway import Bot, CloudEvent, Context, Text
from gateway.adapters.memory import MemoryStore
from gateway.http.arrivals import tracing_middleware
from gateway.http.events import events_route
from gateway.http.refusals import Refusals
from gateway.inbound.background import Background
from gateway.inbound.claims import Entry
from gateway.inbound.commit import GroupCommit
from gateway.inbound.event_handlers import EventHandler
from gateway.inbound.ingest import Ingest
from gateway.inbound.outbox import Outbox, Subscription
from gateway.inbound.ports import Taken
from gateway.inbound.producers import Acknowledged, Sent, produced_event
from gateway.inbound.publishing import outgoing_of
from gateway.inbound.stored import ORIGIN, store_message
from gateway.inbound.upstream import with_upstreams
from gateway.protocol.cloudevents import encode
from gateway.protocol.decode import decode
from gateway.telemetry.message_trace import HandlerSpan
from gateway.telemetry.tracing import current_origin
from tests.e2e.test_producers import signed
from tests.e2e.test_sinks import SECRET
from tests.http.test_refusals import Clock
from tests.inbound.driving import ask, make_context
from tests.inbound.test_upstream import HELLO, Asked, upstream
from tests.support import make_account, text_document
from tests.traced import CALLBACK, CALLER, TRACE, Traced, id_of, parent_of
from tests.traced import ORIGIN as THEIRS

KEY: Final = "12" * 16
TEXT: Final = decode(text_document())


def delivery(traced: Traced) -> Context:
    """Return a delivery that is sampled."""
    context = make_context(trace_id=KEY)
    context.trace = traced.begin(KEY)
    assert context.trace is not None
    return context


def end(context: Context) -> None:
    """Answer it."""
    assert context.trace is not None
    context.trace.end(200)


def test_an_event_brings_the_span_of_its_delivery_and_unsampled_none(traced: Traced) -> None:
    outbox = Outbox([Subscription("sink.crm", ("*",))])
    context = delivery(traced)
    (entry,) = outbox.entries(bytes.fromhex(KEY), TEXT, context)
    end(context)
    traceparent = f"00-{id_of(traced.one(CALLBACK))}-01"
    assert msgspec.json.decode(entry.body, type=CloudEvent).traceparent == traceparent
    assert outgoing_of(entry.body).traceparent == traceparent
    (entry,) = outbox.entries(bytes.fromhex(KEY), TEXT, make_context(trace_id=KEY))
    assert b"traceparent" not in entry.body
    assert outgoing_of(entry.body).traceparent == ""


def test_an_upstream_is_asked_in_the_handler_s_span(traced: Traced) -> None:
    asked = Asked(HELLO)
    ingest = Ingest(with_upstreams(Bot(), [upstream(asked)]))

    async def scenario() -> None:
        context = delivery(traced)
        assert context.trace is not None
        with HandlerSpan(context.trace, "upstream"):
            await ask(ingest, TEXT, context)
        end(context)
        await ask(ingest, TEXT)

    asyncio.run(scenario())
    (sampled, _), (unsampled, _) = asked.asked
    assert sampled.traceparent == f"00-{id_of(traced.one('handle upstream'))}-01"
    assert unsampled.traceparent == ""


def test_a_background_handler_s_reply_goes_on_from_its_span(traced: Traced) -> None:
    bot = Bot()

    @bot.on(Text, background=True)
    async def answer(_message: Text) -> str:
        return "at last"

    context = delivery(traced)
    entry = store_message(bytes.fromhex(KEY), TEXT, context)
    end(context)
    accounts = {"main": make_account()}

    async def scenario() -> tuple[Entry, ...]:
        commit = GroupCommit(MemoryStore(600).commit)
        background = Background(Ingest(bot), accounts, commit, b"one")
        return await background.handle(Taken("1", entry, 1, 0.0))

    (reply,) = asyncio.run(scenario())
    span = traced.one("process background")
    assert parent_of(span) == id_of(traced.one(CALLBACK))
    assert msgspec.json.decode(reply.body)[ORIGIN] == id_of(span)


def test_a_handler_of_events_works_in_its_event_s_trace(traced: Traced) -> None:
    seen: list[str] = []

    async def handle(_event: CloudEvent) -> None:
        seen.append(current_origin())

    sent = Sent("billing", "1", 1, "command/stop", "application/json", b"{}", TRACE)
    for one in (sent._replace(traceparent=CALLER), sent):
        entry = Entry("event.x", "", "command/stop", encode(produced_event(one, {})))
        asyncio.run(EventHandler(handle).handle(Taken("1", entry, 1, 0.0)))
    (span,) = traced.spans()
    assert (span.name, parent_of(span)) == ("process event", THEIRS)
    assert seen == [id_of(span), ""]


def test_a_producer_s_event_is_in_its_trace_and_a_stranger_s_makes_no_span(
    traced: Traced,
) -> None:
    taken: list[Sent] = []

    async def take(sent: Sent) -> Acknowledged:
        taken.append(sent)
        return Acknowledged("1", "command/stop", 1)

    refusals = Refusals(lambda: Clock().call_later)
    route = events_route(take, {"billing": [SECRET]}, refusals, max_body=1000)
    middleware = [tracing_middleware(traced.tracing)]
    with TestClient(Litestar([route], middleware=middleware, openapi_config=None)) as client:
        headers = {"content-type": "application/json", "traceparent": CALLER}
        wrong = signed("{}", "1") | headers | {"webhook-signature": "v1,AAAA"}
        assert client.post("/events", content="{}", headers=wrong).status_code == 401
        assert traced.spans() == []
        right = signed("{}", "1") | headers
        assert client.post("/events", content="{}", headers=right).status_code == 202
    (span,), (sent,) = traced.spans(), taken
    assert (span.name, parent_of(span)) == ("POST /events", THEIRS)
    assert (sent.trace_id, sent.traceparent) == (TRACE, f"00-{id_of(span)}-01")
    assert produced_event(sent, {}).traceparent == sent.traceparent
