"""The sinks of the settings, each with the client that its type asks for."""

import time

from gateway.adapters.http_forward import HttpForward
from gateway.adapters.kafka import Kafka
from gateway.adapters.nats import NatsJetStream
from gateway.adapters.rabbitmq import RabbitMQ
from gateway.adapters.redis_sinks import RedisPubSub, RedisStream
from gateway.inbound.outbox import SINK, Subscription
from gateway.inbound.publishing import Limits, Publisher
from gateway.inbound.runtime import Sink
from gateway.inbound.upstream import Upstream
from gateway.settings import Settings
from gateway.settings.producers import ProducerSettings
from gateway.settings.sinks import (
    HttpSink,
    KafkaSink,
    NatsSink,
    RabbitMQSink,
    RedisPubSubSink,
    RedisStreamSink,
    SinkSettings,
)


def make_sinks(settings: Settings) -> list[Sink]:
    """Return the settings' sinks; raise SettingsError where one lacks its extra."""
    return [
        Sink(subscription_of(given), make_publisher(given))
        for given in settings.sinks
        if not (isinstance(given, HttpSink) and given.synchronous)
    ]


def make_upstreams(settings: Settings) -> list[Upstream]:
    """Return the settings' synchronous sinks."""
    return [
        Upstream(subscription_of(given), make_http(given), given.timeout)
        for given in settings.sinks
        if isinstance(given, HttpSink) and given.synchronous
    ]


def subscription_of(given: SinkSettings) -> Subscription:
    """Return which events a sink wants."""
    accounts = None if given.accounts is None else frozenset(given.accounts)
    return Subscription(SINK + given.name, given.types, accounts)


def make_publisher(given: SinkSettings) -> Publisher:
    """Return what brings events to a sink; raise SettingsError where it lacks its extra."""
    limits = Limits(given.timeout, given.max_bytes)
    match given:
        case HttpSink():
            return make_http(given)
        case RedisPubSubSink():
            return RedisPubSub(given.name, given.url.get_secret_value(), given.channel, limits)
        case RedisStreamSink():
            url = given.url.get_secret_value()
            return RedisStream(given.name, url, given.stream, limits, max_length=given.max_length)
        case RabbitMQSink():
            url = given.url.get_secret_value()
            return RabbitMQ(given.name, url, given.exchange, limits, routing_key=given.routing_key)
        case KafkaSink():
            options = {name: value.get_secret_value() for name, value in given.options.items()}
            return Kafka(given.name, given.servers, given.topic, limits, options=options)
        case NatsSink():
            url = given.url.get_secret_value()
            return NatsJetStream(given.name, url, given.stream, given.prefix, limits)


def make_http(given: HttpSink) -> HttpForward:
    """Return what posts events to an HTTP endpoint, or asks it."""
    return HttpForward(
        given.name,
        given.url,
        secrets_of(given),
        Limits(given.timeout, given.max_bytes),
        now=time.time,
    )


def secrets_of(given: HttpSink | ProducerSettings) -> list[str]:
    """Return the secrets of Standard Webhooks that hold at the moment, the newest first."""
    secrets = (given.secret, given.previous_secret)
    return [secret.get_secret_value() for secret in secrets if secret is not None]
