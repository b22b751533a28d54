"""``gateway push template`` and ``text``: one message, and if wanted what becomes of it."""

import asyncio
from collections.abc import Callable
from typing import Any, Final

import msgspec
import rich_click as click

from gateway.app.stores import make_job_records
from gateway.cli.push.shown import UNFORTUNATE, as_json, has_ended, print_record
from gateway.cli.push.stores import closing, pushing, with_settings
from gateway.cli.times import moment
from gateway.errors import KeyReused, PushRefused
from gateway.outbound.jobs import Priority, Record, Wanted
from gateway.outbound.ports import JobRecords
from gateway.outbound.requests import PushRequest
from gateway.outbound.templates import LANGUAGE
from gateway.settings import Settings

LOOK_SECONDS: Final = 0.1
"""Between two looks at what became of a message."""


def _queueing(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options of any message."""
    options = (
        click.option("--account", default="", help="By its name in the settings; if several."),
        click.option("--key", help="An idempotency key: of two with one key one is queued."),
        click.option(
            "--priority",
            type=click.Choice([each.name.lower() for each in Priority]),
            default="normal",
            help="Which go first.",
        ),
        click.option(
            "--at",
            callback=moment,
            metavar="TIME",
            help="Not before: +10m, 2026-11-26T09:30, Unix seconds.",
        ),
        click.option("--expires", callback=moment, metavar="TIME", help="Not sent any more then."),
        click.option(
            "--wait",
            type=click.FloatRange(min=0),
            metavar="SECONDS",
            help="Follow it until it has ended.",
        ),
        click.option("--json", "json", is_flag=True, help="Print JSON."),
    )
    for option in reversed(options):
        command = option(command)
    return command


@click.command("template")
@click.argument("name")
@click.option("--to", required=True, metavar="OPENID", help="The user.")
@click.option("--data", default="{}", metavar="JSON", help="The variables, as a JSON object.")
@click.option("--language", default=LANGUAGE, show_default=True, help="The user's language.")
@_queueing
@with_settings
async def push_template(
    settings: Settings, name: str, to: str, data: str, language: str, **options: Any
) -> int:
    """Queue a template's message to a user; print its id.

    \b
    gateway push template order-shipped --to oUser… --data '{"number": "A17"}'
    gateway push template order-shipped --to oUser… --data '{"number": "A17"}' --wait 10
    gateway push template order-shipped --to oUser… --key A17-shipped --at +10m --expires +2h

    With --wait it exits with 1 where the message failed, or has not ended by then.
    """
    asked = {"template": name, "to": to, "data": _object(data), "language": language}
    return await _queue(settings, asked, **options)


@click.command("text")
@click.argument("to", metavar="OPENID")
@click.argument("content")
@_queueing
@with_settings
async def push_text(settings: Settings, to: str, content: str, **options: Any) -> int:
    """Queue a text by customer service, which WeChat takes for 48 hours after the user wrote.

    \b
    gateway push text oUser… "你好"
    gateway push text oUser… "你好" --account main --priority high --wait 10
    """
    asked = {"to": to, "custom": {"msgtype": "text", "text": {"content": content}}}
    return await _queue(settings, asked, **options)


async def _queue(
    settings: Settings,
    asked: dict[str, Any],
    *,
    key: str | None,
    at: float | None,
    expires: float | None,
    wait: float | None,
    json: bool,
    **others: Any,
) -> int:
    """Queue a message, and tell of it; return the exit code."""
    times: dict[str, Any] = {"not_before": at, "expires_at": expires}
    request = PushRequest(**asked, **times, **others, idempotency_key=key)
    async with pushing(settings, has_template="template" in asked) as push:
        (added,) = await push.store([push.make(request)])
    if not added.is_same:
        raise KeyReused(added.id)
    if not added.is_new:
        click.echo("queued before, with this key; not again", err=True)
    if not json:
        click.echo(added.id)
    if wait is None and not json:
        return 0
    async with closing(make_job_records(settings)) as records:
        return _told(await _follow(records, added.id, wait or 0.0), wait, json=json)


async def _follow(records: JobRecords, id_: str, wait: float) -> Record:
    """Return a message once it has ended, or as it is after so many seconds."""
    until = asyncio.get_running_loop().time() + wait
    while True:
        found = await records.find(Wanted(ids=(id_,)), 1)
        if not found:
            raise PushRefused(f"message {id_}: somebody removed it")
        if has_ended(found[0]) or asyncio.get_running_loop().time() >= until:
            return found[0]
        await asyncio.sleep(LOOK_SECONDS)


def _told(record: Record, wait: float | None, *, json: bool) -> int:
    """Print what became of a message; return the exit code."""
    if json:
        click.echo(msgspec.json.encode(as_json(record)))
    else:
        print_record(record)
    if wait is None:
        return 0
    if not has_ended(record):
        click.echo(f"not ended within {wait:g} s; see: gateway push show {record.id}", err=True)
        return 1
    return int(record.state in UNFORTUNATE)


def _object(data: str) -> dict[str, Any]:
    try:
        return msgspec.json.decode(data, type=dict[str, Any])
    except msgspec.DecodeError as wrong:
        raise PushRefused(f"--data: no JSON object: {wrong}") from None
