"""Events leave a real gateway: to an endpoint, a stream, a handler; and an endpoint answers."""

import asyncio
import base64
import json
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from redis import Redis
from standardwebhooks import Webhook

from gateway.cli.sending import fresh_callback
from gateway.simulator.documents import event
from gateway.simulator.platform import Outcome, Platform
from tests.contracts.records import migrated
from tests.e2e.server import ACCOUNTS, Server, running
from tests.e2e.test_background import _until
from tests.services import Database, RedisServer, free_port
from tests.support import ACCOUNT_ID, fresh_text, make_sender

SECRET = "whsec_" + base64.b64encode(os.urandom(32)).decode()


class Endpoint:
    """Somebody's endpoint, in a thread: it notes what comes, and answers what it is told to."""

    def __init__(self, secret: str = SECRET) -> None:
        self.secret = secret
        self.port = free_port()
        self.status = 200
        self.answer: Any = None
        self.events: list[dict[str, Any]] = []
        self.ids: list[str] = []
        self.headers: list[dict[str, str]] = []

    async def handle(self, request: web.BaseRequest) -> web.Response:
        """Verify, note, answer."""
        if request.method == "HEAD":
            return web.Response()
        body = await request.read()
        Webhook(self.secret).verify(body, dict(request.headers))
        if self.status == 200:
            self.events.append(json.loads(body))
            self.ids.append(request.headers["webhook-id"])
            self.headers.append({name.lower(): v for name, v in request.headers.items()})
        if self.answer is None:
            return web.Response(status=self.status)
        return web.json_response(self.answer)

    @contextmanager
    def listening(self) -> Iterator["Endpoint"]:
        """Serve within the block."""
        ready, stop = threading.Event(), asyncio.Event()
        loops: list[asyncio.AbstractEventLoop] = []

        async def serve() -> None:
            loops.append(asyncio.get_running_loop())
            runner = web.ServerRunner(web.Server(self.handle))
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", self.port).start()
            ready.set()
            await stop.wait()
            await runner.cleanup()

        thread = threading.Thread(target=lambda: asyncio.run(serve()))
        thread.start()
        assert ready.wait(10)
        try:
            yield self
        finally:
            loops[0].call_soon_threadsafe(stop.set)
            thread.join()


def _sink(port: int, **more: str) -> str:
    lines = "".join(f"{name} = {value}\n" for name, value in more.items())
    return f"""
[[sinks]]
type = "http"
name = "crm"
url = "http://127.0.0.1:{port}/events"
secret = "{SECRET}"
{lines}
[inbound]
retry_base = 0.05
"""


def _send(server: Server, document: dict[str, Any]) -> Outcome:
    async def deliver() -> Outcome:
        async with aiohttp.ClientSession() as session:
            platform = Platform(session, make_sender(), f"{server.url}/wechat/main")
            return await platform.deliver(partial(fresh_callback, make_sender(), document))

    return asyncio.run(deliver())


def test_each_message_is_forwarded_once_signed_and_in_cloudevents_names(tmp_path: Path) -> None:
    with Endpoint().listening() as endpoint:
        with running("rsgi", tmp_path, ACCOUNTS + _sink(endpoint.port)) as server:
            document = fresh_text("hello", FromUserName="oForwarded")
            for _ in range(3):
                outcome = _send(server, document)
                assert outcome.reply is not None
                assert outcome.reply["Content"] == "hello"
            subscribed = event(
                "subscribe", "1001", to=ACCOUNT_ID, sender="oNew", now=int(time.time())
            )
            _send(server, subscribed)
            _until(lambda: len(endpoint.events) == 2)
        text, follower = endpoint.events
        assert (text["specversion"], text["type"]) == ("1.0", "message.text")
        assert (text["subject"], text["account"]) == ("oForwarded", "main")
        assert text["data"]["content"] == "hello"
        assert (follower["type"], follower["data"]["event_key"]) == (
            "user.subscribed",
            "qrscene_1001",
        )
        assert endpoint.ids == [text["id"], follower["id"]]


def test_an_endpoint_that_is_down_delays_no_reply_and_misses_nothing(tmp_path: Path) -> None:
    endpoint = Endpoint()
    with running("rsgi", tmp_path, ACCOUNTS + _sink(endpoint.port)) as server:
        for number in range(5):
            outcome = _send(server, fresh_text(f"n{number}"))
            assert outcome.reply is not None
            assert outcome.attempts[0].seconds < 2
        assert "sinks.crm" in server.log
        with endpoint.listening():
            _until(lambda: len(endpoint.events) == 5)
        assert {one["data"]["content"] for one in endpoint.events} == {f"n{n}" for n in range(5)}


def test_what_an_endpoint_refuses_for_good_is_a_dead_letter(
    tmp_path: Path, inbox: Callable[..., str]
) -> None:
    endpoint = Endpoint()
    endpoint.status = 410
    with (
        endpoint.listening(),
        running("rsgi", tmp_path, ACCOUNTS + _sink(endpoint.port)) as server,
    ):
        _send(server, fresh_text("refused"))
        _until(lambda: "sink.crm/" in inbox("dead-letters"))
        endpoint.status = 200
        assert "1 dead letters put back" in inbox("retry", "--lane", "sink.crm")
        _until(lambda: len(endpoint.events) == 1)


def test_only_the_types_that_were_asked_for_are_forwarded(tmp_path: Path) -> None:
    with Endpoint().listening() as endpoint:
        sink = _sink(endpoint.port, types='["user.*"]')
        with running("rsgi", tmp_path, ACCOUNTS + sink) as server:
            _send(server, fresh_text("not for the sink"))
            document = event("unsubscribe", None, to=ACCOUNT_ID, sender="oGone", now=1)
            _send(server, document)
            _until(lambda: endpoint.events)
        assert [one["type"] for one in endpoint.events] == ["user.unsubscribed"]


def test_a_bot_in_any_language_answers_over_http(tmp_path: Path) -> None:
    endpoint = Endpoint()
    endpoint.answer = {"type": "text", "content": "from elsewhere"}
    sink = _sink(endpoint.port, synchronous="true", types='["message.voice"]')
    with endpoint.listening(), running("empty", tmp_path, ACCOUNTS + sink) as server:
        voice = fresh_text() | {"MsgType": "voice", "MediaId": "m", "Format": "amr"}
        outcome = _send(server, voice)
        assert outcome.reply is not None
        assert outcome.reply["Content"] == "from elsewhere"
        assert endpoint.events[0]["type"] == "message.voice"
        # What no sink is asked about has no reply.
        assert _send(server, fresh_text()).reply is None
        endpoint.answer = {"type": "hologram"}
        assert _send(server, voice | {"MsgId": time.time_ns()}).status == 500
        assert "a reply needs a type" in server.log


def test_events_reach_a_stream_and_a_handler_too(
    tmp_path: Path, redis_process: RedisServer
) -> None:
    url = redis_process.url.removesuffix("/0") + "/7"
    stream = f'\n[[sinks]]\ntype = "redis_stream"\nname = "lake"\nurl = "{url}"\n'
    with Redis.from_url(url) as client:
        client.flushdb()
        with running("rsgi", tmp_path, ACCOUNTS + stream) as server:
            document = event("subscribe", None, to=ACCOUNT_ID, sender="oBoth", now=1)
            _send(server, document)
            _until(lambda: client.xlen("wechat.events"))
            runs = tmp_path / "runs.log"
            _until(lambda: runs.exists() and "user.subscribed:oBoth" in runs.read_text())
        ((_, fields),) = client.xrange("wechat.events")
        assert json.loads(fields[b"event"])["subject"] == "oBoth"


@pytest.mark.parametrize(
    ("sink", "said"),
    [
        ('type = "fax"', "sinks[0].type: there is none called fax; give one of: http, redis"),
        ('type = "http"\nurl = "http://x"', "sinks[0].secret: missing"),
        ('type = "kafka"\nservers = "x"\ntopik = "a"', "did you mean topic?"),
    ],
)
def test_a_wrong_sink_is_said_at_start(tmp_path: Path, sink: str, said: str) -> None:
    wrong = f'{ACCOUNTS}\n[[sinks]]\nname = "one"\n{sink}\n'
    with (
        pytest.raises(RuntimeError, match="ended at start") as ended,
        running("rsgi", tmp_path, wrong),
    ):
        pass
    assert said in str(ended.value)


@pytest.mark.parametrize("store", ["sqlite", "postgres"])
def test_every_callback_is_archived_where_that_is_asked_for(
    tmp_path: Path, store: str, request: pytest.FixtureRequest
) -> None:
    settings = ACCOUNTS + "\n[store]\narchive = true\n"
    if store == "postgres":
        database: Database = request.getfixturevalue("postgres")
        settings += f'postgres_dsn = "{migrated(database.dsn)}"\n'
    with running("rsgi", tmp_path, settings) as server:
        document = fresh_text("kept", FromUserName="oKept")
        _send(server, document)
        _send(server, document)
        _send(server, event("subscribe", None, to=ACCOUNT_ID, sender="oKept", now=1))
        query = "SELECT kind, open_id, document FROM {} ORDER BY kind"

        def archived() -> list[Any]:
            if store == "postgres":
                return database.run(query.format("gateway_archive"))
            with sqlite3.connect(tmp_path / "var" / "gateway.db") as file:
                return file.execute(query.format("archive")).fetchall()

        _until(lambda: len(archived()) >= 2)
        (subscribe, text) = archived()
    assert (subscribe[0], subscribe[1]) == ("Subscribe", "oKept")
    assert (text[0], json.loads(text[2])["Content"]) == ("Text", "kept")
