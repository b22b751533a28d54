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
from gateway.app.stores import MEMORY, make_job_queue, make_template_store
from gateway.app.templates import load_templates
from gateway.cli.options import config_option
from gateway.errors import SettingsError, StoreDown
from gateway.outbound.push import Push
from gateway.outbound.registry import Templates
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


@asynccontextmanager
async def making(settings: Settings) -> AsyncIterator[JobMaker]:
    """Give what makes jobs of requests, by all templates; raise TemplateWrong, StoreDown."""
    async with closing(make_template_store(settings)) as store:
        templates = Templates(load_templates(settings), store)
        await templates.refresh()
        yield JobMaker(pushing_accounts(settings), templates)


@asynccontextmanager
async def pushing(settings: Settings) -> AsyncIterator[Push]:
    """Give what queues messages; raise TemplateWrong, StoreDown."""
    async with making(settings) as maker, closing(make_job_queue(settings)) as queue:
        yield Push(maker, queue)
