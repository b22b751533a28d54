"""Traces: which are sampled, what begins one, what is stored of it."""

from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.sdk.trace.sampling import Decision, TraceIdRatioBased

from gateway.telemetry.metrics import Metrics
from gateway.telemetry.otlp import TelemetryWrong
from gateway.telemetry.otlp_traces import make_traces
from gateway.telemetry.tracing import (
    Sampling,
    caller_of,
    current_origin,
    origin_of,
    span,
    trace_id_of,
    written,
)
from tests.traced import CALLBACK, Traced, id_of, parent_of

KEY: Final = "0123456789abcdef0123456789abcdef"
SPAN: Final = "00f067aa0ba902b7"
HERE: Final = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}


def test_a_caller_that_samples_is_followed_and_so_is_one_that_does_not() -> None:
    traced = Traced(OTEL_TRACES_SAMPLER="parentbased_always_off")
    assert traced.begin(KEY) is None
    other = "a" * 32
    one = traced.begin(KEY, caller_of(f"00-{other}-{SPAN}-01"))
    assert one is not None
    one.end(200)
    assert parent_of(traced.one(CALLBACK)) == f"{other}-{SPAN}"
    unsampled = caller_of(f"00-{other}-{SPAN}-00")
    assert Traced().begin(KEY, unsampled) is None
    assert Traced(OTEL_TRACES_SAMPLER="always_on").begin(KEY, unsampled) is not None


@pytest.mark.parametrize(
    "header",
    [
        "",
        "00",
        f"00-{KEY}-{SPAN}",
        f"00-{KEY.upper()}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{KEY}-{'0' * 16}-01",
        f"ff-{KEY}-{SPAN}-01",
        f"00-{KEY}-{SPAN}-0x",
        f"00-{KEY[1:]}-{SPAN}-01",
        f" 00-{KEY}-{SPAN}-01",
    ],
)
def test_a_malformed_traceparent_begins_a_trace(header: str) -> None:
    assert caller_of(header) is None
    one = Traced().begin("b" * 32, caller_of(header))
    assert one is not None
    assert one.trace_id == "b" * 32


def test_a_later_version_of_the_header_may_say_more() -> None:
    caller = caller_of(f"01-{KEY}-{SPAN}-03-more")
    assert caller is not None
    assert caller.is_sampled


@given(st.floats(0, 1), st.integers(1, (1 << 128) - 1))
def test_what_is_sampled_is_what_opentelemetry_s_own_sampler_takes(ratio: float, id_: int) -> None:
    sampler = TraceIdRatioBased(ratio)
    sampling = Sampling.of(TraceIdRatioBased.get_bound_for_rate(ratio), follows=False)
    theirs = sampler.should_sample(None, id_, "x").decision is Decision.RECORD_AND_SAMPLE
    key = id_.to_bytes(16, "big")
    assert (key[8:] < sampling.below) is theirs
    assert sampling.limit == sampling.below


def test_any_trace_may_be_sampled_where_its_caller_decides() -> None:
    assert Sampling.of(0, follows=True).limit > b"\xff" * 8


def test_what_is_stored_goes_on_in_another_process_and_unsampled_it_does_not(
    traced: Traced,
) -> None:
    one = traced.begin(KEY)
    assert one is not None
    stored = one.origin
    assert (len(stored), trace_id_of(stored)) == (49, KEY)
    assert (origin_of(KEY), origin_of(""), origin_of("x" * 49)) == (None, None, None)
    with span("process push", origin=origin_of(KEY)):
        assert current_origin() == ""
    with span("process push", origin=origin_of(stored)) as made:
        assert current_origin() == written(made)
    one.end(200)
    pushed = traced.one("process push")
    assert parent_of(pushed) == stored == id_of(traced.one(CALLBACK))


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {**HERE, "OTEL_SDK_DISABLED": "true"},
        {**HERE, "OTEL_TRACES_EXPORTER": "none"},
    ],
)
def test_without_a_collector_nothing_is_traced(variables: dict[str, str]) -> None:
    assert make_traces(variables, Metrics(), "1.2.3") is None


@pytest.mark.parametrize(
    ("name", "value", "fix"),
    [
        ("OTEL_TRACES_EXPORTER", "zipkin", "give otlp, console or none"),
        ("OTEL_TRACES_SAMPLER", "jaeger_remote", "give always_on, always_off or traceidratio"),
        ("OTEL_TRACES_SAMPLER_ARG", "2", "give a number from 0 to 1"),
        ("OTEL_TRACES_SAMPLER_ARG", "one", "give a number from 0 to 1"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json", "give http/protobuf or grpc"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318", "give one such as http://"),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://", "give one such as http://"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "10s", "give seconds, such as 10"),
        ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "0.0", "give seconds, such as 10"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "zstd", "give none, gzip or deflate"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "0", "give a whole number from 1 on"),
    ],
)
def test_a_variable_that_is_wrong_is_named_with_its_fix(name: str, value: str, fix: str) -> None:
    with pytest.raises(TelemetryWrong, match=f"^{name}: .*{fix}"):
        make_traces({**HERE, name: value}, Metrics(), "1.2.3")


def test_what_grpc_would_stumble_over_is_named_too() -> None:
    grpc = {**HERE, "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc", "OTEL_EXPORTER_OTLP_COMPRESSION": "none"}
    with pytest.raises(TelemetryWrong, match=r"^OTEL_EXPORTER_OTLP_COMPRESSION: .*; give gzip$"):
        make_traces(grpc, Metrics(), "1.2.3")


@pytest.mark.parametrize("seconds", ["10", "0.5", "2."])
def test_a_timeout_may_have_a_fraction(seconds: str) -> None:
    made = make_traces({**HERE, "OTEL_EXPORTER_OTLP_TIMEOUT": seconds}, Metrics(), "1.2.3")
    assert made is not None
