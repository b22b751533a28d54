"""``gateway templates``: the templates of what is pushed to users."""

from pathlib import Path
from typing import Any

import msgspec
import rich_click as click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from gateway.app.templates import load_template, load_templates
from gateway.cli.options import config_option
from gateway.errors import SettingsError
from gateway.outbound.templates import LANGUAGE
from gateway.settings import load_settings


@click.group()
def templates() -> None:
    """Look whether message templates are sound, and what users would see.

    \b
    gateway templates check
    gateway templates preview order-shipped --data '{"goods": "巧克力", "fen": 3980}'

    Each is a TOML file in the folder push.templates. Exits with 2 where one is wrong.
    """


@templates.command()
@config_option
def check(config: Path | None) -> None:
    """Read all templates, and tell what is wrong with any.

    \b
    gateway templates check
    """
    settings = load_settings(config)
    found = load_templates(settings)
    table = Table("template", "channel", "languages", box=None)
    for name, template in found.items():
        table.add_row(name, template.channel, ", ".join(template.languages()))
    if found:
        Console().print(table)
    click.echo(f"{len(found)} templates in {settings.push.templates}, all sound")


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
    rendered = load_template(load_settings(config), name).render(_object(data), language)
    table = Table("field", "value", box=None)
    for field, value in rendered.data.items():
        table.add_row(field, Text(value))
    if rendered.page is not None:
        table.add_row("page", Text(f"{rendered.page.app_id} {rendered.page.path}"))
    if rendered.url is not None:
        table.add_row("url", Text(rendered.url))
    click.echo(rendered.template_id)
    Console().print(table)


def _object(data: str) -> dict[str, Any]:
    try:
        return msgspec.json.decode(data, type=dict[str, Any])
    except msgspec.DecodeError as wrong:
        raise SettingsError(f"--data: no JSON object: {wrong}") from None
