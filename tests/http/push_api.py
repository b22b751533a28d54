"""The HTTP API of pushing over a SQLite file, for tests: its keys, its client, its store."""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

import httpx
from litestar import Litestar
from litestar.testing import TestClient
from litestar.types import Middleware

from gateway.adapters.sqlite_job_records import SqliteRecords
from gateway.adapters.sqlite_queue import SqliteQueue
from gateway.adapters.sqlite_templates import SqliteTemplates
from gateway.errors import StoreDown
from gateway.http.api.document import document_route
from gateway.http.api.keys import KEY_BYTES, ApiKey, Keys, Scope, digest_of, fresh_key
from gateway.http.api.operations import OPERATIONS
from gateway.http.api.routes import Parts, push_router
from gateway.outbound.jobs import Added, Job, Record, State, Wanted
from gateway.outbound.ports import JobRecords, TemplateStore
from gateway.outbound.push import Push
from gateway.outbound.registry import Templates
from gateway.outbound.requests import JobMaker
from tests.contracts.jobs import ALL, claim, settled
from tests.outbound.pool import DATA, NOTICE, SHIPPED, user

_T = TypeVar("_T")

EVERY: Final = frozenset(Scope)
KEYS: Final = {
    "all": (EVERY, frozenset[str]()),
    "sender": (frozenset((Scope.SEND,)), frozenset[str]()),
    "reader": (frozenset((Scope.READ,)), frozenset[str]()),
    "manager": (frozenset((Scope.MANAGE,)), frozenset[str]()),
    "main": (EVERY, frozenset(("main",))),
    "two": (EVERY, frozenset(("main", "other"))),
}
"""The keys by name: what they are good for."""

SECRETS: Final = {name: fresh_key(name.encode().ljust(KEY_BYTES, b"-")) for name in KEYS}
"""The keys themselves."""

MAX_BODY: Final = 1_000_000


class Flaky(SqliteQueue):
    """A queue that is down when it is told to be, or after so many calls."""

    down = False
    calls_left = 1_000_000

    async def add(self, jobs: Sequence[Job]) -> list[Added]:
        """Store jobs, or fail."""
        self.calls_left -= 1
        if self.down or self.calls_left < 0:
            raise StoreDown("SQLite /srv/gateway.db: disk full")
        return await super().add(jobs)


class Api(NamedTuple):
    """What a test has of the API."""

    client: TestClient[Litestar]
    queue: Any
    """A JobQueue; over SQLite, a Flaky one."""
    records: JobRecords
    templates: Templates

    def ask(self, method: str, path: str, key: str = "all", **given: Any) -> httpx.Response:
        """Send a request with one of the keys."""
        headers = {"authorization": f"Bearer {SECRETS[key]}"} | given.pop("headers", {})
        return self.client.request(method, path, headers=headers, **given)

    def send(self, *users: int, key: str = "all", **given: Any) -> list[str]:
        """Queue a message to each of these users; return their ids."""
        messages = [message(one, **given) for one in users]
        answer = self.ask("POST", "/push/messages", key, json={"messages": messages})
        assert answer.status_code == 202, answer.text
        return [one["id"] for one in answer.json()["messages"]]

    def run(self, call: Callable[[], Awaitable[_T]]) -> _T:
        """Run something on the app's event loop."""
        return self.client.blocking_portal.call(call)

    def stored(self) -> list[Record]:
        """Return all that is stored, oldest first."""
        return self.run(lambda: self.records.find(Wanted(), 100_000))[::-1]

    def end(self, state: State, limit: int = 1000, **given: Any) -> list[str]:
        """Let jobs that wait end in a state; return their ids."""

        async def run() -> list[str]:
            held = await claim(self.queue, "w", ALL._replace(limit=limit), limit=limit)
            ended = [settled(one, state, **given) for one in held]
            return list(await self.queue.settle("w", ended))

        return self.run(run)


def message(number: int, **given: Any) -> dict[str, Any]:
    """Return a message to a user, with changes."""
    return {
        "account": "main",
        "to": user(number),
        "template": "order-shipped",
        "data": DATA,
    } | given


def errors(answer: httpx.Response) -> dict[str, str]:
    """Return what a problem document says, by field."""
    assert answer.headers["content-type"] == "application/problem+json"
    document = answer.json()
    assert document["status"] == answer.status_code
    return {one.get("field", ""): one["detail"] for one in document.get("errors", ())}


@contextmanager
def serving(folder: Path, *middleware: Middleware) -> Iterator[Api]:
    """Serve the API with a new file in the folder."""
    path = folder / "gateway.db"
    stores = Flaky(path, timeout=5), SqliteRecords(path, timeout=5)
    with serving_over(*stores, SqliteTemplates(path, timeout=5), *middleware) as api:
        yield api


@contextmanager
def serving_over(
    queue: Any, records: JobRecords, store: TemplateStore, *middleware: Middleware
) -> Iterator[Api]:
    """Serve the API over a queue, the records of its jobs, and templates; close all."""
    templates = Templates({one.name: one for one in (SHIPPED, NOTICE)}, store)
    push = Push(JobMaker(["main", "other"], templates), queue)
    keys = [ApiKey(name, digest_of(SECRETS[name]), *given) for name, given in KEYS.items()]
    app = Litestar(
        [
            push_router(Parts(push, records, templates, Keys(keys), MAX_BODY)),
            document_route("1.2.3", OPERATIONS),
        ],
        on_shutdown=[queue.close, records.close, store.close],
        middleware=middleware,
        openapi_config=None,
        logging_config=None,
    )
    with TestClient(app) as client:
        yield Api(client, queue, records, templates)
