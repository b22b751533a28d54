"""Templates of messages that are pushed: files in, sound data for WeChat out, or an error.

A template names the platform's own by its id, and says what goes into each of its fields: text with
variables, as Jinja2 has it, rendered in a sandbox. It is compiled once. What WeChat would refuse, a
value too long or of the wrong shape, is found out here, before anything is queued.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from functools import cache
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
from jinja2 import StrictUndefined, Template, TemplateError, UndefinedError, nodes
from jinja2.exceptions import SecurityError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from gateway.errors import TemplateWrong
from gateway.outbound.jobs import Channel
from gateway.protocol.template_fields import fault_of, kind_name

Data = Mapping[str, Any]
"""The variables of a message, by their names."""

LANGUAGE: Final = "zh_CN"
"""What is sent to a user whose language has no variant."""

TIME_ZONE: Final = "Asia/Shanghai"

TEMPLATED: Final = (Channel.TEMPLATE, Channel.NOTICE, Channel.MINI_PROGRAM)
"""The channels whose messages have templates."""

_CHOICE: Final = ", ".join(TEMPLATED)
MAX_TEXT: Final = 2000
"""Characters of a field's text, or of a link's."""

_FILTERS: Final = (
    *("abs", "capitalize", "d", "default", "first", "float", "int", "join", "last", "length"),
    *("lower", "max", "min", "replace", "round", "string", "sum", "title", "trim", "upper"),
    "urlencode",
)
"""Those of Jinja2's filters that a message's text may have."""

_PLAIN: Final = (
    *(nodes.Template, nodes.Output, nodes.TemplateData, nodes.If, nodes.CondExpr),
    *(nodes.Name, nodes.Getattr, nodes.Getitem, nodes.Slice, nodes.Const, nodes.Filter),
    *(nodes.List, nodes.Tuple, nodes.Test, nodes.Keyword, nodes.Compare, nodes.Operand),
    *(nodes.And, nodes.Or, nodes.Not, nodes.Neg, nodes.Pos, nodes.Concat),
    *(nodes.Add, nodes.Sub, nodes.Mul, nodes.Div, nodes.FloorDiv, nodes.Mod),
)
"""What a message's text is made of: nothing that loops, calls or counts without end."""

_FIELD: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class FieldText(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What goes into a field."""

    value: str
    """Text with variables: ``{{ order.number }}``."""
    optional: bool = False
    """Whether the field is left out where a variable is missing; else that is an error."""
    skip_empty: bool = False
    """Whether it is left out where its value is empty, or a number that is 0."""


class PageText(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The mini program's page that a message leads to."""

    app_id: str
    path: str = ""


class Variant(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The fields of a template in another language; those it lacks are the template's own."""

    fields: dict[str, FieldText]
    template_id: str | None = None
    """The platform's template in that language, where it is another one."""


class TemplateFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A template as it is written."""

    template_id: str
    """The platform's, as the console shows it."""
    fields: dict[str, FieldText]
    channel: Channel = Channel.TEMPLATE
    url: str | None = None
    """Where a tap leads to; with variables."""
    page: PageText | None = None
    """A mini program's page, which goes before ``url``; its path with variables."""
    variants: dict[str, Variant] = {}
    """By language, such as ``en``."""


class Rendered(msgspec.Struct, frozen=True):
    """What is sent to one user."""

    template_id: str
    data: dict[str, str]
    """Each field's value."""
    url: str | None
    page: PageText | None


class MessageTemplate:
    """A template, compiled."""

    def __init__(self, name: str, written: TemplateFile) -> None:
        """Compile it; raise TemplateWrong with a line for each thing that is wrong."""
        self.name = name
        self.channel = written.channel
        self.written = written
        self._wrong: list[str] = []
        self._fields = {LANGUAGE: self._compiled(written.fields, "fields")}
        for language, variant in written.variants.items():
            own = self._compiled(variant.fields, f"variants.{language}.fields")
            self._fields[language] = self._fields[LANGUAGE] | own
        self._url = self._compile("url", written.url or "")
        self._path = self._compile("page.path", written.page.path if written.page else "")
        if not written.template_id:
            self._wrong.append("template_id: empty; give the platform's, as the console shows it")
        if written.channel not in TEMPLATED:
            self._wrong.append(f"channel: {written.channel} has no templates; give {_CHOICE}")
        if not written.fields:
            self._wrong.append("fields: there are none; write [fields.thing1] with a value")
        if self._wrong:
            raise TemplateWrong(*(f"template {name}: {line}" for line in self._wrong))

    def render(self, data: Data, language: str = LANGUAGE) -> Rendered:
        """Return what is sent with this data; raise TemplateWrong with a line for each fault."""
        fields = self._fields.get(language) or self._fields[LANGUAGE]
        values: dict[str, str] = {}
        wrong: list[str] = []
        for name, (text, template) in fields.items():
            try:
                value = template.render(data)
            except UndefinedError as missing:
                if not text.optional:
                    wrong.append(f"{name}: {missing.message}; give it with the data")
                continue
            except (TemplateError, ValueError, TypeError, ArithmeticError) as error:
                wrong.append(f"{name}: {error}")
                continue
            if text.skip_empty and _is_empty(name, value):
                continue
            if (fault := fault_of(name, value)) is not None:
                wrong.append(f"{name}: {fault}")
            values[name] = value
        url, path = self._link("url", self._url, data, wrong), ""
        if self.written.page is not None:
            path = self._link("page.path", self._path, data, wrong)
        if wrong:
            raise TemplateWrong(*(f"template {self.name}: {line}" for line in wrong))
        page = self.written.page
        return Rendered(
            self._id_in(language),
            values,
            url or None,
            None if page is None else PageText(page.app_id, path),
        )

    def languages(self) -> list[str]:
        """Return the languages that it has, the default one first."""
        return list(self._fields)

    def _id_in(self, language: str) -> str:
        variant = self.written.variants.get(language)
        return (variant.template_id if variant else None) or self.written.template_id

    def _link(self, name: str, template: Template | None, data: Data, wrong: list[str]) -> str:
        if template is None:
            return ""
        try:
            return template.render(data)
        except (TemplateError, ValueError, TypeError) as error:
            wrong.append(f"{name}: {error}; give it with the data")
            return ""

    def _compiled(
        self, fields: Mapping[str, FieldText], where: str
    ) -> dict[str, tuple[FieldText, Template]]:
        compiled = {}
        for name, text in fields.items():
            if not _FIELD.fullmatch(name):
                self._wrong.append(f"{where}.{name}: no field's name; write it like thing1")
            template = self._compile(f"{where}.{name}", text.value)
            if template is not None:
                compiled[name] = (text, template)
        return compiled

    def _compile(self, where: str, text: str) -> Template | None:
        if len(text) > MAX_TEXT:
            self._wrong.append(f"{where}: {len(text):,} characters; give {MAX_TEXT:,} at most")
            return None
        try:
            for node in _environment().parse(text).find_all(nodes.Node):
                if not isinstance(node, _PLAIN):
                    self._wrong.append(
                        f"{where}: {type(node).__name__.lower()}: a message's text has variables, "
                        "filters, {% if %} and sums only"
                    )
                    return None
            return _environment().from_string(text)
        except TemplateError as error:
            self._wrong.append(f"{where}: {error}")
            return None


def _is_empty(field: str, value: str) -> bool:
    """Tell whether a value is its type's zero."""
    if not value.strip():
        return True
    if kind_name(field) not in ("number", "amount"):
        return False
    try:
        return Decimal(value.strip("¥￥$€£元")) == 0
    except InvalidOperation:
        return False


def _timestr(moment: Any, form: str = "%Y年%m月%d日 %H:%M", zone: str = TIME_ZONE) -> str:
    """Return a moment as text: Unix seconds, ISO 8601 or a datetime; without a zone it is UTC."""
    if isinstance(moment, str):
        moment = datetime.fromisoformat(moment)
    elif isinstance(moment, int | float) and not isinstance(moment, bool):
        moment = datetime.fromtimestamp(moment, UTC)
    if not isinstance(moment, datetime):
        raise TypeError("timestr takes Unix seconds, ISO 8601 or a datetime")
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    try:
        return str(moment.astimezone(ZoneInfo(zone)).strftime(form))
    except (ZoneInfoNotFoundError, ValueError):
        raise ValueError(f"timestr: no time zone {zone}; write it like Asia/Shanghai") from None


def _money(fen: Any, currency: str = "¥") -> str:
    """Return an amount in fen, as WeChat counts money, as text in yuan."""
    try:
        yuan = Decimal(str(fen)) / 100
    except InvalidOperation:
        raise ValueError("money takes a number of fen") from None
    return f"{currency}{yuan:.2f}"


def _truncate_to(value: Any, most: int) -> str:
    """Return a text of so many characters at most, its end marked where it was cut."""
    text = str(value)
    return text if len(text) <= most else f"{text[: max(0, most - 1)]}…"


class _Environment(ImmutableSandboxedEnvironment):
    """Jinja2's sandbox, in which nothing takes long: templates come over the API, too."""

    intercepted_binops = frozenset(("*", "%"))

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        """Multiply and divide numbers; texts and lists would become as long as one likes."""
        if not isinstance(left, int | float) or not isinstance(right, int | float):
            raise SecurityError(f"{operator} is for numbers")
        return super().call_binop(context, operator, left, right)


@cache
def _environment() -> _Environment:
    # Nothing is escaped: what comes out is no HTML.
    environment = _Environment(undefined=StrictUndefined)
    known = {name: environment.filters[name] for name in _FILTERS}
    own = {"timestr": _timestr, "money": _money, "truncate_to": _truncate_to}
    environment.filters = known | own
    return environment
