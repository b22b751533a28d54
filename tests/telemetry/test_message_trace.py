"""A delivery's trace: what is noted of it, and the spans that come of that."""

import asyncio
from typing import Final

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import Span, StatusCode

from gateway.telemetry.message_trace import HandlerSpan, MessageTrace
from gateway.telemetry.tracing import current_origin, span, start
from tests.traced import ABOUT, BEGAN, CALLBACK, Traced, id_of, links_of, parent_of

KEY: Final = "0123456789abcdef0123456789abcdef"
HANDLE: Final = "handle answer"


@pytest.fixture
def delivery(traced: Traced) -> MessageTrace:
    """A delivery that is sampled."""
    made = traced.begin(KEY)
    assert made is not None
    return made


def current() -> Span:
    """Return what a handler finds."""
    return trace.get_current_span()


def test_a_message_s_trace_has_its_key_for_an_id_and_a_span_for_each_step(
    traced: Traced, delivery: MessageTrace
) -> None:
    delivery.step("claim", {"gateway.claim": "fresh"})
    delivery.end(200)
    claim, root = traced.spans()
    assert (claim.name, root.name) == ("claim", CALLBACK)
    assert (id_of(root), parent_of(root)) == (delivery.origin, "")
    assert delivery.origin.startswith(f"{KEY}-")
    # What lies before the first step is what verifying it took.
    assert (root.start_time, claim.start_time) == (BEGAN, BEGAN + 1000)
    assert parent_of(claim) == id_of(root) != id_of(claim)
    assert claim.attributes == {"gateway.claim": "fresh"}
    assert root.attributes == {**ABOUT, "http.response.status_code": 200}


def test_every_delivery_of_a_message_is_in_one_trace(traced: Traced) -> None:
    for _ in range(3):
        one = traced.begin(KEY)
        assert one is not None
        one.end(200)
    ids = [id_of(one) for one in traced.spans()]
    assert ({one[:32] for one in ids}, len({*ids})) == ({KEY}, 3)


def test_a_failure_is_one_in_its_span(traced: Traced, delivery: MessageTrace) -> None:
    delivery.end(500)
    root = traced.one(CALLBACK)
    assert (root.status.status_code, (root.attributes or {})["error.type"]) == (
        StatusCode.ERROR,
        "500",
    )


def test_what_a_handler_does_is_below_its_span(traced: Traced, delivery: MessageTrace) -> None:
    with HandlerSpan(delivery, "answer"):
        stored = current_origin()
        with span("of its own"):
            pass
    assert current_origin() == ""
    delivery.end(200)
    handled, own = traced.one(HANDLE), traced.one("of its own")
    assert (id_of(handled), parent_of(handled)) == (stored, delivery.origin)
    assert parent_of(own) == stored
    assert [one.name for one in traced.spans()] == ["of its own", HANDLE, CALLBACK]


def test_a_handler_may_add_to_its_span(traced: Traced, delivery: MessageTrace) -> None:
    with HandlerSpan(delivery, "answer") as handler:
        assert current() is handler
        assert current().is_recording()
        stored = current_origin()
        current().set_attribute("shop.order", 7)
        current().set_attributes({"shop.sum": 1.5})
        current().add_event("paid", {"by": "card"})
        current().add_link(delivery.root)
        current().record_exception(ValueError("of the shop"))
        current().set_status(StatusCode.ERROR, "not in stock")
        current().update_name("sell")
        current().end()
        assert start("goes on") is not None
    assert not handler.is_recording()
    delivery.end(200)
    sold = traced.one("sell")
    assert (id_of(sold), parent_of(sold)) == (stored, delivery.origin)
    assert sold.attributes == {"shop.order": 7, "shop.sum": 1.5}
    assert [one.name for one in sold.events] == ["paid", "exception"]
    assert links_of(sold) == [delivery.origin]
    assert (sold.status.status_code, sold.status.description) == (StatusCode.ERROR, "not in stock")
    assert sold.start_time is not None
    assert sold.end_time is not None
    assert BEGAN < sold.start_time <= sold.end_time


@pytest.mark.parametrize("adds", [False, True])
def test_a_handler_s_error_is_told_by_its_type_alone(
    traced: Traced, delivery: MessageTrace, adds: bool
) -> None:
    def handle() -> None:
        with HandlerSpan(delivery, "answer"):
            if adds:
                current().set_attribute("a", 1)
            raise LookupError("words of a user")

    with pytest.raises(LookupError):
        handle()
    delivery.end(500)
    handled = traced.one(HANDLE)
    assert (handled.attributes or {})["error.type"] == "LookupError"
    assert (handled.status.status_code, handled.status.description) == (
        StatusCode.ERROR,
        "LookupError",
    )
    assert "words" not in "".join(one.to_json() for one in traced.spans())


@pytest.mark.parametrize("adds", [False, True])
def test_a_handler_that_ends_behind_its_answer_has_a_span_all_the_same(
    traced: Traced, delivery: MessageTrace, adds: bool
) -> None:
    with HandlerSpan(delivery, "answer"):
        delivery.end(200)
        if adds:
            current().set_attribute("a", 1)
        before = [one.name for one in traced.spans()]
    assert before == [CALLBACK]
    assert parent_of(traced.one(HANDLE)) == delivery.origin


def test_what_a_handler_leaves_behind_goes_on_from_its_span_and_adds_nothing(
    traced: Traced, delivery: MessageTrace
) -> None:
    async def later(go_on: asyncio.Event) -> str:
        await go_on.wait()
        current().set_attribute("late", True)
        return current_origin()

    async def scenario() -> str:
        go_on = asyncio.Event()
        with HandlerSpan(delivery, "answer"):
            task = asyncio.create_task(later(go_on))
        delivery.end(200)
        assert not traced.one(HANDLE).attributes
        go_on.set()
        return await task

    assert asyncio.run(scenario()) == id_of(traced.one(HANDLE))


def test_spans_are_whole_to_any_exporter(traced: Traced, delivery: MessageTrace) -> None:
    with HandlerSpan(delivery, "answer"):
        pass
    delivery.end(200)

    def told(one: ReadableSpan) -> tuple[object, ...]:
        return one.resource.attributes["service.name"], one.instrumentation_scope, one.to_json()

    for one in traced.spans():
        name, scope, text = told(one)
        assert name == "wechat-gateway"
        assert scope is not None
        assert KEY in str(text)
