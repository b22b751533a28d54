"""One suite over all publishers, each with its real broker."""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Final

import pytest
from opentelemetry.trace import SpanKind, StatusCode

from gateway.adapters.kafka import Kafka
from gateway.adapters.nats import NatsJetStream
from gateway.adapters.rabbitmq import RabbitMQ
from gateway.adapters.redis_sinks import RedisStream
from gateway.errors import SettingsError
from gateway.inbound.publishing import (
    ACCEPTED,
    Accepted,
    Later,
    Limits,
    Never,
    Outgoing,
    Published,
    Publisher,
)
from tests.contracts.sinks import (
    KINDS,
    KafkaPlace,
    NatsPlace,
    Place,
    Running,
    StreamPlace,
    running,
)
from tests.services import free_port
from tests.traced import CALLER, ORIGIN, UNSAMPLED, Traced, id_of, parent_of

PATIENT: Final = Limits(seconds=15, max_bytes=100_000)
HASTY: Final = Limits(seconds=1, max_bytes=100_000)


@pytest.fixture(scope="module", params=KINDS)
def sink(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Running]:
    with running(request.param, tmp_path_factory.mktemp(request.param)) as it:
        yield it


def events(numbers: Sequence[int]) -> list[Outgoing]:
    """Return events of three users, with bytes that a careless codec would change."""
    return [
        Outgoing(
            f"{number:032x}",
            "message.text",
            f"user{number % 3}",
            f'{{"id": "{number:032x}",  "data": "你好 \\u0001 é \U0001f600"}}'.encode(),
        )
        for number in numbers
    ]


@asynccontextmanager
async def publishing(place: Place, limits: Limits = PATIENT) -> AsyncIterator[Publisher]:
    """Start a publisher, and close it."""
    publisher = place.publisher(limits)
    try:
        await publisher.start()
        yield publisher
    finally:
        await publisher.close()


async def publish_until_accepted(publisher: Publisher, batch: list[Outgoing]) -> None:
    """Do what the outbox does: try again what was not accepted."""
    async with asyncio.timeout(60):
        while batch:
            published = await publisher.publish(batch)
            assert all(isinstance(each, Accepted | Later) for each in published)
            batch = [e for e, each in zip(batch, published, strict=True) if each != ACCEPTED]


def only(name: str) -> pytest.MarkDecorator:
    """Run a test with one kind of sink."""
    return pytest.mark.parametrize("sink", [name], indirect=True)


async def refusal(publisher: Publisher) -> str:
    """Return what is said at start."""
    with pytest.raises(SettingsError) as refused:
        await publisher.start()
    await publisher.close()
    return str(refused.value)


def all_later(published: list[Published]) -> bool:
    """Say whether all events are to be tried again, each for a reason."""
    return all(isinstance(each, Later) and each.reason for each in published)


def test_what_was_accepted_is_there_with_its_id_its_bytes_and_in_order(sink: Running) -> None:
    async def scenario() -> None:
        async with sink.opened() as place, publishing(place) as publisher:
            sent = events(range(20))
            assert await publisher.publish(sent) == [ACCEPTED] * 20
            got = await place.read(20)
            if not sink.kind.ordered:
                got = sorted(got, key=lambda each: each.body)
            assert [each.body for each in got] == [event.body for event in sent]
            for each, event in zip(got, sent, strict=True):
                assert each.id in (None, event.id)

    asyncio.run(scenario())


def test_an_event_that_is_sampled_is_sent_in_a_span_that_goes_along_and_no_other_has_one(
    sink: Running, traced: Traced
) -> None:
    async def scenario() -> None:
        async with sink.opened() as place, publishing(place) as publisher:
            plain, sampled, unsampled = events(range(3))
            sampled = sampled._replace(traceparent=CALLER)
            unsampled = unsampled._replace(traceparent=UNSAMPLED)
            sent = [plain, sampled, unsampled]
            assert await publisher.publish(sent) == [ACCEPTED] * 3
            (span,) = traced.spans()
            assert parent_of(span) == ORIGIN
            told = span.attributes or {}
            assert told["gateway.event.type"] == "message.text"
            got = {each.body: each.traceparent for each in await place.read(3)}
            along: str | None = f"00-{id_of(span)}-01"
            if sink.name == "http":
                assert (span.name, span.kind) == ("POST", SpanKind.CLIENT)
                assert told["http.response.status_code"] == 204
            else:
                assert (span.name, span.kind) == (f"send {place.name}", SpanKind.PRODUCER)
                assert told["messaging.message.id"] == sampled.id
            if sink.name == "redis_pubsub":
                # It has no place for it beside the event.
                along = None
            assert (got[plain.body], got[sampled.body]) == (None, along)
            assert got[unsampled.body] in (None, UNSAMPLED)
            # Whose key it is, and what it says, nobody is told.
            assert sampled.key not in span.to_json()
            assert "你好" not in span.to_json()

    asyncio.run(scenario())


def test_a_span_tells_why_an_event_was_not_taken(sink: Running, traced: Traced) -> None:
    async def scenario() -> None:
        async with sink.opened() as place:
            publisher = place.publisher(HASTY, f"{sink.kind.scheme}127.0.0.1:{free_port()}")
            (event,) = events([0])
            assert all_later(await publisher.publish([event._replace(traceparent=CALLER)]))
            await publisher.close()
            (span,) = traced.spans()
            assert span.status.status_code is StatusCode.ERROR
            assert (span.attributes or {})["error.type"]

    asyncio.run(scenario())


def test_a_thousand_events_arrive_in_batches(sink: Running) -> None:
    async def scenario() -> None:
        async with sink.opened() as place, publishing(place) as publisher:
            sent = events(range(1000))
            for start in range(0, 1000, publisher.batch):
                batch = sent[start : start + publisher.batch]
                assert await publisher.publish(batch) == [ACCEPTED] * len(batch)
            bodies = [each.body for each in await place.read(1000)]
            assert sorted(bodies) == [event.body for event in sent]
            if sink.kind.ordered:
                assert bodies == sorted(bodies)

    asyncio.run(scenario())


def test_an_oversized_event_fails_alone(sink: Running) -> None:
    async def scenario() -> None:
        async with sink.opened() as place, publishing(place) as publisher:
            before, large, after = events(range(3))
            large = large._replace(body=b"x" * (PATIENT.max_bytes + 1))
            assert await publisher.publish([before, large, after]) == [
                ACCEPTED,
                Never("oversized: 100001 bytes"),
                ACCEPTED,
            ]
            assert {each.body for each in await place.read(2)} == {before.body, after.body}

    asyncio.run(scenario())


def test_a_broker_that_was_gone_is_used_again_by_the_same_publisher(sink: Running) -> None:
    async def scenario() -> None:
        async with sink.opened() as place, publishing(place, HASTY) as publisher:
            await publish_until_accepted(publisher, events([0]))
            await place.read(1)
            await place.close()
            await place.cut_off()
            assert all_later(await publisher.publish(events([1, 2, 3])))
            await place.come_back()
            await place.open()
            await publish_until_accepted(publisher, events([4, 5]))
            await place.arrived(events([4, 5]))

    asyncio.run(scenario())


def test_a_broker_that_hangs_leaves_all_for_later(sink: Running) -> None:
    async def scenario() -> None:
        async with sink.opened() as place, publishing(place, HASTY) as publisher:
            await publish_until_accepted(publisher, events([0]))
            await place.hang()
            try:
                assert all_later(await publisher.publish(events([1, 2, 3])))
            finally:
                await place.go_on()
            await publish_until_accepted(publisher, events([1, 2, 3]))
            # What timed out may have arrived all the same, and then arrives twice.
            await place.arrived(events(range(4)))

    asyncio.run(scenario())


def test_a_publisher_can_be_closed_while_its_broker_hangs(sink: Running) -> None:
    async def scenario() -> None:
        async with sink.opened() as place, publishing(place, HASTY) as publisher:
            await publish_until_accepted(publisher, events([0]))
            await place.hang()
            try:
                await publisher.close()
            finally:
                await place.go_on()

    asyncio.run(scenario())


def test_closing_twice_is_closing(sink: Running) -> None:
    async def scenario() -> None:
        async with sink.opened() as place:
            unused = place.publisher(PATIENT)
            await unused.close()
            await unused.close()
            async with publishing(place) as publisher:
                assert await publisher.publish([]) == []
                assert await publisher.publish(events([0])) == [ACCEPTED]
                await publisher.close()

    asyncio.run(scenario())


def test_a_broker_that_is_not_there_is_named_at_start_with_the_fix(sink: Running) -> None:
    async def scenario() -> None:
        async with sink.opened() as place:
            publisher = place.publisher(HASTY, f"{sink.kind.scheme}127.0.0.1:{free_port()}")
            with pytest.raises(SettingsError, match=r"^sinks\.\w+: .*; start .*, or correct "):
                await publisher.start()
            assert all_later(await publisher.publish(events([0, 1])))
            await publisher.close()

    asyncio.run(scenario())


@only("rabbitmq")
def test_an_event_that_no_queue_is_bound_for_is_reported(sink: Running) -> None:
    async def scenario() -> None:
        async with sink.opened() as place, publishing(place) as publisher:
            routed, unroutable, other = events(range(3))
            unroutable = unroutable._replace(type="user.subscribed")
            first, second, third = await publisher.publish([routed, unroutable, other])
            assert (first, third) == (ACCEPTED, ACCEPTED)
            assert isinstance(second, Later)
            assert second.reason.startswith("unroutable: ")
            assert {each.body for each in await place.read(2)} == {routed.body, other.body}

    asyncio.run(scenario())


@only("nats")
def test_an_event_that_is_tried_twice_is_once_in_the_stream(sink: Running) -> None:
    async def scenario() -> None:
        async with sink.opened() as place, publishing(place) as publisher:
            for _ in range(2):
                assert await publisher.publish(events([0])) == [ACCEPTED]
            assert await publisher.publish(events([1])) == [ACCEPTED]
            assert [each.body for each in await place.read(2)] == [e.body for e in events([0, 1])]

    asyncio.run(scenario())


@only("nats")
def test_the_server_s_own_limit_makes_an_event_oversized(sink: Running) -> None:
    async def scenario() -> None:
        generous = Limits(seconds=15, max_bytes=4_000_000)
        async with sink.opened() as place, publishing(place, generous) as publisher:
            before, large, after = events(range(3))
            large = large._replace(body=b"x" * 2_000_000)
            assert await publisher.publish([before, large, after]) == [
                ACCEPTED,
                Never("oversized: 2000000 bytes"),
                ACCEPTED,
            ]

    asyncio.run(scenario())


@only("nats")
def test_the_stream_s_own_limit_makes_an_event_oversized(sink: Running) -> None:
    async def scenario() -> None:
        async with sink.opened() as place, publishing(place) as publisher:
            assert isinstance(place, NatsPlace)
            await place.limit_messages(1000)
            before, large = events(range(2))
            large = large._replace(body=b"x" * 2000)
            published = await publisher.publish([before, large])
            assert published == [ACCEPTED, Never("oversized: 2000 bytes")]

    asyncio.run(scenario())


@only("kafka")
def test_the_producer_s_own_limit_makes_an_event_oversized(sink: Running) -> None:
    async def scenario() -> None:
        async with sink.opened() as place:
            options = {"message.max.bytes": "1000"}
            publisher = Kafka("kafka", place.broker.url, place.name, PATIENT, options=options)
            before, large, after = events(range(3))
            large = large._replace(body=b"x" * 2000)
            assert await publisher.publish([before, large, after]) == [
                ACCEPTED,
                Never("oversized: 2000 bytes"),
                ACCEPTED,
            ]
            await publisher.close()

    asyncio.run(scenario())


@only("kafka")
def test_a_producer_that_failed_for_good_is_replaced(sink: Running) -> None:
    async def scenario() -> None:
        async with sink.opened() as place:
            place.broker.refuse_producers()
            async with publishing(place, HASTY) as publisher:
                assert all_later(await publisher.publish(events([0])))
                await publish_until_accepted(publisher, events([1]))
                await place.arrived(events([1]))

    asyncio.run(scenario())


@only("kafka")
def test_a_record_says_whose_event_it_is_and_of_what_form(sink: Running) -> None:
    async def scenario() -> None:
        async with sink.opened() as place, publishing(place) as publisher:
            assert isinstance(place, KafkaPlace)
            mine, nobodys = events(range(2))
            await publisher.publish([mine, nobodys._replace(key="")])
            await place.read(2)
            assert place.keys == [mine.key.encode(), None]
            assert place.headers == [[("content-type", b"application/cloudevents+json")]] * 2

    asyncio.run(scenario())


@only("redis_stream")
def test_a_stream_with_a_length_forgets_its_oldest_entries(sink: Running) -> None:
    async def scenario() -> None:
        async with sink.opened() as place:
            publisher = RedisStream("s", place.broker.url, place.name, PATIENT, max_length=10)
            assert await publisher.publish(events(range(500))) == [ACCEPTED] * 500
            await place.collect()
            assert 10 <= len(place.got) < 500
            assert place.got[-1].body == events([499])[0].body
            await publisher.close()

    asyncio.run(scenario())


@only("rabbitmq")
def test_a_missing_exchange_is_named_at_start(sink: Running) -> None:
    async def scenario() -> None:
        async with sink.opened() as place:
            place.name = "nowhere"
            said = await refusal(place.publisher(PATIENT))
            assert said.startswith("sinks.rabbit: RabbitMQ has no exchange nowhere; declare it")

    asyncio.run(scenario())


@only("nats")
def test_a_missing_stream_is_named_at_start(sink: Running) -> None:
    async def scenario() -> None:
        async with sink.opened() as place:
            place.name = "nowhere"
            said = await refusal(place.publisher(PATIENT))
            assert said == (
                "sinks.nats: no stream nowhere takes nowhere.>; create it: "
                "nats stream add nowhere --subjects 'nowhere.>'"
            )

    asyncio.run(scenario())


@only("kafka")
def test_a_missing_topic_is_named_at_start(sink: Running) -> None:
    async def scenario() -> None:
        async with sink.opened() as place:
            place.broker.refuse_topic("nowhere")
            place.name = "nowhere"
            said = await refusal(place.publisher(PATIENT))
            assert said.startswith("sinks.kafka: Kafka has no topic nowhere for it (")

    asyncio.run(scenario())


@only("kafka")
def test_an_option_that_librdkafka_does_not_know_is_named_at_start(sink: Running) -> None:
    async def scenario() -> None:
        async with sink.opened() as place:
            options = {"no.such.option": "1"}
            publisher = Kafka("kafka", place.broker.url, place.name, PATIENT, options=options)
            said = await refusal(publisher)
            assert "no.such.option" in said
            assert said.endswith("correct servers or options")

    asyncio.run(scenario())


@only("redis_stream")
def test_a_key_that_is_no_stream_is_named_at_start(sink: Running) -> None:
    async def scenario() -> None:
        async with sink.opened() as place:
            assert isinstance(place, StreamPlace)
            await place.redis.set(place.name, "a string")
            publisher = place.publisher(PATIENT)
            with pytest.raises(SettingsError) as refused:
                await publisher.start()
            assert str(refused.value) == (
                f"sinks.stream: the key {place.name} in Redis is a string; choose another stream"
            )
            (published,) = await publisher.publish(events([0]))
            await publisher.close()
            assert isinstance(published, Later)
            assert published.reason.startswith("refused: ")

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("make", "module", "extra"),
    [
        (lambda: RabbitMQ("out", "amqp://h", "e", PATIENT), "aio_pika", "rabbitmq"),
        (lambda: Kafka("out", "h", "t", PATIENT, options={}), "confluent_kafka", "kafka"),
        (lambda: NatsJetStream("out", "nats://h", "s", "p", PATIENT), "nats", "nats"),
    ],
    ids=["rabbitmq", "kafka", "nats"],
)
def test_a_missing_extra_is_named_with_its_command(
    monkeypatch: pytest.MonkeyPatch, make: Callable[[], Publisher], module: str, extra: str
) -> None:
    # None is what Python itself keeps there for a module that must not be found.
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(SettingsError) as refused:
        make()
    assert str(refused.value) == (
        f'sinks.out: needs the extra "{extra}"; pip install "wechat-gateway[{extra}]"'
    )
