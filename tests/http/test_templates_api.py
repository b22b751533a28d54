"""/push/templates: templates are given, listed, tried and removed over HTTP."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from gateway.adapters.sqlite_templates import SqliteTemplates
from gateway.outbound.templates import FieldText, TemplateFile
from tests.http.push_api import Api, errors, message, serving
from tests.outbound.desk import TEMPLATE

WHERE: Final = "/push/templates"
PAID: Final[dict[str, Any]] = {
    "template_id": "T1",
    "channel": "notice",
    "fields": {"thing1": {"value": "{{ goods }}"}, "keyword2": {"value": "Hi", "optional": True}},
    "page": {"app_id": "wxmini", "path": "pages/{{ goods }}"},
    "variants": {"en": {"fields": {"amount3": {"value": "{{ fen | money('$') }}"}}}},
}


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    """The API."""
    with serving(tmp_path) as one:
        yield one


def given(api: Api, name: str = "order-paid", **more: Any) -> Any:
    """Give a template; return the answer."""
    return api.ask("PUT", f"{WHERE}/{name}", json=PAID | more)


def test_templates_are_listed_with_what_wechat_takes_in_their_fields(api: Api) -> None:
    answer = given(api)
    assert answer.status_code == 200
    paid = {
        "name": "order-paid",
        "channel": "notice",
        "template_id": "T1",
        "languages": ["zh_CN", "en"],
        "fields": [
            {"name": "thing1", "kind": "thing", "limit": 20},
            {"name": "keyword2", "kind": None, "limit": None},
            {"name": "amount3", "kind": "amount", "limit": 16},
        ],
        "source": "api",
    }
    assert answer.json() == paid
    listed = api.ask("GET", WHERE, "reader").json()["templates"]
    assert listed[1] == paid
    assert [(one["name"], one["source"]) for one in listed] == [
        ("order-notice", "file"),
        ("order-paid", "api"),
        ("order-shipped", "file"),
    ]


def test_a_template_is_told_as_it_was_written_and_can_be_given_so_again(api: Api) -> None:
    given(api)
    written = api.ask("GET", f"{WHERE}/order-paid").json()
    assert written["page"] == PAID["page"]
    assert written["fields"]["thing1"]["value"] == "{{ goods }}"
    assert api.ask("PUT", f"{WHERE}/order-paid-2", json=written).status_code == 200
    assert api.ask("GET", f"{WHERE}/order-paid-2").json() == written
    assert api.ask("GET", f"{WHERE}/order-shipped").json()["template_id"] == TEMPLATE.id


def test_a_template_that_was_given_is_sent_by_changed_and_removed(api: Api) -> None:
    name = "order-paid"
    sent = message(1, template=name, data={"goods": "tea", "fen": 1})
    assert api.ask("POST", "/push/messages", json=sent).status_code == 422
    given(api)
    assert api.ask("POST", "/push/messages", json=sent).status_code == 202
    given(api, fields={"thing1": {"value": "{{ nobody }}"}})
    refused = api.ask("POST", "/push/messages", json=sent)
    assert errors(refused)["data.thing1"].startswith("'nobody' is undefined")
    removed = api.ask("DELETE", f"{WHERE}/{name}")
    assert (removed.status_code, removed.content) == (204, b"")
    for method in ("DELETE", "GET"):
        assert api.ask(method, f"{WHERE}/{name}").status_code == 404
    assert api.ask("POST", f"{WHERE}/{name}/preview", json={}).status_code == 404
    assert [one.template for one in api.stored()] == [name]


def test_a_preview_tells_what_would_be_sent_and_queues_nothing(api: Api) -> None:
    given(api)
    asked = {"data": {"goods": "tea", "fen": 5}, "language": "en"}
    answer = api.ask("POST", f"{WHERE}/order-paid/preview", "reader", json=asked)
    assert answer.json() == {
        "template_id": "T1",
        "data": {"thing1": "tea", "keyword2": "Hi", "amount3": "$0.05"},
        "url": None,
        "page": {"app_id": "wxmini", "path": "pages/tea"},
    }
    shipped = f"{WHERE}/order-shipped/preview"
    answer = api.ask("POST", shipped, json={"data": {"goods": "x" * 21}})
    assert answer.status_code == 422
    assert errors(answer) == {
        "data.thing1": "has 21 characters, and WeChat takes 20",
        "data.amount2": "'fen' is undefined; give it with the data",
    }
    answer = api.ask("POST", shipped, json={"date": {}})
    assert (answer.status_code, errors(answer)) == (422, {"date": "unknown"})
    assert api.stored() == []


def test_every_fault_of_a_template_is_told_by_its_field_and_it_is_not_kept(api: Api) -> None:
    wrong = {
        "channel": "pigeon",
        "fields": {"thing1": {"value": 1, "optonal": True}, "thing2": "x"},
        "page": {"path": 2},
        "variants": {"zh-Hant": {"fields": {"thing1": {}}}, "en": {"fields": [1]}},
        "titel": "",
    }
    answer = api.ask("PUT", f"{WHERE}/order-paid", json=wrong)
    assert answer.status_code == 422
    assert errors(answer) == {
        "template_id": "missing",
        "channel": "Invalid enum value 'pigeon'",
        "fields.thing1.value": "Expected `str`, got `int`",
        "fields.thing1.optonal": "unknown; there are: value, optional, skip_empty",
        "fields.thing2": "Expected `object`, got `str`",
        "page.app_id": "missing",
        "page.path": "Expected `str`, got `int`",
        "variants.zh-Hant.fields.thing1.value": "missing",
        "variants.en.fields": "Expected `object`, got `array`",
        "titel": "unknown; there are: template_id, fields, channel, url, page, variants",
    }
    variants = {"zh-Hant": {"fields": {"a b": {"value": "{{ }"}}}}
    answer = given(api, channel="custom", fields={}, url="{{", variants=variants)
    assert answer.status_code == 422
    told = errors(answer)
    assert set(told) == {"channel", "fields", "url", "variants.zh-Hant.fields.a b"}
    assert told["channel"].startswith("custom has no templates; give template, ")
    assert api.ask("GET", f"{WHERE}/order-paid").status_code == 404


@pytest.mark.parametrize("name", ["Order", ".x", "a b", "订单", "a" * 65, "-a", "a\n", "a:b"])
def test_a_template_is_not_called_just_anything(api: Api, name: str) -> None:
    answer = api.ask("PUT", f"{WHERE}/{name.replace(chr(10), '%0A')}", json=PAID)
    assert answer.status_code == 422
    assert errors(answer)["name"].startswith("1 to 64 small letters")
    assert given(api, "a" * 64).status_code == given(api, "0._-").status_code == 200


def test_what_is_a_file_stays_one(api: Api) -> None:
    for answer in (given(api, "order-shipped"), api.ask("DELETE", f"{WHERE}/order-shipped")):
        assert answer.status_code == 409
        assert answer.json()["detail"].startswith("the template is a file of push.templates; ")
    assert api.ask("GET", f"{WHERE}/order-shipped").json()["template_id"] == TEMPLATE.id


@pytest.mark.parametrize(
    ("body", "status"), [(b"", 400), (b"{", 400), (b"[]", 422), (b" " * 65_537, 413)]
)
def test_what_is_no_object_or_too_long_is_refused(api: Api, body: bytes, status: int) -> None:
    for method, path in (("PUT", "order-paid"), ("POST", "order-shipped/preview")):
        answer = api.ask(method, f"{WHERE}/{path}", content=body)
        assert answer.status_code == answer.json()["status"] == status
        if status == 413:
            assert answer.json()["detail"] == "give 65,536 bytes at most"


def test_a_key_of_some_accounts_reads_templates_and_changes_none(api: Api) -> None:
    assert len(api.ask("GET", WHERE, "main").json()["templates"]) == 2
    given(api)
    for method in ("PUT", "DELETE"):
        answer = api.ask(method, f"{WHERE}/order-paid", "main", json=PAID | {"template_id": "X"})
        assert answer.status_code == 403
        assert errors(answer)["account"].startswith("this key is for some accounts")
    assert api.ask("GET", f"{WHERE}/order-paid", "main").json()["template_id"] == "T1"


def test_what_another_process_was_given_is_there_at_once(api: Api, tmp_path: Path) -> None:
    async def give() -> None:
        store = SqliteTemplates(tmp_path / "gateway.db", timeout=5)
        await store.put("theirs", b'{"template_id":"T2","fields":{"thing1":{"value":"a"}}}')
        await store.close()

    asyncio.run(give())
    assert api.ask("POST", f"{WHERE}/theirs/preview", json={}).json()["template_id"] == "T2"
    assert api.templates.written("theirs") == TemplateFile("T2", {"thing1": FieldText("a")})
    assert "theirs" in {one["name"] for one in api.ask("GET", WHERE).json()["templates"]}
    assert api.ask("DELETE", f"{WHERE}/theirs").status_code == 204


def test_a_store_that_is_down_is_said_to_be(
    api: Api, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert given(api).status_code == 200
    broken = tmp_path / "broken.db"
    broken.mkdir()
    monkeypatch.setattr(api.templates, "_store", SqliteTemplates(broken, timeout=1))
    for answer in (given(api), api.ask("GET", WHERE), api.ask("DELETE", f"{WHERE}/order-paid")):
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    # Messages go on by what is known.
    sent = message(1, template="order-paid", data={"goods": "tea", "fen": 1})
    assert api.ask("POST", "/push/messages", json=sent).status_code == 202
