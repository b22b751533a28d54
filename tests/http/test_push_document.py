"""/openapi.json: it describes what is there, and its examples work."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest
from litestar.routes import HTTPRoute

from gateway.http.api.document import document
from gateway.http.api.keys import Scope
from gateway.http.api.operations import JSON, OPERATIONS, Content, Operation
from gateway.http.api.problems import MEDIA_TYPE
from gateway.outbound.jobs import first_id_at
from tests.http.push_api import Api, serving


def _json(value: Any) -> Any:
    """Return what a client gets of a value."""
    return msgspec.json.decode(msgspec.json.encode(value))


DOCUMENT: Final = _json(document("1.2.3", OPERATIONS))


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    """The API."""
    with serving(tmp_path) as one:
        yield one


def _described() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in DOCUMENT["paths"].items():
        for method, operation in methods.items():
            yield path, method, operation


def _references(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        yield from (value for name, value in part.items() if name == "$ref")
        part = list(part.values())
    for inner in part if isinstance(part, list) else ():
        yield from _references(inner)


def test_it_is_served_to_everybody(api: Api) -> None:
    answer = api.client.get("/openapi.json")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/vnd.oai.openapi+json"
    assert answer.json() == DOCUMENT
    assert (DOCUMENT["openapi"], DOCUMENT["info"]["version"]) == ("3.1.0", "1.2.3")


def test_it_describes_every_route_of_the_api_and_nothing_else(api: Api) -> None:
    served = {
        (re.sub(r"\{(\w+?)_?:str\}", r"{\1}", route.path), method.lower())
        for route in api.client.app.routes
        if isinstance(route, HTTPRoute) and route.path.startswith("/push")
        for method in route.methods - {"OPTIONS", "HEAD"}
    }
    assert served == {(path, method) for path, method, _ in _described()}


def test_every_reference_leads_somewhere_and_no_name_is_a_module_s() -> None:
    schemas = DOCUMENT["components"]["schemas"]
    referred = {reference.rpartition("/")[2] for reference in _references(DOCUMENT)}
    assert referred <= set(schemas)
    assert not [name for name in schemas if "." in name]


def test_every_operation_says_what_it_is_and_what_it_needs() -> None:
    names = [operation["operationId"] for _, _, operation in _described()]
    assert len(set(names)) == len(names) == len(OPERATIONS)
    for path, _, operation in _described():
        assert operation["summary"]
        ((scope,),) = (need["key"] for need in operation["security"])
        assert scope in set(Scope)
        assert f"Needs the scope {scope}." in operation["description"]
        in_path = {one["name"] for one in operation["parameters"] if one["in"] == "path"}
        assert in_path == set(re.findall(r"{(\w+)}", path))
        assert {"401", "403", "503"} < set(operation["responses"])
        assert min(operation["responses"]).startswith("2")


def test_every_answer_has_an_example_of_its_shape() -> None:
    for _, _, operation in _described():
        for status, response in operation["responses"].items():
            if status == "204":
                assert "content" not in response
                continue
            ((media_type, content),) = response["content"].items()
            assert media_type == (JSON if status.startswith("2") else MEDIA_TYPE)
            assert content["examples"]
            for example in content["examples"].values():
                if not status.startswith("2"):
                    assert example["value"]["status"] == int(status)


@pytest.mark.parametrize("one", OPERATIONS, ids=lambda one: f"{one.method} {one.path}")
def test_every_example_of_an_answer_is_one(one: Operation) -> None:
    told = one.told or Content(JSON, (), {})
    for example, type_ in zip(told.examples.values(), told.types, strict=True):
        # Nothing beside what there is, and nothing missing.
        assert _json(msgspec.convert(example, type_)) == example


SENT: Final = [(one, body) for one in OPERATIONS for body in one.bodies]


@pytest.mark.parametrize(
    ("one", "body"), SENT, ids=[f"{one.path} {body.media_type}" for one, body in SENT]
)
def test_every_example_of_a_body_is_taken(api: Api, one: Operation, body: Content) -> None:
    # The examples are of a gateway with a single account, which need not be named.
    api.send(1)
    needed = {"name": "b-1", "template": "order-shipped", "account": "main"}
    query = needed if one.query is not None else {}
    # A template is given by a key for all accounts, and one of the folder is not changed.
    key = "all" if one.method == "put" else "main"
    path = one.path.replace("{name}", "order-paid" if one.method == "put" else "order-shipped")
    for example in body.examples.values():
        given = example if isinstance(example, str) else msgspec.json.encode(example).decode()
        headers = {"content-type": body.media_type}
        answer = api.ask(
            *(one.method, path, key), content=given.encode(), headers=headers, params=query
        )
        assert answer.status_code == one.status, answer.text
        if body.media_type != JSON:
            assert answer.json()["refused"] == 0


def test_the_parameters_of_a_query_are_those_that_are_taken(api: Api) -> None:
    for one in OPERATIONS:
        if one.query is None or one.method != "get":
            continue
        parameters = DOCUMENT["paths"][one.path]["get"]["parameters"]
        values = {"limit": "5", "after": first_id_at(0), "since": "1", "before": "2"}
        values |= {"state": "dead", "channel": "template"}
        query = {p["name"]: values.get(p["name"], "main") for p in parameters if p["in"] == "query"}
        assert api.ask("GET", one.path, params=query).status_code == 200
