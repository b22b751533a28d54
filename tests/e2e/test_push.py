"""Pushing, from the command to the user and back: a gateway, and WeChat's API beside it."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import aiohttp
import pytest

from gateway.cli.sending import fresh_callback
from gateway.simulator.platform import Platform
from tests.cli.running import Command
from tests.e2e.platform import PlatformServer, platform
from tests.e2e.server import ROOT, Server, running
from tests.e2e.test_background import _until
from tests.services import free_port
from tests.support import AES_KEY, APP_ID, TOKEN, fresh_text, make_sender

SETTINGS: Final = f"""
[accounts.main]
app_id = "{APP_ID}"
app_secret = "anything"
token = "{TOKEN}"
encoding_aes_key = "{AES_KEY}"
api_url = "http://127.0.0.1:{{port}}"

[inbound]
late_reply = "customer_service"
reply_deadline = 0.3

[push]
retry_base = 0.2
"""
TEMPLATE: Final = """
template_id = "T1"
[fields.character_string1]
value = "{{ number }}"
[fields.thing2]
value = "{{ goods }}"
"""
CONTENT: Final = "{{character_string1.DATA}} {{thing2.DATA}}"
ROW: Final = '{"number": "A17", "goods": "巧克力"}'


class World(NamedTuple):
    """What a test has."""

    folder: Path
    server: Server
    platform: PlatformServer


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A gateway whose account is one of the platform's."""
    folder = tmp_path_factory.mktemp("push")
    (folder / "templates").mkdir()
    (folder / "templates" / "order-shipped.toml").write_text(TEMPLATE, encoding="utf-8")
    port = free_port()
    with (
        running("rsgi", folder, SETTINGS.format(port=port)) as server,
        platform(folder, port, server.port) as beside,
    ):
        beside.set("templates", id="T1", title="发货提醒", content=CONTENT)
        yield World(folder, server, beside)


@pytest.fixture
def push(
    world: World, command: Command, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., dict[str, Any]]:
    """``gateway push``, beside the gateway: the JSON that it prints last."""

    def run(*arguments: str, code: int = 0) -> dict[str, Any]:
        ran = command("push", *arguments, "--json")
        assert ran.code == code, ran.err
        found: dict[str, Any] = json.loads(ran.out.splitlines()[-1])
        return found

    monkeypatch.chdir(world.folder)
    return run


def user(number: int) -> str:
    """Return an open id."""
    return f"oUser{number:024d}"


def test_a_template_s_message_is_sent_and_its_receipt_joined(
    world: World, push: Callable[..., dict[str, Any]]
) -> None:
    to = ("--to", user(1), "--data", ROW)
    record = push("template", "order-shipped", *to, "--wait", "20")
    assert (record["state"], record["tries"]) == ("delivered", 1)
    assert record["receipt_at"] is not None
    (body,) = world.platform.received(user(1))
    assert body["data"]["thing2"] == {"value": "巧克力"}
    assert body["client_msg_id"] == record["id"]


def test_a_user_who_blocks_messages_is_told_of_by_the_receipt(
    world: World, push: Callable[..., dict[str, Any]]
) -> None:
    world.platform.set(f"users/{user(2)}", blocks=True)
    to = ("--to", user(2), "--data", ROW)
    record = push("template", "order-shipped", *to, "--wait", "20", code=1)
    assert (record["state"], record["reason"]) == ("failed", "receipt: failed:user block")


def test_a_receipt_that_comes_before_the_answer_is_joined_once_there_is_one(
    world: World, push: Callable[..., dict[str, Any]], command: Command
) -> None:
    """The message is there and its answer lost: the receipt waits for that of a repeated call."""
    world.platform.set("faults", reset_after=1)
    id_ = push("template", "order-shipped", "--to", user(3), "--data", ROW)["id"]
    _until(lambda: '"receipt"' in command("inbox", "status", "--json").out)
    assert push("show", id_)["receipt_at"] is None
    world.platform.set("faults")
    _until(lambda: push("show", id_)["state"] == "delivered")
    record = push("show", id_)
    assert record["tries"] > 1
    assert record["attempts"][0]["outcome"] == "retry"
    assert len(world.platform.received(user(3))) == 1


def test_a_batch_is_followed_to_its_end(world: World, push: Callable[..., dict[str, Any]]) -> None:
    rows = "".join(f"{user(100 + number)},A{number},茶\n" for number in range(200))
    (world.folder / "orders.csv").write_text(f"to,number,goods\n{rows}", encoding="utf-8")
    batch = ("batch", "orders.csv", "--template", "order-shipped", "--follow")
    assert push(*batch)["states"] == {"delivered": 200}
    assert push(*batch)["states"] == {"delivered": 200}
    assert all(len(world.platform.received(user(100 + n))) == 1 for n in (0, 99, 199))


def test_a_reply_that_comes_too_late_reaches_its_user(world: World) -> None:
    world.platform.set(f"users/{user(4)}", wrote=True)
    document = fresh_text("slow", FromUserName=user(4))
    sender = make_sender()

    async def deliver() -> None:
        async with aiohttp.ClientSession() as session:
            wechat = Platform(session, sender, f"{world.server.url}/wechat/main")
            outcome = await wechat.deliver(lambda: fresh_callback(sender, document))
        assert (outcome.status, outcome.reply) == (200, None)

    asyncio.run(deliver())
    _until(lambda: world.platform.received(user(4)))
    (body,) = world.platform.received(user(4))
    assert body["text"] == {"content": "at last"}


def demo(folder: Path, *arguments: str) -> str:
    """Run the demo's tour in a folder; return what it shows."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GATEWAY_")}
    ran = subprocess.run(
        [sys.executable, "-m", "gateway", "demo", "--once", "--port", str(free_port()), *arguments],
        cwd=folder,
        env=kept | {"PYTHONPATH": str(ROOT), "COLUMNS": "200"},
        capture_output=True,
        encoding="utf-8",
        check=False,
        timeout=60,
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    return ran.stdout


def test_the_demo_pushes_to_its_follower_and_shows_the_receipt(tmp_path: Path) -> None:
    for _ in range(2):
        shown = demo(tmp_path)
        assert "gateway -> pushed welcome thing1=欢迎关注 time2=20" in shown
        assert "WeChat  -> receipt: delivered " in shown


def test_a_demo_account_of_before_pushes_nothing_and_says_nothing_of_it(tmp_path: Path) -> None:
    demo(tmp_path)
    config = tmp_path / "var" / "demo.toml"
    lines = config.read_text(encoding="utf-8").splitlines()
    config.write_text("\n".join(line for line in lines if not line.startswith("app_secret")))
    shown = demo(tmp_path)
    assert "欢迎关注（来自二维码 1001）" in shown
    assert "pushed" not in shown
