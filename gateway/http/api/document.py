"""GET /openapi.json: the HTTP API, described as OpenAPI 3.1 has it, with examples.

Schemas come from the types that requests are read with and answers are made of, so they cannot
differ from what is taken and told. Litestar's own document is not used: it would know the bodies
that are streamed or hold one of two shapes only by what is said of them here all the same, and it
serves itself from a router that answers every path of one part.
"""

import re
from http import HTTPStatus
from typing import Any, Final, get_args, get_origin

import msgspec
from litestar import Response, get
from litestar.handlers import HTTPRouteHandler

from gateway.http.api import examples
from gateway.http.api.operations import Content, Operation
from gateway.http.api.problems import MEDIA_TYPE, ProblemDocument

_REF: Final = "#/components/schemas/{name}"


def document_route(version: str, operations: tuple[Operation, ...]) -> HTTPRouteHandler:
    """Return the route; ``version`` is the gateway's, ``operations`` those that are served."""

    @get("/openapi.json", media_type="application/vnd.oai.openapi+json", sync_to_thread=False)
    def openapi() -> Response[dict[str, Any]]:
        """Tell what the API is; no secret."""
        return Response(document(version, operations))

    return openapi


def document(version: str, operations: tuple[Operation, ...]) -> dict[str, Any]:
    """Return the document."""
    paths: dict[str, dict[str, Any]] = {}
    for one in operations:
        paths.setdefault(one.path, {})[one.method] = _operation(one)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "WeChat gateway",
            "version": version,
            "description": "Messages to the users of WeChat Official Accounts, and who these users "
            "are. What goes wrong is told as RFC 9457 has it.",
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": _schemas(operations),
            "securitySchemes": {
                "key": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "An API key, as `gateway api-key new` makes it: gwk_…",
                },
                "session": {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "JWT",
                    "description": "A session's token. A browser has it in a cookie "
                    "(identity.cookie).",
                },
            },
        },
    }


def _operation(one: Operation) -> dict[str, Any]:
    responses = {str(one.status): _response(one.status, one.told)}
    for status in (*_of_who_asks(one), *one.problems, 503):
        example = {"example": one.said.get(status) or examples.PROBLEMS[status]}
        told = Content(MEDIA_TYPE, (ProblemDocument,), example)
        responses[str(status)] = _response(status, told)
    described = {
        "operationId": _operation_id(one),
        "summary": one.summary,
        "description": f"{one.more} {_needed(one)}".strip(),
        "security": _security(one),
        "parameters": [*_path_parameters(one), *_header(one), *_query_parameters(one)],
        "responses": responses,
    }
    if one.bodies:
        described["requestBody"] = {"required": True, "content": _contents(*one.bodies)}
    return described


def _of_who_asks(one: Operation) -> tuple[int, ...]:
    """Return the statuses of those who may not."""
    if one.scope is not None:
        return (401, 403)
    return (401,) if one.by_session else ()


def _needed(one: Operation) -> str:
    return f"Needs the scope {one.scope}." if one.scope is not None else ""


def _security(one: Operation) -> list[dict[str, list[str]]]:
    if one.scope is not None:
        return [{"key": [one.scope]}]
    return [{"session": []}] if one.by_session else []


def _operation_id(one: Operation) -> str:
    return re.sub(r"\W+", "_", f"{one.method}{one.path}").strip("_")


def _response(status: int, told: Content | None) -> dict[str, Any]:
    described: dict[str, Any] = {"description": HTTPStatus(status).phrase}
    return described if told is None else described | {"content": _contents(told)}


def _contents(*contents: Content) -> dict[str, Any]:
    return {
        one.media_type: {
            "schema": _schema(one.types),
            "examples": {name: {"value": value} for name, value in one.examples.items()},
        }
        for one in contents
    }


def _schema(types: tuple[type, ...]) -> dict[str, Any]:
    found = [_reference(one) for one in types]
    if len(found) > 1:
        return {"oneOf": found}
    return found[0] if found else {"type": "string"}


def _reference(one: Any) -> dict[str, Any]:
    if get_origin(one) is list:
        return {"type": "array", "items": _reference(*get_args(one))}
    return {"$ref": _REF.format(name=one.__name__)}


def _path_parameters(one: Operation) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in re.findall(r"{(\w+)}", one.path)
    ]


def _header(one: Operation) -> list[dict[str, Any]]:
    given = {"in": "header", "required": False, "schema": {"type": "string"}}
    said = "The idempotency_key of a message that has none itself."
    return [{"name": one.header, "description": said, **given}] if one.header else []


def _query_parameters(one: Operation) -> list[dict[str, Any]]:
    if one.query is None:
        return []
    _, found = msgspec.json.schema_components([one.query], ref_template=_REF)
    schema = found[one.query.__name__]
    return [
        {
            "name": name,
            "in": "query",
            "required": name in schema["required"],
            "schema": _without_null(given),
        }
        for name, given in schema["properties"].items()
    ]


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of what is left out where it is null: a query has no null."""
    given = [one for one in schema.get("anyOf", ()) if one != {"type": "null"}]
    return given[0] if len(given) == 1 else schema


def _schemas(operations: tuple[Operation, ...]) -> dict[str, Any]:
    """Return the schemas of all bodies and answers, and of what they are made of."""
    contents = [content for one in operations for content in (one.told, *one.bodies)]
    types = {one: None for content in contents if content for one in content.types}
    _, found = msgspec.json.schema_components([*types, ProblemDocument], ref_template=_REF)
    return found
