"""/openapi.json: it describes the routes of identity that are there, with examples of theirs."""

import re
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest
from litestar.routes import HTTPRoute

from gateway.app import create_app
from gateway.demo import bot
from gateway.http.api.document import document
from gateway.http.api.operations import OPERATIONS, Operation
from gateway.http.identity.operations import BY_CODE, PEOPLE, SESSIONS
from gateway.settings import load_settings
from tests.e2e.signing_in import MINI

ALL: Final = (*SESSIONS, *BY_CODE, *PEOPLE)
OTHERS: Final = ("/oauth/", "/health/", "/openapi.json", "/me", "/push/")
"""Pages, and what other documents describe."""

SETTINGS: Final = f"""
[identity]
secret = "not-a-secret-of-anybody-0123456789"
[accounts.mini]
app_id = "{MINI}"
app_secret = "s"
platform = "mini_program"
[api_keys.crm]
hash = "{"0" * 64}"
scopes = ["identity:read"]
"""


def _json(value: Any) -> Any:
    return msgspec.json.decode(msgspec.json.encode(value))


def test_every_route_is_described_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "gateway.toml").write_text(SETTINGS, encoding="utf-8")
    app = create_app(load_settings(), bot)
    served = {
        (re.sub(r"\{(\w+?)_?:str\}", r"{\1}", route.path), method.lower())
        for route in app.litestar.routes
        if isinstance(route, HTTPRoute) and not route.path.startswith(OTHERS)
        for method in route.methods - {"OPTIONS", "HEAD"}
    }
    assert served == {(one.path, one.method) for one in ALL}


@pytest.mark.parametrize("one", ALL, ids=lambda one: f"{one.method} {one.path}")
def test_every_example_is_of_its_type(one: Operation) -> None:
    for content in (*([one.told] if one.told else []), *one.bodies):
        for example, type_ in zip(content.examples.values(), content.types, strict=True):
            assert _json(msgspec.convert(example, type_)) == _json(example)


def test_the_document_is_whole() -> None:
    whole = _json(document("1.2.3", (*OPERATIONS, *ALL)))
    text = msgspec.json.encode(whole).decode()
    names = set(whole["components"]["schemas"])
    assert {name.rpartition("/")[2] for name in re.findall(r'"\$ref":"(.*?)"', text)} <= names
    ids = [one["operationId"] for path in whole["paths"].values() for one in path.values()]
    assert len(set(ids)) == len(ids) == len(OPERATIONS) + len(ALL)
    for one in ALL:
        described = whole["paths"][one.path][one.method]
        for status, response in described["responses"].items():
            for content in response.get("content", {}).values():
                for example in content["examples"].values():
                    if not status.startswith("2"):
                        assert example["value"]["status"] == int(status)
        wanted = [{"key": [one.scope]}] if one.scope else [{"session": []}] * one.by_session
        assert described["security"] == wanted
