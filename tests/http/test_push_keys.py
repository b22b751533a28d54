"""Who may do what over HTTP: keys, scopes, accounts."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import PushRefused
from gateway.http.api.keys import (
    KEY_BYTES,
    ApiKey,
    Forbidden,
    Keys,
    Scope,
    Unauthorized,
    digest_of,
    fresh_key,
)
from gateway.http.api.operations import OPERATIONS, Operation
from gateway.outbound.jobs import first_id_at
from tests.http.push_api import SECRETS, Api, errors, message, serving

KEY: Final = fresh_key(b"0" * KEY_BYTES)
HOLDER: Final = ApiKey("crm", digest_of(KEY), frozenset((Scope.SEND,)))
KEYS: Final = Keys([ApiKey("a", digest_of("a"), frozenset()), HOLDER])


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    """The API."""
    with serving(tmp_path) as one:
        yield one


@pytest.mark.parametrize("header", [f"Bearer {KEY}", f"bearer {KEY}", f"Bearer  {KEY} "])
def test_the_holder_of_a_key_is_known(header: str) -> None:
    assert KEYS.holder(header) is HOLDER


@given(st.none() | st.text() | st.text().map("Bearer {}".format))
def test_nobody_else_is(header: str | None) -> None:
    if header != "Bearer a":
        with pytest.raises(Unauthorized) as nobody:
            KEYS.holder(header)
        assert nobody.value.args == ()


@pytest.mark.parametrize("header", [KEY, f"Basic {KEY}", f"Bearer {HOLDER.digest.hex()}"])
def test_a_key_counts_as_a_bearer_s_alone_and_its_hash_is_none(header: str) -> None:
    with pytest.raises(Unauthorized):
        KEYS.holder(header)


def test_a_scope_that_a_key_has_not_is_named() -> None:
    HOLDER.demand(Scope.SEND)
    with pytest.raises(Forbidden) as refused:
        HOLDER.demand(Scope.READ)
    assert refused.value.args == ("scope: this key has not push:read",)


def test_a_key_is_for_its_accounts() -> None:
    both = HOLDER._replace(accounts=frozenset(("main", "other")))
    one = HOLDER._replace(accounts=frozenset(("main",)))
    assert [HOLDER.account(asked) for asked in (None, "", "x")] == [None, None, "x"]
    assert [one.account(asked) for asked in (None, "", "main")] == ["main"] * 3
    assert [both.account(asked) for asked in (None, "other")] == [None, "other"]
    with pytest.raises(Forbidden) as forbidden:
        one.account("other")
    assert forbidden.value.args == ("account: this key is not for other",)
    assert (HOLDER.one_account(None), one.one_account("")) == (None, "main")
    with pytest.raises(PushRefused) as refused:
        both.one_account(None)
    assert refused.value.args == ("account: missing; give one of: main, other",)


def test_a_new_key_says_what_it_is() -> None:
    assert fresh_key(bytes(range(KEY_BYTES))) == "gwk_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"


def _ask(api: Api, one: Operation, **given: Any) -> Any:
    path = one.path.replace("{id}", first_id_at(0)).replace("{name}", "b")
    return api.client.request(one.method, path, **given)


def _id(one: Operation) -> str:
    return f"{one.method} {one.path}"


@pytest.mark.parametrize("one", OPERATIONS, ids=_id)
def test_whoever_is_not_known_learns_one_and_the_same(api: Api, one: Operation) -> None:
    strangers: list[dict[str, Any]] = [
        {},
        {"authorization": ""},
        {"authorization": "Bearer"},
        {"authorization": "Bearer gwk_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"},
        {"authorization": f"Basic {SECRETS['all']}"},
        {"authorization": f"Bearer {SECRETS['all']}x"},
        {"authorization": b"Bearer \xe9"},
    ]
    answers = [_ask(api, one, headers=headers, content=b"{") for headers in strangers]
    assert {(a.status_code, a.text, a.headers["www-authenticate"]) for a in answers} == {
        (401, '{"title":"Unauthorized","status":401}', "Bearer")
    }
    assert len({tuple(answer.headers.items()) for answer in answers}) == 1


@pytest.mark.parametrize("one", OPERATIONS, ids=_id)
def test_each_operation_needs_its_scope(api: Api, one: Operation) -> None:
    holders = {Scope.SEND: "sender", Scope.READ: "reader", Scope.MANAGE: "manager"}
    for scope, name in holders.items():
        headers = {"authorization": f"Bearer {SECRETS[name]}"}
        answer = _ask(api, one, headers=headers, content=b"{")
        if scope is one.scope:
            assert answer.status_code not in (401, 403)
        else:
            assert answer.status_code == 403
            assert errors(answer) == {"scope": f"this key has not {one.scope}"}
    assert api.stored() == []


def test_another_s_account_is_forbidden_by_its_name_and_nothing_is_stored(api: Api) -> None:
    forbidden = {"account": "this key is not for other"}
    sent = message(1, account="other")
    for body in (sent, {"messages": [message(1), sent]}):
        answer = api.ask("POST", "/push/messages", "main", json=body)
        assert (answer.status_code, errors(answer)) == (403, forbidden)
    for path in ("messages", "dead-letters", "outcomes"):
        answer = api.ask("GET", f"/push/{path}?account=other", "main")
        assert (answer.status_code, errors(answer)) == (403, forbidden)
    for path in ("messages/cancel", "dead-letters/retry", "dead-letters/discard"):
        action = {"filter": {"account": "other"}, "dry_run": False}
        answer = api.ask("POST", f"/push/{path}", "main", json=action)
        assert (answer.status_code, errors(answer)) == (403, forbidden)
    assert api.stored() == []


def test_a_key_of_one_account_need_not_name_it(api: Api) -> None:
    (other,) = api.send(1, account="other")
    (main,) = api.send(2, key="main", account="")
    assert {one.id: one.account for one in api.stored()} == {other: "other", main: "main"}
    listed = api.ask("GET", "/push/messages", "main").json()["messages"]
    assert [one["id"] for one in listed] == [main]
    assert len(api.ask("GET", "/push/messages", "all").json()["messages"]) == 2


def test_a_key_of_two_accounts_says_which(api: Api) -> None:
    missing = {"account": "missing; give one of: main, other"}
    answer = api.ask("POST", "/push/messages", "two", json=message(1, account=""))
    assert (answer.status_code, errors(answer)) == (422, missing)
    answer = api.ask("GET", "/push/messages", "two")
    assert (answer.status_code, errors(answer)) == (422, missing)
    assert api.send(1, key="two", account="other")
    assert len(api.ask("GET", "/push/messages?account=other", "two").json()["messages"]) == 1


def test_what_is_another_s_is_not_there(api: Api) -> None:
    lines = b"".join(
        b'{"to": "oUser%024d", "data": {"goods": "x", "fen": 1}}\n' % n for n in (1, 2)
    )
    query = "/push/batches?name=b-1&template=order-shipped&account="
    types = {"content-type": "application/x-ndjson"}
    assert api.ask("POST", f"{query}other", content=lines, headers=types).json()["queued"] == 2
    (id_,) = {one.id for one in api.stored()} - {api.stored()[0].id}
    assert api.ask("GET", f"/push/messages/{id_}", "main").status_code == 404
    assert api.ask("POST", f"/push/messages/{id_}/cancel", "main").status_code == 404
    assert api.ask("GET", "/push/batches/b-1", "main").status_code == 404
    assert api.ask("GET", "/push/backlog", "main").json() == {"backlog": []}
    assert api.ask("GET", "/push/outcomes", "main").json() == {"outcomes": []}
    everything = {"all": True, "dry_run": False}
    acted = api.ask("POST", "/push/messages/cancel", "main", json=everything)
    assert acted.json() == {"matched": 0, "done": 0}
    # Both know their own.
    assert api.ask("POST", f"{query}main", "main", content=lines, headers=types).status_code == 202
    stands = {
        key: api.ask("GET", "/push/batches/b-1", key).json() for key in ("main", "two", "all")
    }
    assert {key: one["messages"] for key, one in stands.items()} == {"main": 2, "two": 4, "all": 4}
    assert api.ask("GET", "/push/backlog", "main").json()["backlog"][0]["account"] == "main"
    for account in ("main", "other"):
        got = api.ask("GET", f"/push/outcomes?account={account}", "two").json()["outcomes"]
        assert [(one["account"], one["messages"]) for one in got] == [(account, 2)]


def test_no_key_nor_what_belongs_to_a_user_is_logged(
    api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    (id_,) = api.send(1, idempotency_key="KEY-OF-A-USER")
    api.ask("POST", "/push/messages", json=message(2, data={"goods": "x" * 30, "fen": 1}))
    api.ask("GET", f"/push/messages?to={message(1)['to']}&reason=REASON")
    api.ask("POST", f"/push/messages/{id_}/cancel")
    action = {"filter": {"to": message(1)["to"]}, "dry_run": False}
    api.ask("POST", "/push/dead-letters/retry", json=action)
    api.queue.down = True
    api.ask("POST", "/push/messages", json=message(3))
    api.client.post("/push/messages", headers={"authorization": "Bearer gwk_WRONG"})
    own = "\n".join(r.getMessage() for r in caplog.records if r.name.startswith("gateway"))
    assert "push changed by key action=cancel key=all job_id=" in own
    assert "disk full" in own
    for secret in (*SECRETS.values(), "gwk_", "oUser", "巧克力", "xxx", "KEY-OF", "REASON"):
        assert secret not in own
