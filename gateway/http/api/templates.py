"""/push/templates: the templates of messages are listed, tried, given and removed."""

import re
from collections.abc import Iterable
from typing import Any, Final

import msgspec
from litestar import MediaType, Response, delete, get, post, put
from litestar.exceptions import HTTPException
from litestar.handlers import HTTPRouteHandler

from gateway.errors import PushRefused, TemplateWrong
from gateway.http.api.asking import Ask, Asked, Bodies
from gateway.http.api.faults import faults_of
from gateway.http.api.filters import read
from gateway.http.api.keys import ApiKey, Forbidden, Scope
from gateway.http.api.problems import FieldError, Problem
from gateway.http.api.views import Template, TemplateField, TemplateList
from gateway.outbound.registry import Templates
from gateway.outbound.templates import LANGUAGE, MessageTemplate, Rendered, TemplateFile
from gateway.protocol.template_fields import kind_name, kind_of
from gateway.telemetry.logs import get_logger

_log = get_logger("gateway.push")

MAX_TEMPLATE: Final = 65_536
"""Bytes of a template as it is given, and of the data that it is tried with."""

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_NAME_WRONG: Final = (
    "1 to 64 small letters, digits, and . _ or -, the first a letter or a digit; such as "
    "order-shipped"
)


class Preview(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a template is tried with."""

    data: dict[str, Any] = {}
    """Its variables."""
    language: str = LANGUAGE


class Templating:
    """Looks at templates and changes them; what other processes were given is looked up first."""

    def __init__(self, templates: Templates) -> None:
        self._templates = templates

    async def all(self) -> TemplateList:
        """Return all templates, by name; raise StoreDown."""
        await self._templates.refresh()
        return TemplateList(tuple(self._shown(one) for one in self._templates.values()))

    async def one(self, name: str) -> MessageTemplate:
        """Return a template; raise Problem where there is none, and StoreDown."""
        await self._templates.refresh()
        found = self._templates.get(name)
        if found is None:
            raise _none()
        return found

    async def preview(self, name: str, given: Preview) -> Rendered:
        """Return what would be sent; raise PushRefused as it is raised of a message."""
        template = await self.one(name)
        try:
            return template.render(given.data, given.language)
        except TemplateWrong as wrong:
            raise PushRefused(*wrong.args) from None

    async def put(self, key: ApiKey, name: str, given: dict[str, Any]) -> Template:
        """Keep a template in place of any other of this name; return it as it is listed.

        Raises Problem where anything is wrong with it, or its name is a file's; Forbidden,
        StoreDown.
        """
        self._demand_change(key, name)
        if not _NAME.fullmatch(name):
            raise _refused([FieldError(_NAME_WRONG, "name")])
        if faults := list(faults_of(given, TemplateFile)):
            raise _refused(faults)
        try:
            template = await self._templates.put(name, read(given, TemplateFile))
        except TemplateWrong as wrong:
            raise _refused(_fault(str(line), name) for line in wrong.args) from None
        _log.info("push template put", key=key.name, template=name)
        return self._shown(template)

    async def remove(self, key: ApiKey, name: str) -> None:
        """Forget a template; raise Problem where there is none, or a file; Forbidden, StoreDown."""
        self._demand_change(key, name)
        if not await self._templates.remove(name):
            raise _none()
        _log.info("push template removed", key=key.name, template=name)

    def _demand_change(self, key: ApiKey, name: str) -> None:
        if key.accounts:
            # All accounts send by one and the same templates.
            raise Forbidden(
                "account: this key is for some accounts, and a template is all accounts'; take a "
                "key without accounts"
            )
        if self._templates.is_file(name):
            raise Problem(
                409, "the template is a file of push.templates; change that, or give another name"
            )

    def _shown(self, one: MessageTemplate) -> Template:
        written = one.written
        names = dict.fromkeys(written.fields)
        for variant in written.variants.values():
            names |= dict.fromkeys(variant.fields)
        return Template(
            name=one.name,
            channel=one.channel,
            template_id=written.template_id,
            languages=tuple(one.languages()),
            fields=tuple(map(_field, names)),
            source="file" if self._templates.is_file(one.name) else "api",
        )


def _field(name: str) -> TemplateField:
    kind = kind_of(name)
    if kind is None:
        return TemplateField(name, None, None)
    return TemplateField(name, kind_name(name), kind.limit)


def _none() -> Problem:
    return Problem(404, "there is no template of this name")


def _refused(faults: Iterable[FieldError]) -> Problem:
    return Problem(422, "the template is not kept; mend it", errors=tuple(faults))


def _fault(line: str, name: str) -> FieldError:
    """Return what a line of TemplateWrong says of a template."""
    field, _, detail = line.removeprefix(f"template {name}: ").partition(": ")
    return FieldError(detail, field)


async def _body(bodies: Bodies, request: Asked) -> dict[str, Any]:
    try:
        return await bodies.read(request)
    except HTTPException as error:
        if error.status_code != 413:
            raise
        raise Problem(413, f"give {MAX_TEMPLATE:,} bytes at most") from None


def template_routes(ask: Ask, templating: Templating, bodies: Bodies) -> list[HTTPRouteHandler]:
    """Return the routes."""
    one = "/templates/{name:str}"

    @get("/templates", media_type=MediaType.JSON)
    async def templates(request: Asked) -> Response[TemplateList]:
        """List templates."""
        ask(request, Scope.READ)
        return Response(await templating.all())

    @get(one, media_type=MediaType.JSON)
    async def template(request: Asked) -> Response[TemplateFile]:
        """Tell a template as it is written."""
        ask(request, Scope.READ)
        return Response((await templating.one(request.path_params["name"])).written)

    @put(one, media_type=MediaType.JSON, request_max_body_size=MAX_TEMPLATE)
    async def give(request: Asked) -> Response[Template]:
        """Keep a template."""
        key = ask(request, Scope.MANAGE)
        given = await _body(bodies, request)
        return Response(await templating.put(key, request.path_params["name"], given))

    @delete(one)
    async def remove(request: Asked) -> None:
        """Forget a template."""
        key = ask(request, Scope.MANAGE)
        await templating.remove(key, request.path_params["name"])

    @post(
        f"{one}/preview",
        media_type=MediaType.JSON,
        status_code=200,
        request_max_body_size=MAX_TEMPLATE,
    )
    async def preview(request: Asked) -> Response[Rendered]:
        """Tell what would be sent."""
        ask(request, Scope.READ)
        given = read(await _body(bodies, request), Preview)
        return Response(await templating.preview(request.path_params["name"], given))

    return [templates, template, give, remove, preview]
