"""``gateway demo``: a gateway and a simulated WeChat, with nothing to set up."""

import asyncio
import base64
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import aiohttp
import rich_click as click
from rich.console import Console

from gateway.cli.options import callback_url
from gateway.cli.sending import fresh_callback, make_sender
from gateway.cli.serve import usable_address
from gateway.cli.show import show_outcome, show_sent
from gateway.errors import SettingsError
from gateway.settings import CONFIG_VARIABLE, Settings, load_settings
from gateway.simulator.documents import MESSAGES, USER, Document, event, message
from gateway.simulator.platform import Platform

_SETTINGS = """\
# The demo account of `gateway demo`. Its secrets were made up on this machine.
[server]
port = {port}

[accounts.demo]
app_id = "{app_id}"
token = "{token}"
encoding_aes_key = "{key}"
mode = "safe"
original_id = "gh_demo00000001"
"""

_START_SECONDS = 20.0


@click.command()
@click.option("--port", type=click.IntRange(1, 65535), default=8000, help="Where to serve.")
@click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("var/demo.toml"),
    help="Where the demo account is kept; made up if it is not there.",
)
@click.option("--once", is_flag=True, help="Stop after the tour.")
def demo(port: int, config: Path, once: bool) -> None:
    """Start a gateway with a demo account and bot, let a simulated WeChat call it, go on serving.

    \b
    gateway demo
    gateway demo --port 8080
    """
    try:
        if not config.exists():
            _write_settings(config, port)
    except OSError as wrong:
        raise SettingsError(f"{config}: {wrong.strerror or wrong}; give another --config") from None
    os.environ[CONFIG_VARIABLE] = str(config.absolute())
    settings = load_settings(config)
    if "demo" not in settings.accounts:
        raise SettingsError(f"{config}: has no account called demo; give another file as --config")
    # Else whatever listens there already would be taken for the gateway started here.
    usable_address(settings.server.host, port)
    command = [sys.executable, "-m", "gateway", "serve", "--port", str(port)]
    environment = os.environ | {"GATEWAY_SERVER__LOG_LEVEL": "warning"}
    # SIGTERM ends the demo as Ctrl-C does, and the server with it.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    server = subprocess.Popen(command, env=environment)  # noqa: S603 - this program itself
    try:
        url = callback_url(settings, "demo", port)
        asyncio.run(_tour(settings, url, server))
        if once:
            return
        Console().print(
            f"\nServing at [bold]{url}[/]. In another terminal, try:\n"
            f"  {_command()} simulate text 帮助 --config {config} --url {url}\n"
            "Ctrl-C stops it.",
            soft_wrap=True,
            highlight=False,
        )
        sys.exit(server.wait())
    except KeyboardInterrupt:
        pass
    finally:
        _stop(server)


def _command() -> str:
    """Return how this program was called, so that what is printed can be typed again."""
    called = sys.argv[0]
    return "python -m gateway" if called.endswith("__main__.py") else called


def _write_settings(config: Path, port: int) -> None:
    config.parent.mkdir(parents=True, exist_ok=True)
    # Letters and digits only, as the platform makes its keys (PROTOCOL 2).
    random = base64.b64encode(os.urandom(96), altchars=b"ab").decode()
    text = _SETTINGS.format(
        port=port, app_id=f"wx{os.urandom(8).hex()}", token=random[:24], key=random[40:83]
    )
    config.touch(mode=0o600, exist_ok=False)
    config.write_text(text, encoding="utf-8")


def _stop(server: subprocess.Popen[bytes]) -> None:
    if server.poll() is None:
        server.send_signal(signal.SIGTERM)
    try:
        server.wait(timeout=15)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()


async def _tour(settings: Settings, url: str, server: subprocess.Popen[bytes]) -> None:
    sender = make_sender(settings, "demo")
    async with aiohttp.ClientSession() as session:
        await _ready(session, url, server)
        platform = Platform(session, sender, url)
        for document in _documents(settings.accounts["demo"].original_id or ""):
            show_sent(document, sender.mode)
            show_outcome(await platform.deliver(partial(fresh_callback, sender, document)))


def _documents(to: str) -> list[Document]:
    now = int(time.time())
    msg_id = time.time_ns() // 1000
    return [
        message("text", MESSAGES["text"], to=to, sender=USER, now=now, msg_id=msg_id),
        message("image", MESSAGES["image"], to=to, sender=USER, now=now, msg_id=msg_id + 1),
        event("subscribe", "1001", to=to, sender=USER, now=now),
        event("CLICK", "V1001", to=to, sender=USER, now=now),
    ]


async def _ready(session: aiohttp.ClientSession, url: str, server: subprocess.Popen[bytes]) -> None:
    """Wait until the gateway answers; raise SettingsError where it ends instead."""
    health = url.partition("/wechat/")[0] + "/health/ready"
    until = time.monotonic() + _START_SECONDS
    while time.monotonic() < until:
        if server.poll() is not None:
            raise SettingsError("the gateway did not start; what it said stands above")
        try:
            async with session.get(health) as answer:
                if answer.status == 200:
                    return
        except aiohttp.ClientError:
            pass
        await asyncio.sleep(0.05)
    raise SettingsError(f"the gateway was not ready within {_START_SECONDS:g} seconds")
