"""What the commands of ``gateway users`` work on: the stores of the settings, and no server."""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from functools import wraps
from pathlib import Path
from typing import Any, NamedTuple

import rich_click as click

from gateway.app.api import Apis
from gateway.app.identity import Identities
from gateway.app.personal_data import PersonalData
from gateway.cli.options import config_option
from gateway.errors import StoreDown
from gateway.identity.people import Person
from gateway.settings import Settings, load_settings


class People(NamedTuple):
    """Everybody, as the stores know them."""

    settings: Settings
    apis: Apis
    identities: Identities

    async def person(self, id_: str) -> Person | None:
        """Return a person; where there is nobody, say so."""
        person = await self.identities.store.person(id_)
        if person is None:
            complain(f"there is nobody with the id {id_}; `gateway users find` finds people's ids")
        return person


def with_people(function: Callable[..., Coroutine[Any, Any, int]]) -> Callable[..., None]:
    """Give a command ``--config`` and the settings' People; what it returns is the exit code.

    That is 1 where a store is down.
    """

    @wraps(function)
    def command(config: Path | None, **own: Any) -> None:
        settings = load_settings(config)

        async def run() -> int:
            async with _opened(settings) as people:
                return await function(people, **own)

        try:
            code = asyncio.run(run())
        except StoreDown as down:
            complain(str(down))
            code = 1
        sys.exit(code)

    return config_option(command)


@asynccontextmanager
async def _opened(settings: Settings) -> AsyncIterator[People]:
    apis = Apis(settings)
    try:
        identities = Identities(settings, apis)
        try:
            yield People(settings, apis, identities)
        finally:
            await identities.stop()
    finally:
        await apis.close()


@asynccontextmanager
async def personal_data(people: People) -> AsyncIterator[PersonalData]:
    """Give all that is kept of people."""
    data = PersonalData(people.settings, people.identities)
    try:
        yield data
    finally:
        await data.close()


def complain(said: str) -> None:
    """Say what went wrong."""
    click.secho(f"gateway: {said}", fg="red", err=True)
