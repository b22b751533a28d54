"""What nobody may read is planted everywhere, and looked for in all that the gateway says.

Logs of every process, spans, metrics, health, error pages, `gateway tail`, `gateway trace` and the
other commands. Where an operator asks who somebody is, an open id is the answer; nowhere else.
"""

import asyncio
import base64
import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Final

import aiohttp
import pytest

from gateway.cli.sending import fresh_callback
from gateway.simulator.documents import Document, event, message
from gateway.simulator.platform import Platform
from gateway.simulator.sealing import Fault
from tests.cli.running import Command
from tests.e2e.collector import Collector, collector
from tests.e2e.server import ROOT, Server, start, wait_until_ready
from tests.e2e.signing_in import KEY, MINI_KEY, READER, Answer, Place, place
from tests.e2e.tailing import looked_on
from tests.e2e.test_background import _until
from tests.e2e.test_sinks import Endpoint
from tests.services import free_port
from tests.support import ACCOUNT_ID, AES_KEY, TOKEN, make_sender

SINK_SECRET: Final = "whsec_" + base64.b64encode(b"canary-of-a-sink-0123456789abcde").decode()
PRODUCER_SECRET: Final = "whsec_" + base64.b64encode(b"canary-of-a-shop-0123456789abcde").decode()
PUSH_KEY: Final = "gwk_" + "p" * 43

SECRETS: Final = (
    *(TOKEN, AES_KEY, "not-a-secret-of-anybody-0123456789", "secret-of-main", "secret-of-mini"),
    *(KEY, READER, MINI_KEY, PUSH_KEY, SINK_SECRET, PRODUCER_SECRET),
    *(SINK_SECRET.removeprefix("whsec_"), PRODUCER_SECRET.removeprefix("whsec_")),
)
OPEN_IDS: Final = tuple(f"oCanary{number:021d}" for number in range(4))
SAID: Final = "canary-said"
PUSHED: Final = "canary-pushed"

BOT: Final = f"""
import logging
from gateway import Bot, Subscribe, Text

bot = Bot()
log = logging.getLogger("shop")


@bot.on(Text, content="{SAID} fails")
async def fail(message: Text) -> str:
    raise LookupError("of " + message.from_user_name)


@bot.on(Text, content="{SAID} is lost", background=True)
async def lose(message: Text) -> str:
    raise LookupError("of " + message.from_user_name)


@bot.on(Text, content="{SAID} is slow", background=True, instant="wait")
async def later(message: Text) -> str:
    return "late " + message.content


@bot.on(Text)
async def echo(message: Text) -> str:
    log.warning("order of %s", message.from_user_name)
    return message.content


@bot.on(Subscribe)
async def welcome(message: Subscribe) -> str:
    await bot.push.template("main", message.from_user_name, "order", {{"goods": "{PUSHED}"}})
    return "welcome"
"""
TEMPLATE: Final = 'template_id = "T1"\n[fields.thing1]\nvalue = "{{ goods }}"\n'
MORE: Final = """
[server]
log_format = "json"
log_level = "debug"

[inbound]
retry_base = 0.02
retry_cap = 0.05
max_deliveries = 3

[push]
retry_base = 0.05
max_attempts = 3

[telemetry]
listen = "127.0.0.1:{monitoring}"

[api_keys.pusher]
hash = "{push_key}"
scopes = ["push:send", "push:read", "push:manage"]

[producers.shop]
secret = "{producer}"

[[sinks]]
type = "http"
name = "crm"
url = "http://127.0.0.1:{sink}/events"
secret = "{sink_secret}"
"""


@dataclass
class Said:
    """All that the gateway said, by who said it."""

    outputs: dict[str, bytes] = field(default_factory=dict)

    def add(self, name: str, output: bytes | str) -> None:
        """Keep an output."""
        raw = output.encode() if isinstance(output, str) else output
        self.outputs[f"{len(self.outputs)} {name}"] = raw

    def where(self, canary: str) -> list[str]:
        """Return where a canary stands, as it is or as JSON escapes it."""
        forms = {canary.encode(), json.dumps(canary)[1:-1].encode()}
        return [name for name, raw in self.outputs.items() if any(form in raw for form in forms)]


class World:
    """A gateway with everything that can be set, its worker, and those who look on."""

    def __init__(self, here: Place, seen: Collector, endpoint: Endpoint, folder: Path) -> None:
        self.here = here
        self.seen = seen
        self.endpoint = endpoint
        self.folder = folder
        self.monitoring = free_port()
        self.said = Said()
        self.secrets: list[str] = [*SECRETS]
        self.open_ids: list[str] = [*OPEN_IDS]
        self.words = [SAID, PUSHED, "小明"]
        self._settings()
        here.restart("/health/live")
        self.worker = self._start_worker()
        with (folder / "tail.txt").open("wb") as told:
            self.tail = subprocess.Popen(
                [sys.executable, "-m", "gateway", "tail"],
                cwd=folder,
                env=os.environ | {"PYTHONPATH": str(ROOT)},
                stdout=told,
                stderr=subprocess.STDOUT,
            )

    def _settings(self) -> None:
        more = MORE.format(
            monitoring=self.monitoring,
            push_key=sha256(PUSH_KEY.encode()).hexdigest(),
            producer=PRODUCER_SECRET,
            sink=self.endpoint.port,
            sink_secret=SINK_SECRET,
        )
        file = self.folder / "gateway.toml"
        file.write_text(file.read_text("utf-8") + more, "utf-8")

    def _start_worker(self) -> Server:
        settings = (self.folder / "gateway.toml").read_text("utf-8")
        own = settings.replace(f":{self.monitoring}", f":{free_port()}")
        worker = start("shop-worker", self.folder, own)
        (self.folder / "gateway.toml").write_text(settings, "utf-8")
        wait_until_ready(worker)
        return worker

    def deliver(self, document: Document, fault: Fault | None = None) -> None:
        """Let WeChat deliver something, once."""

        async def call() -> None:
            sender = make_sender()
            async with aiohttp.ClientSession() as session:
                wechat = Platform(session, sender, f"{self.here.url}/wechat/main")
                await wechat.deliver(lambda: fresh_callback(sender, document, fault), tries=1)

        asyncio.run(call())

    def text(self, content: str, user: str, fault: Fault | None = None) -> None:
        """Let a user write something."""
        now, number = int(time.time()), time.time_ns() // 1000
        said = message(
            "text", {"Content": content}, to=ACCOUNT_ID, sender=user, now=now, msg_id=number
        )
        self.deliver(said, fault)

    def follow(self, user: str) -> None:
        """Let a user follow the account."""
        now = int(time.time())
        self.deliver(event("subscribe", None, to=ACCOUNT_ID, sender=user, now=now))

    def has_attempt(self, id_: str) -> bool:
        """Tell whether a message was tried."""
        answer = self.here.api("GET", f"/push/messages/{id_}", key=PUSH_KEY)
        return bool(answer.told["attempts"])

    def ask(
        self, method: str, path: str, body: object = None, key: str = "", port: int = 0
    ) -> Answer:
        """Ask the gateway, and keep what it says."""
        headers = {"authorization": f"Bearer {key}"} if key else {}
        url = f"http://127.0.0.1:{port}{path}" if port else self.here.url + path
        answer = self.here.ask(method, url, body, headers)
        head = "\n".join(f"{name}: {value}" for name, value in answer.headers)
        if answer.status >= 400 or port:
            self.said.add(f"{method} {path.partition('?')[0]}", head.encode() + answer.body)
        return answer


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """What the test has."""
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates" / "order.toml").write_text(TEMPLATE, "utf-8")
    (tmp_path / "shop.py").write_text(BOT, "utf-8")
    with contextlib.ExitStack() as opened:
        seen = opened.enter_context(collector())
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{seen.port}")
        monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "200")
        endpoint = opened.enter_context(Endpoint(SINK_SECRET).listening())
        here = opened.enter_context(place(tmp_path, "shop"))
        here.platform.set("templates", id="T1", title="发货提醒", content="{{thing1.DATA}}")
        monkeypatch.chdir(tmp_path)
        world = World(here, seen, endpoint, tmp_path)
        try:
            yield world
        finally:
            world.tail.kill()
            world.tail.wait()
            world.worker.kill()


def users_write(world: World) -> None:
    """Let users write what is answered, fails, is lost and is refused."""
    one, two, three, four = OPEN_IDS
    world.text(f"{SAID} and more", one)
    world.text(f"{SAID} fails", two)
    world.text(f"{SAID} is lost", three)
    world.text(f"{SAID} is slow", four)
    world.text(SAID, one, Fault.SIGNATURE)
    world.follow(two)
    path = f"/wechat/main?signature={SAID}&timestamp=1&nonce={one}&openid={two}"
    world.ask("POST", path, f"<xml><Content>{SAID}</Content></xml>".encode())
    world.ask("GET", f"{path}&echostr={SAID}")
    world.ask("POST", f"/wechat/{SAID}", one.encode())
    world.ask("POST", "/wechat/main", (SAID * 200_000).encode())
    world.ask("PUT", f"/wechat/main?openid={one}", SAID.encode())
    world.ask("GET", f"/{SAID}?openid={one}&access_token={TOKEN}")


def services_push(world: World) -> None:
    """Let services push what is sent, refused and not theirs to send."""
    one = OPEN_IDS[0]
    good = {"account": "main", "to": one, "template": "order", "data": {"goods": PUSHED}}
    for body in (
        *(good, {**good, "data": {PUSHED: 1}}, {**good, "template": "none"}, {**good, "to": SAID}),
        *({**good, "colour": one}, {**good, "idempotency_key": one * 20}, [one], SAID),
    ):
        world.ask("POST", "/push/messages", body, PUSH_KEY)
    again = {**good, "idempotency_key": "k"}
    world.ask("POST", "/push/messages", again, PUSH_KEY)
    world.ask("POST", "/push/messages", {**again, "data": {"goods": f"{PUSHED} 2"}}, PUSH_KEY)
    world.ask("POST", "/push/messages", f'{{"to": "{one}", "data": {PUSHED}'.encode(), PUSH_KEY)
    world.ask("POST", "/push/messages", good, f"gwk_{SAID}")
    world.ask("POST", "/push/messages", good, READER)
    world.ask("GET", f"/push/messages/{SAID}", key=PUSH_KEY)
    world.ask("GET", f"/push/messages?to={one}&since={SAID}", key=PUSH_KEY)
    world.ask(
        "POST", "/push/batches?template=order", f"to,goods\n{SAID},{PUSHED}\n".encode(), PUSH_KEY
    )
    world.ask("POST", "/events", SAID.encode())
    # WeChat fails in several ways.
    for fault in ("token", "busy", "status", "half"):
        world.here.platform.set("faults", **{fault: 1})
        told = world.ask("POST", "/push/messages", {**good, "to": OPEN_IDS[3]}, PUSH_KEY).told
        _until(partial(world.has_attempt, told["id"]))
    world.here.platform.set("faults")


def people_sign_in(world: World) -> None:
    """Let people sign in, well and badly, and note what they have then."""
    here = world.here
    browser = here.browser()
    back = browser.agree(browser.begin(scope="snsapi_userinfo"))
    code, state = back.partition("code=")[2].split("&state=")
    browser.go(back)
    session = browser.go(f"{here.url}/session", accept="application/json").told
    login = here.app_login().told
    world.secrets += [code, state, browser.token, login["token"]]
    world.open_ids += [session["open_id"], session["union_id"]]
    for path in (
        *(f"/oauth/main/callback?code={code}&state={state}", f"/oauth/main/callback?code={SAID}"),
        *(f"/oauth/main/callback?code={code}x&state={state}x", f"/oauth/{SAID}/authorize"),
        f"/oauth/main/authorize?redirect=http://{SAID}.example/",
    ):
        world.ask("GET", path)
    world.ask("GET", "/session/verify", key=browser.token + "x")
    world.ask("GET", "/session/verify", key=SAID)
    world.ask("POST", "/miniprogram/mini/login", {"code": SAID})
    world.ask("POST", "/miniprogram/mini/login", {SAID: session["open_id"]})
    world.ask("GET", f"/identities/main/{SAID}", key=KEY)
    world.ask("GET", f"/identities/main/{session['open_id']}", key=f"gwk_{SAID}")


def operators_look(world: World, command: Command) -> None:
    """Let operators look at everything, by commands and by what probes ask."""
    for path in ("/metrics", "/health/ready", "/health/live"):
        assert world.ask("GET", path, port=world.monitoring).status == 200
    jobs = [json.loads(line) for line in command("push", "list", "--json").out.splitlines()]
    assert len(jobs) > 3
    traces = {job["trace_id"] for job in jobs if job["trace_id"]}
    letters = command("inbox", "dead-letters", "--json")
    assert '"lose"' in letters.out or "failed: LookupError" in letters.out
    for line in (
        *("inbox status", "inbox dead-letters", "push status", "push outcomes", "token status"),
        *("doctor", "check shop:bot", "templates check", "templates show order", "version"),
        *("inbox retry --all --dry-run", "settings", f"trace {'ab' * 16}", "push show nothing"),
        *(f"trace {one}" for one in traces),
        *(f"trace {job['id']} --json" for job in jobs),
        f"push template order --to {OPEN_IDS[0]} --data {SAID}",
        f"simulate text --account {SAID} x",
    ):
        ran = command(*line.split())
        world.said.add(f"gateway {line.split()[0]}", ran.out + ran.err)
    world.said.add("gateway inbox dead-letters", letters.out)
    shown = command("push", "show", jobs[0]["id"]).out
    assert jobs[0]["to"] in shown
    for canary in (SAID, PUSHED):
        assert canary not in shown


def test_no_secret_no_open_id_and_no_word_is_in_anything_that_is_said(
    world: World, command: Command
) -> None:
    _until(lambda: looked_on(world.folder) >= 2)
    users_write(world)
    services_push(world)
    people_sign_in(world)
    _until(lambda: "buried" in (world.folder / "tail.txt").read_text("utf-8"))
    _until(lambda: "receipt" in (world.folder / "tail.txt").read_text("utf-8"))
    _until(lambda: any(one.name == "receive receipt" for one in world.seen.spans))
    _until(lambda: world.endpoint.events)
    operators_look(world, command)
    world.worker.stop()
    world.here.server.stop()
    for number, log in enumerate(world.folder.glob("*.log")):
        if log.name != "platform.log":
            assert log.read_bytes()
            world.said.add(f"log {number}", log.read_bytes())
    world.said.add("gateway tail", (world.folder / "tail.txt").read_bytes())
    for number, body in enumerate(world.seen.bodies):
        world.said.add(f"spans {number}", body)
    found = {
        canary[:12]: where
        for canary in (*world.secrets, *world.open_ids, *world.words)
        if (where := world.said.where(canary))
    }
    assert found == {}, [world.said.outputs[one] for where in found.values() for one in where]
    assert len(world.said.outputs) > 60
