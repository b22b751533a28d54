"""What the commands of ``gateway push`` work on: the stores of the settings, and no server."""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from functools import wraps
from pathlib import Path
from typing import Any, Protocol, TypeVar

import rich_click as click

from gateway.app.push import pushing_accounts
from gateway.app.stores import MEMORY, make_job_queue
from gateway.app.templates import AllTemplates, load_all_templates, load_templates
from gateway.cli.options import config_option
from gateway.cli.templates import warn_of
from gateway.errors import SettingsError, StoreDown
from gateway.outbound.push import Push
from gateway.outbound.requests import JobMaker
from gateway.settings import Settings, load_settings


class _Closes(Protocol):
    async def close(self) -> None:
        """Let go of connections and threads."""


_C = TypeVar("_C", bound=_Closes)


def with_settings(function: Callable[..., Coroutine[Any, Any, int]]) -> Callable[..., None]:
    """Give a command ``--config`` and its settings; what it returns is the exit code.

    That is 1 where the store is down.
    """

    @wraps(function)
    def command(config: Path | None, **own: Any) -> None:
        settings = load_settings(config)
        if settings.store.url == MEMORY and settings.store.postgres_dsn is None:
            raise SettingsError(
                "store.url: memory:// keeps nothing that is pushed; give sqlite:///var/gateway.db, "
                "or a store.postgres_dsn"
            )
        try:
            code = asyncio.run(function(settings, **own))
        except StoreDown as down:
            click.secho(f"gateway: {down}", fg="red", err=True)
            code = 1
        sys.exit(code)

    return config_option(command)


@asynccontextmanager
async def closing(store: _C) -> AsyncIterator[_C]:
    """Close a store in the end."""
    try:
        yield store
    finally:
        await store.close()


async def make_maker(settings: Settings, *, has_template: bool = True) -> JobMaker:
    """Return what makes jobs of requests, by all templates; raise TemplateWrong.

    Where the store is down, that is a warning, and the folder's templates are all there are.
    """
    if has_template:
        templates = await load_all_templates(settings)
    else:
        templates = AllTemplates(load_templates(settings), {})
    warn_of(templates)
    return JobMaker(pushing_accounts(settings), templates.by_name())


@asynccontextmanager
async def pushing(settings: Settings, *, has_template: bool = True) -> AsyncIterator[Push]:
    """Give what queues messages; raise TemplateWrong.

    Where none ``has_template``, the store is not asked for its own.
    """
    maker = await make_maker(settings, has_template=has_template)
    async with closing(make_job_queue(settings)) as queue:
        yield Push(maker, queue)
