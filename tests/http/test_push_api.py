"""Messages over HTTP: sent, looked at, cancelled, tried again; each mistake with its field."""

import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest

from gateway.adapters.postgres_job_records import PostgresRecords
from gateway.adapters.postgres_queue import PostgresQueue
from gateway.adapters.postgres_templates import PostgresTemplates
from gateway.errors import PushRefused
from gateway.http.api import managing
from gateway.http.api.filters import Action, Filter, Page, read, read_query, wanted, wanted_by
from gateway.http.api.keys import ApiKey
from gateway.http.api.problems import FieldError, error_of
from gateway.outbound.jobs import DEAD_LETTERS, State, Wanted
from tests.contracts.jobs import ALL, claim
from tests.contracts.records import migrated
from tests.http.push_api import MAX_BODY, Api, errors, message, serving, serving_over
from tests.outbound.pool import user
from tests.services import Database

WHERE: Final = "/push/messages"
KEY: Final = ApiKey("crm", b"", frozenset())
NO_OPEN_ID: Final = "no open id; it is of letters, digits, - and _, such as oUser…"


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    """The API."""
    with serving(tmp_path) as one:
        yield one


class TestSending:
    """POST /push/messages."""

    def test_a_message_is_queued(self, api: Api) -> None:
        expires_at = time.time() + 600
        answer = api.ask("POST", WHERE, json=message(1, priority="high", expires_at=expires_at))
        assert answer.status_code == 202
        (stored,) = api.stored()
        assert answer.json() == {"id": stored.id, "state": "queued", "is_new": True}
        assert (stored.to, stored.template, stored.priority) == (user(1), "order-shipped", 0)

    def test_the_same_key_queues_nothing_twice_and_tells_where_the_first_stands(
        self, api: Api
    ) -> None:
        sent = message(1, idempotency_key="k-1")
        first = api.ask("POST", WHERE, json=sent).json()
        assert api.ask("POST", WHERE, json=sent).json() == first | {"is_new": False}
        api.end(State.SENT)
        again = api.ask("POST", WHERE, json=sent)
        assert again.status_code == 202
        assert again.json() == {"id": first["id"], "state": "sent", "is_new": False}
        assert len(api.stored()) == 1

    @pytest.mark.parametrize("header", ["k-1", '"k-1"'])
    def test_the_key_may_come_as_a_header(self, api: Api, header: str) -> None:
        headers = {"Idempotency-Key": header}
        ids = [
            api.ask("POST", WHERE, json=one, headers=given).json()["id"]
            for one, given in (
                (message(1), headers),
                (message(1), headers),
                (message(1, idempotency_key="k-1"), {}),
                (message(1, idempotency_key="k-2"), headers),
            )
        ]
        assert len(set(ids)) == 2
        assert {one.idempotency_key for one in api.stored()} == {"k-1", "k-2"}
        answer = api.ask("POST", WHERE, json={"messages": [message(1)]}, headers=headers)
        assert (answer.status_code, list(errors(answer))) == (422, ["Idempotency-Key"])

    def test_a_key_that_another_message_has_is_a_conflict_that_names_it(self, api: Api) -> None:
        (first,) = api.send(1, idempotency_key="k-1")
        answer = api.ask("POST", WHERE, json=message(2, idempotency_key="k-1"))
        assert answer.status_code == 409
        assert answer.json()["id"] == first
        assert errors(answer)["idempotency_key"].startswith(f"message {first} has it")
        assert len(api.stored()) == 1

    def test_of_many_the_good_ones_are_queued_and_each_is_told_of_in_its_place(
        self, api: Api
    ) -> None:
        (known,) = api.send(1, idempotency_key="k-1")
        sent = [
            message(2),
            message(3, to="?"),
            message(1, idempotency_key="k-1"),
            message(4, idempotency_key="k-1"),
            message(5, dta={}),
            "x",
            message(6, idempotency_key="k-6"),
            message(6, idempotency_key="k-6"),
        ]
        answer = api.ask("POST", WHERE, json={"messages": sent})
        assert answer.status_code == 202
        told = answer.json()
        assert (told["queued"], told["known"], told["refused"]) == (2, 2, 4)
        one = told["messages"]
        assert [one[n]["is_new"] for n in (0, 2, 6, 7)] == [True, False, True, False]
        assert one[2]["id"] == one[3]["id"] == known
        assert one[6]["id"] == one[7]["id"]
        assert one[1]["errors"] == [{"field": "to", "detail": NO_OPEN_ID}]
        assert one[3]["errors"][0]["field"] == "idempotency_key"
        assert one[4]["errors"] == [{"field": "dta", "detail": "unknown"}]
        assert one[5]["errors"] == [{"detail": "Expected `object`, got `str`"}]
        assert sorted(stored.to for stored in api.stored()) == [user(1), user(2), user(6)]

    def test_a_thousand_go_at_once(self, api: Api) -> None:
        assert len(set(api.send(*range(1000)))) == 1000

    @pytest.mark.parametrize(
        ("body", "field", "detail"),
        [
            ({"to": "x"}, "to", NO_OPEN_ID),
            ({"template": "nothing"}, "template", "there is none called nothing; there are: order"),
            ({"template": ""}, "template", "give one of template, custom and mass"),
            ({"data": {"goods": "x" * 21, "fen": 1}}, "data.thing1", "has 21 characters, and WeCh"),
            ({"data": {"fen": 1}}, "data.thing1", "'goods' is undefined; give it with the data"),
            ({"data": "x"}, "data", "Expected `object`, got `str`"),
            ({"account": "nobody"}, "account", "there is none called nobody; there are: main, oth"),
            ({"account": ""}, "account", "missing; there are: main, other"),
            ({"tmplate": "x"}, "tmplate", "unknown"),
            ({"expires_at": 1}, "expires_at", "is past; give Unix seconds to come"),
            ({"expires_at": 1e300}, "expires_at", "no time; give Unix seconds"),
            ({"not_before": -1}, "not_before", "no time; give Unix seconds"),
            ({"not_before": "soon"}, "not_before", "Expected `float | null`, got `str`"),
            ({"priority": "urgent"}, "priority", "Invalid enum value 'urgent'"),
            ({"idempotency_key": "é"}, "idempotency_key", "give 1 to 128 letters, digits and si"),
            ({"template": "", "custom": {"msgtype": "x"}}, "custom.msgtype", "give one of: image"),
            ({"mass_to": {"tag": 1}}, "mass_to.tag", "unknown"),
        ],
        ids=str,
    )
    def test_a_mistake_is_told_with_its_field_and_nothing_is_stored(
        self, api: Api, body: dict[str, Any], field: str, detail: str
    ) -> None:
        answer = api.ask("POST", WHERE, json=message(1) | body)
        assert answer.status_code == 422
        assert answer.json()["title"] == "Unprocessable Entity"
        assert errors(answer)[field].startswith(detail)
        assert api.stored() == []

    @pytest.mark.parametrize(
        ("body", "status", "said"),
        [
            (b"", 400, "the body is not JSON in UTF-8"),
            (b'{"to": "x"', 400, "the body is not JSON in UTF-8"),
            ('{"to": "巧克力"}'.encode("gbk"), 400, "the body is not JSON in UTF-8"),
            (b'{"a":' * 100_000, 400, "the body is not JSON in UTF-8"),
            (b"[]", 422, "the body is no JSON object"),
            (b'{"messages": []}', 422, "give a list of 1 to 1,000; of more, /push/batches"),
            (b'{"messages": {}}', 422, "give a list of 1 to 1,000; of more, /push/batches"),
            (b'{"messages": [{}], "to": "x"}', 422, "nothing may stand beside it"),
            (msgspec.json.encode({"messages": [{}] * 1001}), 422, "give a list of 1 to 1,000"),
        ],
        ids=range(9),
    )
    def test_a_body_that_is_none_is_refused(
        self, api: Api, body: bytes, status: int, said: str
    ) -> None:
        answer = api.ask("POST", WHERE, content=body)
        assert answer.status_code == status
        assert said in answer.text
        assert answer.headers["content-type"] == "application/problem+json"

    def test_a_body_that_is_too_large_is_refused(self, api: Api) -> None:
        body = msgspec.json.encode(message(1, data={"goods": "x" * MAX_BODY, "fen": 1}))
        answer = api.ask("POST", WHERE, content=body)
        assert (answer.status_code, errors(answer)) == (413, {})
        assert answer.json()["detail"].startswith("more than is taken at once; send fewer")
        parts = (body[at : at + 10_000] for at in range(0, len(body), 10_000))
        assert api.ask("POST", WHERE, content=parts).status_code == 413
        assert api.stored() == []

    def test_while_the_store_is_down_it_is_sent_again_later(self, api: Api) -> None:
        api.queue.down = True
        for body in (message(1), {"messages": [message(1)]}):
            answer = api.ask("POST", WHERE, json=body)
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
            assert answer.json()["detail"] == "the store is down at the moment; send it again"
            assert "gateway.db" not in answer.text
        api.queue.down = False
        assert api.stored() == []

    def test_what_nobody_foresaw_is_told_and_logged_without_a_word_of_it(
        self, api: Api, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        async def broken(*_: object) -> None:
            raise RuntimeError("SECRET")

        monkeypatch.setattr(api.queue, "add", broken)
        answer = api.ask("POST", WHERE, json=message(1))
        assert (answer.status_code, errors(answer)) == (500, {})
        assert "push api failed error=RuntimeError at=" in caplog.text
        assert "SECRET" not in answer.text + caplog.text


@pytest.mark.parametrize(
    ("line", "field", "detail"),
    [
        ("to: no open id", "to", "no open id"),
        ("mass_to.open_ids: give 2", "mass_to.open_ids", "give 2"),
        ("template a-b: thing1: too: long", "data.thing1", "too: long"),
        ("template a-b: gone", "", "template a-b: gone"),
        ("the message: 9 bytes; give 1", "", "the message: 9 bytes; give 1"),
        ("4 columns, and the header has 5", "", "4 columns, and the header has 5"),
        ("custom.<x>\n: y", "", "custom.<x>\n: y"),
        ("Expected `str`, got `int` - at `$.to`", "to", "Expected `str`, got `int`"),
        ("Invalid enum value 'x' - at `$.state[...]`", "state", "Invalid enum value 'x'"),
        ("Expected `object`, got `array`", "", "Expected `object`, got `array`"),
        ("Object contains unknown field `a.b` - at `$.mass_to`", "mass_to.a.b", "unknown"),
        ("Object missing required field `name`", "name", "missing"),
    ],
)
def test_a_line_of_a_refusal_tells_its_field(line: str, field: str, detail: str) -> None:
    assert error_of(line) == FieldError(detail, field)


class TestReading:
    """What became of messages."""

    def test_a_message_is_told_of_and_never_what_it_says(self, api: Api) -> None:
        (id_,) = api.send(1, idempotency_key="k-1", priority="low")
        api.end(State.SENT, message_id="77", reason="")
        told = api.ask("GET", f"{WHERE}/{id_}").json()
        assert told == told | {
            "id": id_,
            "account": "main",
            "channel": "template",
            "template": "order-shipped",
            "to": user(1),
            "state": "sent",
            "priority": "low",
            "idempotency_key": "k-1",
            "batch": None,
            "tries": 1,
            "message_id": "77",
            "receipt_at": None,
            "trace_id": "",
        }
        (attempt,) = told["attempts"]
        assert attempt == {
            "at": 1_790_000_000.5,
            "seconds": 0.25,
            "outcome": "sent",
            "reason": "busy: -1 later",
        }
        assert abs(told["created_at"] - time.time()) < 60
        assert "巧克力" not in str(told)

    @pytest.mark.parametrize("id_", ["0" * 36, "x", "019ac1f2-7f30-7c3e-9a51-3f1b6f0c2d11", "é"])
    def test_a_message_that_is_not_there_is_not_found(self, api: Api, id_: str) -> None:
        for method, path in (("GET", ""), ("POST", "/cancel"), ("POST", "/retry")):
            answer = api.ask(method, f"{WHERE}/{id_}{path}")
            assert (answer.status_code, answer.json()["detail"]) == (
                404,
                "there is no message of this id",
            )

    def test_messages_are_listed_page_by_page_newest_first(self, api: Api) -> None:
        # Those of one millisecond are in no order.
        ids = sorted(api.send(*range(7)))
        pages, after = [], ""
        while True:
            page = api.ask("GET", f"{WHERE}?limit=3{after}").json()
            pages.append([one["id"] for one in page["messages"]])
            if page["next"] is None:
                break
            after = f"&after={page['next']}"
        assert pages == [ids[:3:-1], ids[3:0:-1], ids[0:1]]
        assert api.ask("GET", f"{WHERE}?limit=7").json()["next"] is None

    def test_messages_are_found_by_what_they_are(self, api: Api) -> None:
        (other,) = api.send(1, account="other")
        (dead,) = api.send(2)
        api.end(State.DEAD, limit=1, reason="busy: -1")
        (custom,) = api.send(2, template="", data={}, custom={"msgtype": "text", "text": {"x": 1}})
        now = time.time()
        found = {
            "": [custom, dead, other],
            "?state=dead": [dead],
            "?state=dead,queued": [custom, dead, other],
            "?state=dead&state=ambiguous": [dead],
            "?account=other": [other],
            "?channel=custom": [custom],
            "?template=order-shipped": [dead, other],
            f"?to={user(2)}": [custom, dead],
            "?reason=busy": [dead],
            "?batch=b": [],
            f"?since={now + 60}": [],
            f"?before={now + 60}&since={now - 60:.3f}": [custom, dead, other],
        }
        for query, ids in found.items():
            answer = api.ask("GET", f"{WHERE}{query}").json()
            assert [one["id"] for one in answer["messages"]] == sorted(ids)[::-1], query

    def test_dead_letters_are_those_that_a_person_decides_about(self, api: Api) -> None:
        states = (State.DEAD, State.AMBIGUOUS, State.FAILED)
        ids = []
        for number, state in enumerate(states):
            ids += api.send(number)
            api.end(state)
        listed = api.ask("GET", "/push/dead-letters").json()["messages"]
        assert {one["id"] for one in listed} == set(ids[:2])
        listed = api.ask("GET", "/push/dead-letters?state=dead").json()["messages"]
        assert [one["id"] for one in listed] == ids[:1]
        answer = api.ask("GET", "/push/dead-letters?state=failed")
        assert errors(answer) == {"state": "failed is none of: dead, ambiguous"}

    @pytest.mark.parametrize(
        ("query", "field", "detail"),
        [
            ("stat=dead", "stat", "unknown"),
            ("state=", "state[0]", "Invalid enum value ''"),
            ("state=gone", "state[0]", "Invalid enum value 'gone'"),
            ("channel=sms", "channel", "Invalid enum value 'sms'"),
            ("limit=0", "limit", "Expected `int` >= 1"),
            ("limit=1001", "limit", "Expected `int` <= 1000"),
            ("limit=x", "limit", "Expected `int`, got `str`"),
            ("limit=1&limit=2", "limit", "is there twice"),
            ("after=x", "after", "Expected `str` matching regex"),
            ("since=yesterday", "since", "Expected `float | null`, got `str`"),
            ("since=nan", "since", "Expected `float` >= 0.0"),
            ("before=1e300", "before", "Expected `float` <= 253402300799.0"),
            ("to=%00", "to", "Expected `str` matching regex"),
            ("account=", "account", "Expected `str` of length >= 1"),
        ],
    )
    def test_a_wrong_filter_is_told_with_its_name(
        self, api: Api, query: str, field: str, detail: str
    ) -> None:
        answer = api.ask("GET", f"{WHERE}?{query}")
        assert answer.status_code == 422
        assert errors(answer)[field].startswith(detail)

    def test_outcomes_and_the_backlog_are_counts(self, api: Api) -> None:
        api.send(1, 2)
        api.end(State.SENT, limit=1)
        outcomes = api.ask("GET", "/push/outcomes?template=order-shipped").json()["outcomes"]
        assert [(one["template"], one["state"], one["messages"]) for one in outcomes] == [
            ("order-shipped", "queued", 1),
            ("order-shipped", "sent", 1),
        ]
        (line,) = api.ask("GET", "/push/backlog").json()["backlog"]
        assert line == line | {
            "account": "main",
            "channel": "template",
            "waiting": 1,
            "retrying": 0,
            "delayed": 0,
            "sending": 0,
        }
        answer = api.ask("GET", "/push/outcomes?state=dead")
        assert (answer.status_code, errors(answer)) == (422, {"state": "unknown"})


class TestManaging:
    """Messages are cancelled, tried again, discarded."""

    def test_a_message_that_waits_is_cancelled_and_tried_again(self, api: Api) -> None:
        (id_,) = api.send(1)
        cancelled = api.ask("POST", f"{WHERE}/{id_}/cancel")
        assert (cancelled.status_code, cancelled.json()["state"]) == (200, "cancelled")
        again = api.ask("POST", f"{WHERE}/{id_}/cancel")
        assert again.status_code == 409
        assert again.json()["detail"] == (
            "the message is cancelled; only what is queued can be cancelled"
        )
        retried = api.ask("POST", f"{WHERE}/{id_}/retry")
        assert (retried.status_code, retried.json()["state"]) == (200, "queued")
        assert api.ask("POST", f"{WHERE}/{id_}/retry").status_code == 409

    def test_what_a_worker_has_is_not_cancelled(self, api: Api) -> None:
        (id_,) = api.send(1)
        api.run(lambda: claim(api.queue, "w", ALL))
        answer = api.ask("POST", f"{WHERE}/{id_}/cancel")
        assert (answer.status_code, answer.json()["id"]) == (409, id_)
        assert answer.json()["detail"].startswith("the message is sending;")

    def test_a_dry_run_counts_and_does_nothing(self, api: Api) -> None:
        api.send(*range(5))
        action = {"filter": {"template": "order-shipped"}, "dry_run": True}
        answer = api.ask("POST", f"{WHERE}/cancel", json=action)
        assert (answer.status_code, answer.json()) == (200, {"matched": 5, "done": 0})
        assert {one.state for one in api.stored()} == {State.QUEUED}

    def test_all_that_match_are_acted_on_slice_by_slice(
        self, api: Api, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(managing, "AT_ONCE", 3)
        for reason in ("busy: -1", "unreachable"):
            api.send(*range(10))
            api.end(State.DEAD, reason=reason)
        api.send(50)
        action = {"filter": {"reason": "busy"}, "dry_run": False}
        retried = api.ask("POST", "/push/dead-letters/retry", json=action)
        assert retried.json() == {"matched": 10, "done": 10}
        assert sum(one.state is State.QUEUED for one in api.stored()) == 11
        everything = {"all": True, "dry_run": False}
        discarded = api.ask("POST", "/push/dead-letters/discard", json=everything)
        assert discarded.json() == {"matched": 10, "done": 10}
        cancelled = api.ask("POST", f"{WHERE}/cancel", json=everything)
        assert cancelled.json() == {"matched": 11, "done": 11}
        assert {one.state for one in api.stored()} == {State.CANCELLED}

    def test_only_dead_letters_are_retried_as_such(self, api: Api) -> None:
        for number, state in enumerate((State.FAILED, State.AMBIGUOUS, State.DEAD)):
            api.send(number)
            api.end(state)
        action: dict[str, Any] = {"filter": {"state": "ambiguous"}, "dry_run": False}
        answer = api.ask("POST", "/push/dead-letters/retry", json=action)
        assert answer.json() == {"matched": 1, "done": 1}
        action = {"all": True, "dry_run": False}
        answer = api.ask("POST", "/push/dead-letters/retry", json=action)
        assert answer.json() == {"matched": 1, "done": 1}
        states = Counter(one.state for one in api.stored())
        assert states == {State.FAILED: 1, State.QUEUED: 2}

    @pytest.mark.parametrize(
        ("action", "field", "detail"),
        [
            ({"dry_run": True}, "filter", "give a filter, or all = true"),
            ({"all": False, "dry_run": True}, "filter", "give a filter, or all = true"),
            ({"filter": {}, "dry_run": True}, "filter", "is empty; give all = true"),
            ({"filter": {"state": "dead"}, "all": True, "dry_run": True}, "filter", "give a filt"),
            ({"all": True}, "dry_run", "missing"),
            ({"filter": {"acount": "x"}, "dry_run": True}, "filter.acount", "unknown"),
            ({"filter": {"state": "gone"}, "dry_run": True}, "filter.state", "Invalid enum value"),
            ({"filter": {"state": "sent"}, "dry_run": True}, "state", "sent is none of: "),
            ({"filter": {"state": []}, "dry_run": True}, "state", "is empty; give one"),
            ({"all": "yes", "dry_run": True}, "all", "Expected `bool`, got `str`"),
        ],
        ids=str,
    )
    def test_a_wrong_action_does_nothing(
        self, api: Api, action: dict[str, Any], field: str, detail: str
    ) -> None:
        api.send(1)
        for path in ("messages/cancel", "dead-letters/retry", "dead-letters/discard"):
            answer = api.ask("POST", f"/push/{path}", json=action)
            assert answer.status_code == 422
            assert errors(answer)[field].startswith(detail)
        assert api.stored()[0].state is State.QUEUED


def test_all_of_it_goes_over_postgres_too(postgres: Database) -> None:
    dsn = migrated(postgres.dsn)
    stores = PostgresQueue(dsn, timeout=5), PostgresRecords(dsn, timeout=5)
    with serving_over(*stores, PostgresTemplates(dsn, timeout=5)) as api:
        ids = set(api.send(1, 2, 3))
        (known,) = api.send(4, idempotency_key="k-1")
        assert api.send(4, idempotency_key="k-1") == [known]
        assert api.end(State.DEAD, limit=2, reason="busy: -1")
        every = (
            "state=dead,queued&account=main&channel=template&template=order-shipped&since=1"
            f"&before=9000000000&limit=3&after={known}"
        )
        page = api.ask("GET", f"{WHERE}?{every}").json()
        assert {one["id"] for one in page["messages"]} <= ids
        assert len(api.ask("GET", "/push/dead-letters?reason=busy").json()["messages"]) == 2
        (outcome, *_) = api.ask("GET", "/push/outcomes").json()["outcomes"]
        assert outcome["template"] == "order-shipped"
        assert api.ask("GET", "/push/backlog").json()["backlog"][0]["waiting"] == 2
        for path in ("dead-letters/retry", "messages/cancel"):
            acted = api.ask("POST", f"/push/{path}", json={"all": True, "dry_run": False})
            assert acted.json()["done"] == acted.json()["matched"] > 1
        assert api.ask("POST", f"{WHERE}/{known}/retry").json()["state"] == "queued"
        csv = f"to,goods,fen\n{user(5)},x,1\n".encode()
        query, headers = "name=b&template=order-shipped", {"content-type": "text/csv"}
        taken = api.ask("POST", f"/push/batches?{query}", "main", content=csv, headers=headers)
        assert taken.json()["queued"] == 1
        for key in ("all", "main"):
            stands = api.ask("GET", "/push/batches/b", key).json()
            assert stands["states"] == {"queued": 1}


class TestFilters:
    """The rules, without HTTP."""

    def test_a_query_is_read_by_its_types(self) -> None:
        given = [("state", "dead,queued"), ("limit", "5"), ("since", "1.5"), ("state", "sent")]
        assert read_query(given, Page) == Page(
            state=(State.DEAD, State.QUEUED, State.SENT), limit=5, since=1.5
        )

    def test_a_filter_means_what_it_says(self) -> None:
        meant = wanted(Filter(state=State.DEAD, account="main", since=5.0), KEY)
        assert meant == Wanted(states=(State.DEAD,), account="main", since=5.0)
        assert wanted(Filter(), KEY) == Wanted()
        assert wanted(Filter(), KEY, DEAD_LETTERS) == Wanted(states=DEAD_LETTERS)
        one = KEY._replace(accounts=frozenset(("main",)))
        assert wanted(Filter(), one) == Wanted(account="main")

    def test_an_action_means_what_is_there_when_it_is_asked_for(self) -> None:
        action = read({"all": True, "dry_run": False}, Action)
        assert wanted_by(action, KEY, DEAD_LETTERS, 100.0).before == 100.001
        for before, end in ((50.0, 50.0), (500.0, 100.001)):
            action = Action(dry_run=False, filter=Filter(before=before))
            assert wanted_by(action, KEY, DEAD_LETTERS, 100.0).before == end
        with pytest.raises(PushRefused):
            wanted_by(Action(dry_run=True), KEY, DEAD_LETTERS, 100.0)
