"""``gateway demo``: a gateway and a simulated WeChat, with nothing to set up."""

import asyncio
import base64
import os
import signal
import sys
import time
from asyncio.subprocess import Process, create_subprocess_exec
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import aiohttp
import rich_click as click
from rich.console import Console

from gateway.app.logs import log_as_set
from gateway.cli.options import callback_url
from gateway.cli.platform import serving
from gateway.cli.serve import usable_address
from gateway.cli.tour import take_tour
from gateway.errors import SettingsError
from gateway.settings import CONFIG_VARIABLE, Settings, load_settings
from gateway.simulator.api.world import Account, Template

_SETTINGS = """\
# The demo account of `gateway demo`. Its secrets were made up on this machine.
[server]
port = {port}

[push]
templates = "{templates}"

[identity]
secret = "{identity}"
# Plain http, on this machine alone.
secure_cookies = false

[accounts.demo]
app_id = "{app_id}"
app_secret = "{secret}"
token = "{token}"
encoding_aes_key = "{key}"
mode = "safe"
original_id = "gh_demo00000001"
"""

_TEMPLATE_ID = "DEMO-WELCOME"
_TEMPLATE = f"""\
# What the demo bot pushes to a new follower: bot.push.template(account, user, "welcome", data).
template_id = "{_TEMPLATE_ID}"
url = "https://example.com/welcome"

[fields.thing1]
value = "{{{{ greeting | default('欢迎关注') }}}}"

[fields.time2]
value = "{{{{ since | timestr }}}}"
"""

_START_SECONDS = 20.0

_LOG_LEVEL = "warning"
"""What the tour prints is not to be lost among other lines."""


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
    log_as_set(settings, level=_LOG_LEVEL)
    if "demo" not in settings.accounts:
        raise SettingsError(f"{config}: has no account called demo; give another file as --config")
    # Else whatever listens there already would be taken for the gateway started here.
    usable_address(settings.server.host, port)
    try:
        sys.exit(asyncio.run(_run(settings, config, port, once=once)))
    except (KeyboardInterrupt, asyncio.CancelledError):
        sys.exit(0)


async def _run(settings: Settings, config: Path, port: int, *, once: bool) -> int:
    """Start both, take the tour, and serve until the server ends; return its exit code."""
    _end_by_signals()
    url = callback_url(settings, "demo", port)
    async with AsyncExitStack() as running:
        api, wechat = await running.enter_async_context(_wechat(settings, url, port))
        server = await running.enter_async_context(_gateway(port, api))
        session = await running.enter_async_context(aiohttp.ClientSession())
        await _ready(session, url, server)
        await take_tour(settings, session, url, wechat)
        if once:
            return 0
        if wechat is None:
            click.echo(f"{config} has no app_secret: nothing is pushed; without the file it is new")
        _show_sign_in(settings, port, wechat)
        Console().print(
            f"\nServing at [bold]{url}[/]. In another terminal, try:\n"
            f"  {_command()} simulate text 帮助 --config {config} --url {url}\n"
            "Ctrl-C stops it.",
            soft_wrap=True,
            highlight=False,
        )
        return await server.wait()


def _end_by_signals() -> None:
    """Let Ctrl-C and SIGTERM end this task, and what it started with it.

    By the loop's own handlers: others can come between its last look and its sleep, and be seen
    when something else wakes it.
    """
    if (task := asyncio.current_task()) is not None:
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, task.cancel)


@asynccontextmanager
async def _wechat(
    settings: Settings, url: str, port: int
) -> AsyncIterator[tuple[dict[str, str], Account | None]]:
    """Serve WeChat's API on a free port; give what says so to the gateway, and the account there.

    None where the account has no app_secret: nothing can be pushed for it.
    """
    async with serving(settings, "127.0.0.1", 0, lambda _name: url) as platform:
        account = platform.accounts.get("demo")
        if account is not None:
            text = "{{thing1.DATA}}\n{{time2.DATA}}"
            account.templates[_TEMPLATE_ID] = Template(_TEMPLATE_ID, "关注提醒", text)
        yield _variables(settings, port, f"http://127.0.0.1:{platform.port}"), account


def _variables(settings: Settings, port: int, platform: str) -> dict[str, str]:
    """Return what tells the gateway where the platform is, and where it is itself."""
    account = "GATEWAY_ACCOUNTS__DEMO__"
    variables = {f"{account}API_URL": platform}
    if _can_sign_in(settings):
        variables |= {
            f"{account}AUTHORIZE_URL": platform,
            f"{account}SIGN_IN_HOSTS": f'["127.0.0.1:{port}"]',
            "GATEWAY_IDENTITY__PUBLIC_URL": f"http://127.0.0.1:{port}",
        }
    return variables


def _can_sign_in(settings: Settings) -> bool:
    has_secret = settings.accounts["demo"].app_secret is not None
    return settings.identity.secret is not None and has_secret


def _show_sign_in(settings: Settings, port: int, wechat: Account | None) -> None:
    if wechat is None or not _can_sign_in(settings):
        return
    here = f"http://127.0.0.1:{port}"
    click.echo(
        "\nTo sign in as a simulated user, open in a browser:\n"
        f"  {here}/oauth/demo/authorize?scope=snsapi_userinfo&redirect={here}/me"
    )


@asynccontextmanager
async def _gateway(port: int, variables: dict[str, str]) -> AsyncIterator[Process]:
    """Run `gateway serve` with the demo bot; stop it in the end."""
    command = [sys.executable, "-m", "gateway", "serve", "--port", str(port)]
    environment = os.environ | variables | {"GATEWAY_SERVER__LOG_LEVEL": _LOG_LEVEL}
    server = await create_subprocess_exec(*command, env=environment)
    try:
        yield server
    finally:
        await _stop(server)


async def _stop(server: Process) -> None:
    if server.returncode is None:
        server.send_signal(signal.SIGTERM)
    try:
        async with asyncio.timeout(15):
            await server.wait()
    except TimeoutError:
        server.kill()
        await server.wait()


def _command() -> str:
    """Return how this program was called, so that what is printed can be typed again."""
    called = sys.argv[0]
    return "python -m gateway" if called.endswith("__main__.py") else called


def _write_settings(config: Path, port: int) -> None:
    templates = config.with_name(f"{config.stem}-templates")
    templates.mkdir(parents=True, exist_ok=True)
    (templates / "welcome.toml").write_text(_TEMPLATE, encoding="utf-8")
    # Letters and digits only, as the platform makes its keys (PROTOCOL 2).
    random = base64.b64encode(os.urandom(156), altchars=b"ab").decode()
    text = _SETTINGS.format(
        port=port,
        templates=templates.as_posix(),
        app_id=f"wx{os.urandom(8).hex()}",
        secret=random[90:122],
        token=random[:24],
        key=random[40:83],
        identity=random[130:194],
    )
    config.touch(mode=0o600, exist_ok=False)
    config.write_text(text, encoding="utf-8")


async def _ready(session: aiohttp.ClientSession, url: str, server: Process) -> None:
    """Wait until the gateway answers; raise SettingsError where it ends instead."""
    health = url.partition("/wechat/")[0] + "/health/live"
    until = time.monotonic() + _START_SECONDS
    while time.monotonic() < until:
        if server.returncode is not None:
            raise SettingsError("the gateway did not start; what it said stands above")
        try:
            async with session.get(health) as answer:
                if answer.status == 200:
                    return
        except aiohttp.ClientError:
            pass
        await asyncio.sleep(0.05)
    raise SettingsError(f"the gateway was not ready within {_START_SECONDS:g} seconds")
