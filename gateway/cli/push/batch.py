"""``gateway push batch``: any number of messages, from a file."""

import asyncio
import re
import sys
from collections.abc import AsyncIterator, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any, BinaryIO, Final, NamedTuple

import msgspec
import rich_click as click

from gateway.cli.push.following import follow
from gateway.cli.push.intake import Intake
from gateway.cli.push.refusals import Refusals
from gateway.cli.push.stores import make_maker, pushing, with_settings
from gateway.errors import SettingsError
from gateway.outbound.batches import Form, Pushes, take_batch
from gateway.outbound.jobs import Added, Job
from gateway.outbound.requests import JobMaker, PushRequest
from gateway.settings import Settings

CHUNK: Final = 1 << 18
"""Bytes read at a time."""

_FORMS: Final = {
    ".csv": Form.CSV,
    ".ndjson": Form.NDJSON,
    ".jsonl": Form.NDJSON,
}
_FORM_NAMES: Final = [form.value for form in Form]
_STDIN: Final = "-"


class Source(NamedTuple):
    """What is read, and how."""

    path: str
    form: Form
    name: str
    """The batch's."""
    defaults: dict[str, Any]
    """Fields of a request, for lines that do not have them."""

    @property
    def size(self) -> int | None:
        """Bytes; None where nobody knows."""
        return None if self.path == _STDIN else Path(self.path).stat().st_size


class Checks:
    """Makes the jobs of a batch, and stores none."""

    def __init__(self, maker: JobMaker) -> None:
        self._maker = maker

    def make(self, request: PushRequest, *, batch: str | None = None) -> Job:
        """Return the job of a request; raise PushRefused."""
        return self._maker.make(request, batch=batch)

    async def store(self, jobs: Sequence[Job]) -> list[Added]:
        """Take them for stored."""
        return [Added(job.id, is_new=True) for job in jobs]


@click.command("batch")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, allow_dash=True))
@click.option("--name", help="The batch's; else the file's, with a hash of what is in it.")
@click.option("--template", default="", help="For lines that name none.")
@click.option("--account", default="", help="For lines that name none; if there are several.")
@click.option("--form", type=click.Choice(_FORM_NAMES), help="Else by the file's ending.")
@click.option("--refused", type=click.Path(dir_okay=False), help="Write all refused lines there.")
@click.option("--dry-run", is_flag=True, help="Check every line, and queue nothing.")
@click.option("--follow", "is_followed", is_flag=True, help="Show what becomes of them, too.")
@click.option("--json", "json", is_flag=True, help="Print JSON in the end.")
@with_settings
async def batch(
    settings: Settings, file: str, dry_run: bool, is_followed: bool, json: bool, **given: Any
) -> int:
    """Queue a message for each line of a file, of any size; `-` is standard input.

    \b
    gateway push batch orders.csv --template order-shipped --dry-run
    gateway push batch orders.csv --template order-shipped --follow
    gateway push batch orders.csv --template order-shipped --refused refused.ndjson
    zcat orders.ndjson.gz | gateway push batch - --form ndjson --name orders-0926

    A CSV in UTF-8 has a header: `to`, the open id; perhaps account, template, language, priority,
    not_before, expires_at, idempotency_key; all others are the template's variables. NDJSON has
    these as JSON, the variables in `data`. A line that is wrong is refused, with its number; the
    others are queued. The same batch again queues nothing twice: give a file that was mended the
    --name that it had. Exits with 1 where lines were refused or, with --follow, messages failed.
    """
    refused = given.pop("refused")
    source = await asyncio.to_thread(_source, file, **given)
    with Refusals(refused) as refusals, Intake(source.size, refusals) as intake:
        code = await _take(settings, source, intake, dry_run=dry_run)
    intake.sum_up(source.name, dry_run=dry_run, json=json)
    if is_followed and not dry_run and intake.stored:
        code |= await follow(settings, source.name, json=json)
    return code


async def _take(settings: Settings, source: Source, intake: Intake, *, dry_run: bool) -> int:
    """Queue what can be; return the exit code."""
    if dry_run:
        await _read(source, Checks(await make_maker(settings)), intake)
    else:
        async with pushing(settings) as push:
            await _read(source, push, intake)
    return int(intake.refused > 0)


async def _read(source: Source, push: Pushes, intake: Intake) -> None:
    with _opened(source) as stream:
        lines = take_batch(push, source.name, source.form, source.defaults, _chunks(stream))
        async for progress in lines:
            intake.add(progress)


def _opened(source: Source) -> BinaryIO:
    return sys.stdin.buffer if source.path == _STDIN else Path(source.path).open("rb")


async def _chunks(stream: BinaryIO) -> AsyncIterator[bytes]:
    while chunk := await asyncio.to_thread(stream.read, CHUNK):
        yield chunk


def _source(
    file: str, *, name: str | None, template: str, account: str, form: str | None
) -> Source:
    """Return what is to be read; raise SettingsError where it does not say enough."""
    given = {"template": template, "account": account}
    defaults = {field: value for field, value in given.items() if value}
    written = Form(form) if form else _FORMS.get(Path(file).suffix.lower())
    if written is None:
        raise SettingsError(f"{file}: give --form csv or --form ndjson; its ending tells of none")
    if name is None and file == _STDIN:
        raise SettingsError("--name: give one; standard input has none, and is not read twice")
    return Source(file, written, name or _name(Path(file), defaults), defaults)


def _name(path: Path, defaults: dict[str, Any]) -> str:
    """Return the name of a batch: the same for the same file, sent as the same messages."""
    digest = blake2b(msgspec.json.encode(defaults), digest_size=6)
    with path.open("rb") as stream:
        while chunk := stream.read(CHUNK):
            digest.update(chunk)
    return f"{re.sub('[^A-Za-z0-9._-]', '_', path.name)[:80]}-{digest.hexdigest()}"
