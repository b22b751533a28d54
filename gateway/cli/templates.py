"""``gateway templates``: the templates of what is pushed to users."""

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import rich_click as click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from gateway.app.templates import AllTemplates, load_all_templates
from gateway.cli.options import config_option
from gateway.errors import SettingsError, TemplateWrong
from gateway.outbound.templates import LANGUAGE, MessageTemplate
from gateway.settings import Settings, load_settings


@click.group()
def templates() -> None:
    """Look whether message templates are sound, and what users would see.

    \b
    gateway templates check
    gateway templates preview order-shipped --data '{"goods": "巧克力", "fen": 3980}'
    gateway templates show order-shipped

    Each is a TOML file in the folder push.templates, or was given over the API. Where the store is
    down, those of the folder are all that is known. Exits with 2 where one is wrong.
    """


@templates.command()
@config_option
def check(config: Path | None) -> None:
    """Read all templates, and tell what is wrong with any.

    \b
    gateway templates check
    """
    settings = load_settings(config)
    found = asyncio.run(load_all_templates(settings))
    if found.wrong:
        raise TemplateWrong(*found.wrong)
    warn_of(found)
    table = Table("template", "channel", "languages", "source", box=None)
    for name, template in found.by_name().items():
        languages = ", ".join(template.languages())
        table.add_row(name, template.channel, languages, _source(found, name))
    if table.row_count:
        Console().print(table)
    given = f", {len(found.stored)} given over the API" if found.stored else ""
    click.echo(f"{len(found.files)} templates in {settings.push.templates}{given}, all sound")


@templates.command()
@click.argument("name")
@click.option("--data", default="{}", metavar="JSON", help="The variables, as a JSON object.")
@click.option("--language", default=LANGUAGE, show_default=True, help="The user's language.")
@config_option
def preview(name: str, data: str, language: str, config: Path | None) -> None:
    """Show what a template becomes with this data.

    \b
    gateway templates preview order-shipped --data '{"goods": "巧克力", "fen": 3980}'
    gateway templates preview order-shipped --data '{"goods": "Tea"}' --language en
    """
    rendered = _one(load_settings(config), name).render(_object(data), language)
    table = Table("field", "value", box=None)
    for field, value in rendered.data.items():
        table.add_row(field, Text(value))
    if rendered.page is not None:
        table.add_row("page", Text(f"{rendered.page.app_id} {rendered.page.path}"))
    if rendered.url is not None:
        table.add_row("url", Text(rendered.url))
    click.echo(rendered.template_id)
    Console().print(table)


@templates.command()
@click.argument("name")
@config_option
def show(name: str, config: Path | None) -> None:
    """Print a template as it is written: JSON, which the API takes as it is.

    \b
    gateway templates show order-shipped
    """
    written = msgspec.json.encode(_one(load_settings(config), name).written)
    click.echo(msgspec.json.format(written, indent=2))


def warn_of(found: AllTemplates) -> None:
    """Say what is not known of the store's templates, or is wrong with them."""
    lines = list(found.wrong)
    if found.down is not None:
        lines.append(f"{found.down}; so no template is known that was given over the API")
    for line in lines:
        click.secho(f"gateway: {line}", fg="yellow", err=True)


def _one(settings: Settings, name: str) -> MessageTemplate:
    """Return a template; raise TemplateWrong where there is none of this name."""
    every = asyncio.run(load_all_templates(settings))
    warn_of(every)
    found = every.by_name()
    if name not in found:
        known = ", ".join(found) or f"none in {settings.push.templates}"
        raise TemplateWrong(f"template {name}: there is none; there are: {known}")
    return found[name]


def _source(found: AllTemplates, name: str) -> str:
    if name not in found.files:
        return "api"
    return "file, not the API's" if name in found.stored else "file"


def _object(data: str) -> dict[str, Any]:
    try:
        return msgspec.json.decode(data, type=dict[str, Any])
    except msgspec.DecodeError as wrong:
        raise SettingsError(f"--data: no JSON object: {wrong}") from None
