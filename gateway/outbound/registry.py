"""All templates of messages: those of the folder, and those that were given over the API."""

import asyncio
from collections.abc import Iterator, Mapping
from typing import Final

import msgspec

from gateway.errors import StoreDown, TemplateWrong
from gateway.outbound.ports import TemplateStore
from gateway.outbound.templates import MessageTemplate, TemplateFile
from gateway.telemetry.logs import get_logger

_log = get_logger("gateway.outbound")

REFRESH_SECONDS: Final = 5.0
"""Until a template that one process was given is known to the others."""


class Templates(Mapping[str, MessageTemplate]):
    """Templates by name; each is compiled once. A name of the folder is never another one's."""

    def __init__(self, files: Mapping[str, MessageTemplate], store: TemplateStore) -> None:
        self._files = dict(files)
        self._store = store
        self._written: dict[str, bytes] = {}
        self._given: dict[str, MessageTemplate] = {}
        self._changing = asyncio.Lock()
        """Held while the store and what is known of it change together."""

    def __getitem__(self, name: str) -> MessageTemplate:
        """Return a template; raise KeyError where there is none."""
        return self._files.get(name) or self._given[name]

    def __iter__(self) -> Iterator[str]:
        """Yield the names in order."""
        return iter(sorted({*self._files, *self._given}))

    def __len__(self) -> int:
        """Return how many there are."""
        return len({*self._files, *self._given})

    def is_file(self, name: str) -> bool:
        """Tell whether a template is the folder's."""
        return name in self._files

    def written(self, name: str) -> TemplateFile:
        """Return a template as it was written; raise KeyError where there is none."""
        return self[name].written

    async def put(self, name: str, written: TemplateFile) -> MessageTemplate:
        """Keep a template; raise TemplateWrong where something is wrong with it, and StoreDown.

        What is queued already stays as it was rendered.
        """
        self._refuse_file(name)
        template = MessageTemplate(name, written)
        body = msgspec.json.encode(written)
        async with self._changing:
            await self._store.put(name, body)
            self._written[name], self._given[name] = body, template
        return template

    async def remove(self, name: str) -> bool:
        """Forget a template; tell whether there was one; raise as ``put`` does."""
        self._refuse_file(name)
        async with self._changing:
            removed = await self._store.remove(name)
            self._written.pop(name, None)
            self._given.pop(name, None)
        return removed

    async def refresh(self) -> None:
        """Learn what other processes were given; raise StoreDown."""
        async with self._changing:
            self._take_over(await self._store.all())

    def _take_over(self, stored: Mapping[str, bytes]) -> None:
        for name, body in stored.items():
            if self._written.get(name) != body:
                try:
                    written = msgspec.json.decode(body, type=TemplateFile)
                    self._given[name] = MessageTemplate(name, written)
                except (msgspec.DecodeError, TemplateWrong) as wrong:
                    # Given to another version of the gateway, perhaps.
                    _log.error("template cannot be used", template=name, error=str(wrong))
                self._written[name] = body
        for name in self._written.keys() - stored.keys():
            del self._written[name]
            self._given.pop(name, None)

    async def refresh_for_ever(self) -> None:
        """Refresh now and then, until cancelled."""
        while True:
            try:
                await self.refresh()
            except StoreDown as down:
                _log.warning("templates stay as they are", error=str(down))
            await asyncio.sleep(REFRESH_SECONDS)

    def _refuse_file(self, name: str) -> None:
        if name in self._files:
            raise TemplateWrong(
                f"template {name}: is a file of push.templates; change that, or give another name"
            )
