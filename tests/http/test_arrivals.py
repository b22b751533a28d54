"""Spans of requests: who gets one, whose trace it is in, and what it tells."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from litestar import Litestar, get
from litestar.testing import TestClient
from opentelemetry.trace import SpanKind, StatusCode, get_current_span

from gateway.http.arrivals import template_of, trace_anybody, trace_known, tracing_middleware
from gateway.outbound.jobs import Wanted
from tests.http.push_api import Api, message, serving
from tests.http.test_sessions import serving as serving_sessions
from tests.outbound.pool import user
from tests.traced import CALLER, ORIGIN, TRACE, UNSAMPLED, Traced, id_of, parent_of

SEND: Final = "POST /push/messages"
SAMPLED: Final = {"traceparent": CALLER}


@pytest.fixture
def api(tmp_path: Path, traced: Traced) -> Iterator[Api]:
    """The API of pushing."""
    with serving(tmp_path, tracing_middleware(traced.tracing)) as one:
        yield one


def origins(api: Api) -> set[str]:
    """Return the spans that what is stored came from, as they are stored."""
    held = api.run(lambda: api.records.find(Wanted(), 100))
    return {one.trace_id for one in held}


def test_a_message_is_in_its_caller_s_trace_and_goes_on_in_it(api: Api, traced: Traced) -> None:
    answer = api.ask("POST", f"{SEND[5:]}", json=message(1), headers=SAMPLED)
    assert answer.status_code == 202
    arrived, sent = traced.one(SEND), traced.one("send push")
    assert arrived.kind is SpanKind.SERVER
    assert parent_of(arrived) == ORIGIN
    assert parent_of(sent) == id_of(arrived)
    assert dict(arrived.attributes or {}) == {
        "http.request.method": "POST",
        "http.route": "/push/messages",
        "url.scheme": "http",
        "http.response.status_code": 202,
    }
    assert arrived.start_time is not None
    assert sent.start_time is not None
    assert arrived.start_time < sent.start_time
    assert origins(api) == {TRACE}


def test_each_part_of_a_batch_goes_on_in_the_request_s_trace(api: Api, traced: Traced) -> None:
    query = "name=b&template=order-shipped&account=main"
    rows = "".join(f"{user(n)},A,tea,1\n" for n in range(1001)).encode()
    headers = {"content-type": "text/csv", **SAMPLED}
    body = b"to,number,goods,fen\n" + rows
    answer = api.ask("POST", f"/push/batches?{query}", content=body, headers=headers)
    assert answer.json()["queued"] == 1001
    arrived = traced.one("POST /push/batches")
    parts = [one for one in traced.spans() if one.name == "send push"]
    assert {parent_of(one) for one in parts} == {id_of(arrived)}
    counts = [(one.attributes or {})["messaging.batch.message_count"] for one in parts]
    assert counts == [1000, 1]
    assert origins(api) == {TRACE}


@pytest.mark.parametrize("headers", [{"authorization": "Bearer gwk_wrong"}, {}])
def test_whoever_is_refused_makes_no_span(
    api: Api, traced: Traced, headers: dict[str, str]
) -> None:
    answer = api.client.post("/push/messages", json=message(1), headers={**SAMPLED, **headers})
    assert answer.status_code == 401
    assert traced.spans() == []


def test_a_known_key_that_may_not_is_told_of_and_is_no_failure_of_ours(
    api: Api, traced: Traced
) -> None:
    assert api.ask("POST", "/push/messages", "reader", json=message(1)).status_code == 403
    arrived = traced.one(SEND)
    assert (arrived.attributes or {})["http.response.status_code"] == 403
    assert arrived.status.status_code is StatusCode.UNSET
    # Nobody's trace: it has an id of its own, and does not begin within another.
    assert parent_of(arrived) == ""


def test_a_store_that_is_down_is_a_failure_of_ours(api: Api, traced: Traced) -> None:
    api.queue.down = True
    assert api.ask("POST", "/push/messages", json=message(1)).status_code == 503
    arrived, sent = traced.one(SEND), traced.one("send push")
    assert arrived.status.status_code is StatusCode.ERROR
    assert (arrived.attributes or {})["error.type"] == "503"
    assert (sent.status.status_code, sent.status.description) == (StatusCode.ERROR, "StoreDown")


def test_a_route_is_named_by_its_template_and_no_id_stands_in_a_span(
    api: Api, traced: Traced
) -> None:
    (id_,) = api.send(7)
    assert api.ask("GET", f"/push/messages/{id_}?x={user(7)}").status_code in (200, 422)
    arrived = traced.one("GET /push/messages/{id}")
    assert (arrived.attributes or {})["http.route"] == "/push/messages/{id}"
    told = "".join(one.to_json() for one in traced.spans())
    assert id_ not in told
    assert user(7) not in told


@pytest.mark.parametrize(
    ("sampler", "traceparent", "is_traced"),
    [
        ("parentbased_always_on", None, True),
        ("parentbased_always_on", UNSAMPLED, False),
        ("parentbased_always_on", "00-nonsense", True),
        ("parentbased_always_off", None, False),
        ("parentbased_always_off", CALLER, True),
        ("always_off", CALLER, False),
        ("always_on", UNSAMPLED, True),
    ],
)
@pytest.mark.parametrize("is_known", [True, False])
def test_a_known_caller_is_followed_as_the_sampler_says_and_nobody_else(
    sampler: str, traceparent: str | None, is_traced: bool, is_known: bool
) -> None:
    traced = Traced(OTEL_TRACES_SAMPLER=sampler)

    @get("/oauth/{account:str}/authorize")
    async def enter() -> None:
        trace_known() if is_known else trace_anybody("main")
        # What is decided is decided.
        trace_known()

    app = Litestar([enter], middleware=[tracing_middleware(traced.tracing)], openapi_config=None)
    with TestClient(app) as client:
        headers = {} if traceparent is None else {"traceparent": traceparent}
        assert client.get("/oauth/main/authorize", headers=headers).status_code == 200
    if not is_known:
        is_traced = sampler.endswith("always_on")
    assert [one.name for one in traced.spans()] == ["GET /oauth/{account}/authorize"] * is_traced
    follows = is_known and traceparent == CALLER and sampler.startswith("parentbased")
    assert {parent_of(one) for one in traced.spans()} <= {ORIGIN if follows else ""}


def test_what_a_route_raises_ends_its_span_and_nothing_is_current_behind_it() -> None:
    traced = Traced()
    left: list[bool] = []

    @get("/broken")
    async def broken() -> None:
        trace_anybody("main")
        raise RuntimeError("of a user")

    def around(app: Any) -> Any:
        async def look(*given: Any) -> None:
            await app(*given)
            left.append(get_current_span().get_span_context().is_valid)

        return look

    middleware = [around, tracing_middleware(traced.tracing)]
    app = Litestar([broken], middleware=middleware, openapi_config=None, logging_config=None)
    with TestClient(app, raise_server_exceptions=False) as client:
        assert client.get("/broken").status_code == 500
    (one,) = traced.spans()
    assert one.status.status_code is StatusCode.ERROR
    assert "of a user" not in one.to_json()
    assert left == [False]


def test_a_session_is_known_and_a_wrong_one_is_not(tmp_path: Path, traced: Traced) -> None:
    with serving_sessions(tmp_path, around=[tracing_middleware(traced.tracing)]) as site:
        assert site.get("/session/verify", **SAMPLED).status_code == 200
        assert site.get("/me", **SAMPLED).text == "person-1"
        handle = site.get("/sessions", **SAMPLED).json()[0]["handle"]
        assert site.get(f"/sessions/{handle}x", method="DELETE", **SAMPLED).status_code == 404
        for path in ("/session/verify", "/session", "/mine"):
            assert site.get(path, "wrong", **SAMPLED).status_code == 401
        assert site.get("/me", "", **SAMPLED).text == "nobody"
    names = [one.name for one in traced.spans()]
    assert names == [
        "GET /session/verify",
        "GET /me",
        "GET /sessions",
        "DELETE /sessions/{handle}",
    ]
    told = "".join(one.to_json() for one in traced.spans())
    assert "person-1" not in told
    assert handle not in told


@pytest.mark.parametrize(
    ("path", "route"),
    [
        ("/push/messages", "/push/messages"),
        ("/push/messages/{id_:str}/retry", "/push/messages/{id}/retry"),
        ("/oauth/{account:str}/callback", "/oauth/{account}/callback"),
        ("/", "/"),
    ],
)
def test_a_template_is_written_as_others_write_it(path: str, route: str) -> None:
    assert template_of(path) == route
