"""Traces: which are sampled, what begins one, what is stored of it, what is dropped."""

import threading
from collections.abc import Sequence
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import Decision, TraceIdRatioBased

from gateway.telemetry import instruments, otlp_traces
from gateway.telemetry.cells import Labels
from gateway.telemetry.metrics import Metrics, gather
from gateway.telemetry.otlp import TelemetryWrong
from gateway.telemetry.otlp_traces import CountingProcessor, Traces, make_traces
from gateway.telemetry.tracing import (
    MessageTrace,
    Sampling,
    caller_of,
    current_origin,
    origin_of,
    span,
    trace_id_of,
    written,
)

KEY: Final = "0123456789abcdef0123456789abcdef"
SPAN: Final = "00f067aa0ba902b7"
HERE: Final = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}
BEGAN: Final = 1_790_000_000_000_000_000


def make(**variables: str) -> Traces:
    """Return traces as a process has them, but nobody tries to reach a collector."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(otlp_traces, "otlp_exporter", lambda *_: InMemorySpanExporter())
        made = make_traces({**HERE, **variables}, Metrics(), "1.2.3")
    assert made is not None
    return made


def traces(**variables: str) -> tuple[Traces, InMemorySpanExporter]:
    """Return traces that are kept in memory."""
    made = make(**variables)
    kept = InMemorySpanExporter()
    made.provider.add_span_processor(CountingProcessor(kept, Metrics(), 100))
    return made, kept


def begin(made: Traces, traceparent: str | None = None, key: str = KEY) -> MessageTrace | None:
    """Begin the trace of a delivery."""
    return made.tracing.begin("POST /wechat/{account}", key, caller_of(traceparent), BEGAN)


def spans(made: Traces, kept: InMemorySpanExporter) -> dict[str, ReadableSpan]:
    """Return what was made, by name."""
    made.provider.force_flush()
    return {one.name: one for one in kept.get_finished_spans()}


def counted(metrics: Metrics) -> dict[Labels, float]:
    """Return how many spans had which end."""
    found = gather(metrics.cells.read())
    return {
        point.labels: point.value
        for family in found
        for point in family.points
        if family.instrument is instruments.SPANS
    }


def test_a_message_s_trace_has_its_key_for_an_id_and_a_span_for_each_step() -> None:
    made, kept = traces()
    one = begin(made)
    assert one is not None
    one.step("verify")
    one.step("claim", {"gateway.claim": "fresh"})
    one.end(200)
    root, verify, claim = (
        spans(made, kept)[name] for name in ("POST /wechat/{account}", "verify", "claim")
    )
    assert root.context is not None
    assert root.context.trace_id == int(KEY, 16)
    assert root.parent is None
    assert (root.start_time, verify.start_time) == (BEGAN, BEGAN)
    assert claim.start_time == verify.end_time
    for child in (verify, claim):
        assert child.parent is not None
        assert child.parent.span_id == root.context.span_id
    assert root.attributes == {"http.response.status_code": 200}


def test_every_delivery_of_a_message_is_in_one_trace() -> None:
    made, kept = traces()
    for _ in range(3):
        one = begin(made)
        assert one is not None
        one.end(200)
    made.provider.force_flush()
    found = {one.context.trace_id for one in kept.get_finished_spans() if one.context}
    assert (found, len(kept.get_finished_spans())) == ({int(KEY, 16)}, 3)


def test_a_caller_that_samples_is_followed_and_so_is_one_that_does_not() -> None:
    made, kept = traces(OTEL_TRACES_SAMPLER="parentbased_always_off")
    assert begin(made) is None
    other = "a" * 32
    one = begin(made, f"00-{other}-{SPAN}-01")
    assert one is not None
    one.end(200)
    (root,) = spans(made, kept).values()
    assert root.parent is not None
    assert (root.parent.trace_id, root.parent.span_id) == (int(other, 16), int(SPAN, 16))
    made, _ = traces()
    assert begin(made, f"00-{other}-{SPAN}-00") is None
    made, _ = traces(OTEL_TRACES_SAMPLER="always_on")
    assert begin(made, f"00-{other}-{SPAN}-00") is not None


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
    made, _ = traces()
    one = begin(made, header, "b" * 32)
    assert one is not None
    assert written(one.span)[:32] == "b" * 32


def test_a_later_version_of_the_header_may_say_more() -> None:
    caller = caller_of(f"01-{KEY}-{SPAN}-03-more")
    assert caller is not None
    assert caller.is_sampled


@given(st.floats(0, 1), st.integers(1, (1 << 128) - 1))
def test_what_is_sampled_is_what_opentelemetry_s_own_sampler_takes(ratio: float, id_: int) -> None:
    sampler = TraceIdRatioBased(ratio)
    sampling = Sampling(TraceIdRatioBased.get_bound_for_rate(ratio), follows=True)
    theirs = sampler.should_sample(None, id_, "x").decision is Decision.RECORD_AND_SAMPLE
    assert sampling.takes(id_.to_bytes(16, "big")) is theirs


def test_what_is_stored_goes_on_in_another_process_and_unsampled_it_does_not() -> None:
    made, kept = traces()
    one = begin(made)
    assert one is not None
    stored = written(one.span)
    assert (len(stored), trace_id_of(stored)) == (49, KEY)
    assert (origin_of(KEY), origin_of(""), origin_of("x" * 49)) == (None, None, None)
    one.end(200)
    with span("process push", origin=origin_of(KEY)):
        assert current_origin() == ""
    assert "process push" not in spans(made, kept)


def test_an_exporter_that_hangs_drops_what_there_is_no_room_for_and_delays_nobody() -> None:
    go_on = threading.Event()

    class Hanging(SpanExporter):
        """A collector that takes its time."""

        def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:  # noqa: ARG002
            go_on.wait()
            return SpanExportResult.SUCCESS

        def shutdown(self) -> None:
            """Let go of nothing."""

    metrics = Metrics()
    made = make()
    processor = CountingProcessor(Hanging(), metrics, 10)
    made.provider.add_span_processor(processor)
    for _ in range(25):
        one = begin(made)
        assert one is not None
        one.end(200)
    assert counted(metrics) == {("dropped",): 15.0}
    go_on.set()
    processor.force_flush()
    assert counted(metrics) == {("dropped",): 15.0, ("exported",): 10.0}


@pytest.mark.parametrize("raises", [True, False])
def test_what_a_collector_does_not_take_is_counted(raises: bool) -> None:
    class Failing(SpanExporter):
        """A collector that is down."""

        def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:  # noqa: ARG002
            if raises:
                raise OSError("down")
            return SpanExportResult.FAILURE

        def shutdown(self) -> None:
            """Let go of nothing."""

    metrics = Metrics()
    made = make()
    processor = CountingProcessor(Failing(), metrics, 10)
    made.provider.add_span_processor(processor)
    one = begin(made)
    assert one is not None
    one.end(500)
    processor.force_flush()
    assert counted(metrics) == {("failed",): 1.0}


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
        ("OTEL_BSP_MAX_QUEUE_SIZE", "0", "give a whole number from 1 on"),
    ],
)
def test_a_variable_that_is_wrong_is_named_with_its_fix(name: str, value: str, fix: str) -> None:
    with pytest.raises(TelemetryWrong, match=f"^{name}: .*{fix}"):
        make_traces({**HERE, name: value}, Metrics(), "1.2.3")
