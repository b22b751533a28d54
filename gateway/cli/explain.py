"""``gateway settings``: every setting, with its default and its meaning."""

from collections.abc import Iterator
from enum import Enum
from typing import get_args

import rich_click as click
from pydantic.fields import FieldInfo

from gateway.settings import SECTIONS
from gateway.settings import __doc__ as sources


@click.command()
def settings() -> None:
    """List every setting with its default and its meaning, as Markdown.

    \b
    gateway settings
    gateway settings | grep -i window
    """
    click.echo(describe(), nl=False)


def describe() -> str:
    """Return the list: docs/settings.md holds the same text."""
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    yield "# Settings"
    yield ""
    yield "This is what `gateway settings` prints."
    yield ""
    yield from (sources or "").strip().replace("``", "`").splitlines()
    for name, section in SECTIONS.items():
        yield ""
        yield f"## [{name}]" if name != "accounts" else "## [accounts.NAME]"
        yield ""
        yield (section.__doc__ or "").strip()
        yield ""
        yield "| Setting | Default | Meaning |"
        yield "| --- | --- | --- |"
        for field_name, field in section.model_fields.items():
            meaning = " ".join((field.description or "").split())
            yield f"| `{field_name}` | {_default(field)} | {meaning} |"


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "*required*"
    default = field.default.value if isinstance(field.default, Enum) else field.default
    if default is None:
        return "none"
    choices = [str(choice) for choice in get_args(field.annotation)]
    others = f" (of {', '.join(choices)})" if default in choices else ""
    return f"`{default}`{others}"
