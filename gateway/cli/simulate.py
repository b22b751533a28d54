"""``gateway simulate``: send the gateway what WeChat would send, and show what comes back."""

import asyncio
import sys
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from functools import partial, wraps
from pathlib import Path
from typing import Any

import aiohttp
import rich_click as click
from yarl import URL

from gateway.cli.options import callback_url, config_option, pick_account
from gateway.cli.platform import platform
from gateway.cli.sending import fresh_callback, fresh_number, make_sender, receiver_of
from gateway.cli.show import show_attempt, show_outcome, show_sent
from gateway.errors import SettingsError
from gateway.protocol.account import Mode
from gateway.settings import load_settings
from gateway.simulator.documents import EVENTS, MESSAGES, USER, Document, event, message
from gateway.simulator.platform import TRIES, Platform
from gateway.simulator.sealing import (
    SEALED_ONLY,
    Fault,
    Sender,
    in_mode,
    make_verification,
)


@dataclass(frozen=True, slots=True)
class Target:
    """Whom a command sends to, and how."""

    sender: Sender
    url: str
    to: str
    user: str
    msg_id: int
    repeat: int
    fault: Fault | None


@click.group()
def simulate() -> None:
    """Play WeChat: sign, seal and send a callback, open and show the reply.

    \b
    gateway simulate text "你好"
    gateway simulate event subscribe --key 1001           a follower who scanned QR code 1001
    gateway simulate event CLICK --key V1001 --mode compat
    gateway simulate text hi --msg-id 42 --repeat 3       one message, delivered three times
    gateway simulate text hi --bad signature              must be refused
    gateway simulate verify                               the console's URL verification
    gateway simulate platform                             WeChat's API, served

    Token and key come from the gateway's own settings. Exits with 0 when the callback was answered
    as it should be (with --bad: refused), else with 1.
    """


simulate.add_command(platform)


def _targeted(function: Callable[..., Coroutine[Any, Any, bool]]) -> Callable[..., None]:
    """Give a command the options that all of them have, and its Target as first argument."""

    @wraps(function)
    def command(
        config: Path | None,
        account: str | None,
        url: str | None,
        mode: str | None,
        user: str,
        msg_id: int | None,
        repeat: int,
        bad: str | None,
        as_json: bool,
        **own: Any,
    ) -> None:
        settings = load_settings(config)
        _check_url(url)
        name = pick_account(settings, account, url)
        sender = in_mode(make_sender(settings, name, as_json), Mode(mode) if mode else None)
        fault = Fault(bad) if bad else None
        if sender.mode is Mode.PLAIN and fault in SEALED_ONLY:
            raise SettingsError(f"--bad {fault} needs a sealed body; add --mode safe")
        if sender.mode is not Mode.PLAIN and sender.aes_key is None:
            raise SettingsError(f"--mode {sender.mode} needs accounts.{name}.encoding_aes_key")
        target = Target(
            sender,
            url or callback_url(settings, name),
            receiver_of(settings, name),
            user,
            msg_id if msg_id is not None else time.time_ns() // 1000,
            repeat,
            fault,
        )
        sys.exit(0 if asyncio.run(function(target, **own)) else 1)

    return _with_options(command)


def _check_url(url: str | None) -> None:
    try:
        sound = url is None or (URL(url).scheme in ("http", "https") and bool(URL(url).host))
    except ValueError:
        sound = False
    if not sound:
        raise SettingsError(
            f"--url {url}: not a URL; write it like http://127.0.0.1:8000/wechat/main"
        )


def _with_options(command: Callable[..., None]) -> Callable[..., None]:
    options = (
        config_option,
        click.option("--account", help="The account's name in the settings; not needed for one."),
        click.option("--url", help="Where to send; the gateway of the settings by default."),
        click.option(
            "--mode",
            type=click.Choice([mode.value for mode in Mode]),
            help="Send in this mode, not the account's.",
        ),
        click.option("--from", "user", default=USER, metavar="OPENID", help="Who sends it."),
        click.option("--msg-id", type=int, metavar="N", help="The MsgId; a new one by default."),
        click.option(
            "--repeat",
            type=click.IntRange(1, 1000),
            default=1,
            metavar="N",
            help="Deliver the same message N times, as retries do.",
        ),
        click.option(
            "--bad",
            type=click.Choice([fault.value for fault in Fault]),
            help="Spoil this part of it; it must then be refused.",
        ),
        click.option(
            "--json", "as_json", is_flag=True, help="Send JSON, as some accounts have it."
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


async def _deliver(target: Target, document: Document) -> bool:
    """Send a document as often as wanted; return whether it was answered as it should be."""
    good = True
    async with aiohttp.ClientSession() as session:
        platform = Platform(session, target.sender, target.url)
        for _ in range(target.repeat):
            show_sent(document, target.sender.mode)
            outcome = await platform.deliver(
                partial(fresh_callback, target.sender, document, target.fault),
                tries=1 if target.fault else TRIES,
            )
            show_outcome(outcome, refusal_wanted=target.fault is not None)
            refused = outcome.status == 403
            good &= refused if target.fault else outcome.status == 200 and not outcome.complaint
    return good


def _message(target: Target, msg_type: str, **own: Any) -> Document:
    given = {name: value for name, value in own.items() if value is not None}
    return message(
        msg_type,
        MESSAGES[msg_type] | given,
        to=target.to,
        sender=target.user,
        now=int(time.time()),
        msg_id=target.msg_id,
    )


@simulate.command()
@click.argument("content")
@_targeted
async def text(target: Target, content: str) -> bool:
    """Send a text message.

    \b
    gateway simulate text "你好"
    gateway simulate text 帮助 --url http://127.0.0.1:8000/wechat/main
    """
    return await _deliver(target, _message(target, "text", Content=content))


@simulate.command()
@click.argument("media_id", required=False)
@_targeted
async def image(target: Target, media_id: str | None) -> bool:
    """Send a picture.

    \b
    gateway simulate image
    gateway simulate image MEDIA_ID --from oOther
    """
    return await _deliver(target, _message(target, "image", MediaId=media_id))


@simulate.command()
@click.argument("media_id", required=False)
@click.option("--recognition", help="What WeChat heard in it.")
@_targeted
async def voice(target: Target, media_id: str | None, recognition: str | None) -> bool:
    """Send a voice recording.

    \b
    gateway simulate voice --recognition "今天天气"
    """
    own = {"MediaId": media_id, "Recognition": recognition}
    return await _deliver(target, _message(target, "voice", **own))


@simulate.command()
@click.argument("media_id", required=False)
@_targeted
async def video(target: Target, media_id: str | None) -> bool:
    """Send a video.

    \b
    gateway simulate video MEDIA_ID
    """
    return await _deliver(target, _message(target, "video", MediaId=media_id))


@simulate.command()
@click.argument("media_id", required=False)
@_targeted
async def shortvideo(target: Target, media_id: str | None) -> bool:
    """Send a short video.

    \b
    gateway simulate shortvideo MEDIA_ID
    """
    return await _deliver(target, _message(target, "shortvideo", MediaId=media_id))


@simulate.command(context_settings={"ignore_unknown_options": True})  # 40.7 -74.0
@click.argument("latitude", type=float, required=False)
@click.argument("longitude", type=float, required=False)
@click.option("--label", help="The name of the place.")
@_targeted
async def location(
    target: Target, latitude: float | None, longitude: float | None, label: str | None
) -> bool:
    """Send a place.

    \b
    gateway simulate location 23.13 113.36 --label 广州
    """
    own = {"Location_X": latitude, "Location_Y": longitude, "Label": label}
    return await _deliver(target, _message(target, "location", **own))


@simulate.command()
@click.argument("address", required=False, metavar="[URL]")
@click.option("--title", help="The page's title.")
@_targeted
async def link(target: Target, address: str | None, title: str | None) -> bool:
    """Send a link.

    \b
    gateway simulate link https://example.com --title "一篇文章"
    """
    return await _deliver(target, _message(target, "link", Url=address, Title=title))


@simulate.command("event", epilog=f"Known with fields of their own: {', '.join(EVENTS)}.")
@click.argument("name")
@click.option("--key", help="The EventKey: a menu key, a URL, a QR code's scene.")
@_targeted
async def send_event(target: Target, name: str, key: str | None) -> bool:
    """Send an event by its name, such as subscribe, SCAN or CLICK.

    \b
    gateway simulate event subscribe --key 1001
    gateway simulate event CLICK --key V1001
    """
    document = event(name, key, to=target.to, sender=target.user, now=int(time.time()))
    return await _deliver(target, document)


@simulate.command()
@_targeted
async def verify(target: Target) -> bool:
    """Verify the URL as the console does when you save it there.

    \b
    gateway simulate verify
    gateway simulate verify --account main
    """
    if target.fault is not None:
        raise SettingsError("--bad spoils messages and events; verify sends a sound request only")
    echostr, nonce = fresh_number(), fresh_number()
    query = make_verification(target.sender, now=int(time.time()), nonce=nonce, echostr=echostr)
    async with aiohttp.ClientSession() as session:
        attempt, body = await Platform(session, target.sender, target.url).verify(query)
    good = attempt.status == 200 and body == echostr.encode()
    show_attempt(attempt, "echoed: the console would accept the URL" if good else "not echoed")
    return good
