"""The templates of messages: those of the settings' folder, and those of the store."""

from typing import NamedTuple

import msgspec

from gateway.adapters.template_files import read_templates
from gateway.app.stores import MEMORY, make_template_store, sqlite_path
from gateway.errors import StoreDown, TemplateWrong
from gateway.outbound.templates import MessageTemplate, TemplateFile
from gateway.settings import Settings


class AllTemplates(NamedTuple):
    """What there is of templates now, for a command that looks once."""

    files: dict[str, MessageTemplate]
    stored: dict[str, MessageTemplate]
    """Given over the API."""
    wrong: tuple[str, ...] = ()
    """A line for each thing that is wrong in the store."""
    down: StoreDown | None = None
    """Why nothing is known of the store."""

    def by_name(self) -> dict[str, MessageTemplate]:
        """Return all, in order; a file goes before what the store has under its name."""
        return dict(sorted((self.stored | self.files).items()))


def load_templates(settings: Settings) -> dict[str, MessageTemplate]:
    """Return the folder's templates by their names; raise TemplateWrong where one is wrong."""
    return read_templates(settings.push.templates)


async def load_all_templates(settings: Settings) -> AllTemplates:
    """Return the folder's templates and the store's; raise TemplateWrong where a file is wrong.

    A store that is not there yet is not made.
    """
    files = load_templates(settings)
    if not _has_store(settings):
        return AllTemplates(files, {})
    store = make_template_store(settings)
    try:
        written = await store.all()
    except StoreDown as down:
        return AllTemplates(files, {}, down=down)
    finally:
        await store.close()
    stored: dict[str, MessageTemplate] = {}
    wrong: list[str] = []
    for name, body in written.items():
        try:
            stored[name] = _compiled(name, body)
        except TemplateWrong as error:
            wrong += error.args
    return AllTemplates(files, stored, tuple(wrong))


def _has_store(settings: Settings) -> bool:
    given = settings.store
    if given.postgres_dsn is not None:
        return True
    return given.url != MEMORY and sqlite_path(given.url).exists()


def _compiled(name: str, body: bytes) -> MessageTemplate:
    try:
        return MessageTemplate(name, msgspec.json.decode(body, type=TemplateFile))
    except msgspec.DecodeError as error:
        raise TemplateWrong(f"template {name}: {error}") from None
