"""``gateway settings``: every setting, with its default and its meaning."""

from collections.abc import Iterator, Mapping
from enum import Enum
from typing import get_args

import rich_click as click
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from gateway.settings import NAMED, SECTIONS
from gateway.settings import __doc__ as sources
from gateway.settings.sinks import SINKS, SinkSection, sink_type


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
        title = f"[{name}.NAME]" if name in NAMED else f"[{name}]"
        yield from _section(title, section, {})
    yield from _section("[[sinks]]", SinkSection, {})
    for kind in SINKS:
        title = f'[[sinks]] with type = "{sink_type(kind)}"'
        yield from _section(title, kind, SinkSection.model_fields)


def _section(title: str, section: type[BaseModel], known: Mapping[str, FieldInfo]) -> Iterator[str]:
    """Yield the lines of a section; not those of the settings that are known already."""
    yield ""
    yield f"## {title}"
    yield ""
    yield " ".join((section.__doc__ or "").split())
    yield ""
    yield "| Setting | Default | Meaning |"
    yield "| --- | --- | --- |"
    for name, field in section.model_fields.items():
        if name not in known and name != "type":
            meaning = " ".join((field.description or "").split())
            yield f"| `{name}` | {_default(field)} | {meaning} |"


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "*required*"
    if field.default_factory is not None:
        return "none"
    default = field.default.value if isinstance(field.default, Enum) else field.default
    if default is None:
        return "none"
    if isinstance(default, dict):
        pairs = ", ".join(f'"{key}" = "{value}"' for key, value in default.items())
        return f"`{{{pairs}}}`"
    choices = [str(choice) for choice in get_args(field.annotation)]
    others = f" (of {', '.join(choices)})" if default in choices else ""
    return f"`{default}`{others}"
