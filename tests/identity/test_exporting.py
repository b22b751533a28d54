"""All that is kept of a person is in one document."""

import json
import time
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest

from gateway.identity import exporting
from gateway.identity.exporting import Exporter, Sources
from gateway.identity.keys import key_ring
from gateway.identity.people import Person
from gateway.identity.places import Places
from gateway.identity.ports import Secret
from gateway.identity.user_tokens import place_of
from gateway.identity.vault import Vault
from gateway.outbound.jobs import Attempt, Channel, Priority, Record, State, Wanted
from tests.identity.keeping import (
    ACCOUNTS,
    GONE,
    IN_GONE,
    IN_MINI,
    IN_SHOP,
    NAME,
    UNION,
    Keeping,
    play,
)

FOREVER = 4_000_000_000.0
PHONE = {"phoneNumber": "19912345678", "purePhoneNumber": "19912345678", "countryCode": "86"}


class Came(NamedTuple):
    """A callback."""

    account: str
    kind: str
    received_at: float
    document: bytes


class Elsewhere:
    """Messages and callbacks: so many in the shop, none elsewhere."""

    def __init__(self, messages: int = 3, callbacks: int = 2) -> None:
        self.messages = messages
        self.callbacks = callbacks
        self.pages = 0

    async def find(self, wanted: Wanted, limit: int, after: str | None = None) -> list[Record]:
        """Find messages."""
        assert wanted.to is not None
        if (wanted.account, wanted.to) != ("shop", IN_SHOP.open_id):
            return []
        self.pages += 1
        first = 0 if after is None else int(after) + 1
        return [_record(n) for n in range(first, min(first + limit, self.messages))]

    async def of_user(self, account: str, open_id: str, limit: int) -> list[Came]:
        """Find callbacks."""
        if (account, open_id) != ("outlet", IN_SHOP.open_id):
            return []
        text = msgspec.json.encode({"Content": '你好"]}'})
        return [Came(account, "Text", 1_700_000_000.5, text)] * min(limit, self.callbacks)


def _record(number: int) -> Record:
    return Record(
        str(number),
        "shop",
        Channel.TEMPLATE,
        "order-shipped",
        IN_SHOP.open_id,
        State.SENT,
        "",
        Priority.HIGH,
        1_700_000_000.0,
        0.0,
        None,
        "orders",
        "k1",
        1,
        (Attempt(1_700_000_001.0, 0.25, "sent"),),
        "4711",
        1_700_000_001.25,
        None,
    )


async def document(one: Keeping, person: Person, elsewhere: Elsewhere) -> dict[str, Any]:
    """Return what is exported."""
    sources = Sources(one.store, one.sessions, elsewhere, elsewhere, one.vault)
    pieces = Exporter(sources, Places(ACCOUNTS)).export(person, time.time())
    raw = b"".join([piece async for piece in pieces])
    found: dict[str, Any] = json.loads(raw)
    return found


def test_all_of_it_is_there(tmp_path: Path) -> None:
    async def scenario(one: Keeping) -> None:
        person = await one.somebody()
        sealed = one.vault.seal(json.dumps(PHONE).encode(), place_of("phone", IN_MINI))
        await one.store.keep_secret(Secret(IN_MINI, "phone", sealed, FOREVER))
        await one.store.keep_secret(Secret(IN_SHOP, "user_token", b"\0\1", FOREVER))
        found = await document(one, person, Elsewhere())
        told = found["person"]
        assert (told["id"], told["union_id"]) == (person.id, UNION)
        assert (told["tags"], told["roles"]) == (["vip"], ["staff"])
        assert told["former_ids"] == list(person.former_ids)
        (consent,) = told["consents"]
        assert (consent["open_id"], consent["template_id"]) == (IN_SHOP.open_id, "T1")
        assert consent["accepted"] is True
        known = {identity["open_id"]: identity for identity in found["identities"]}
        assert {user.open_id for user in (IN_SHOP, IN_MINI, IN_GONE)} == {*known}
        assert known[IN_SHOP.open_id]["nickname"] == NAME
        assert known[IN_SHOP.open_id]["accounts"] == ["shop", "outlet"]
        assert known[IN_GONE.open_id]["accounts"] == []
        seen = datetime.fromisoformat(known[IN_MINI.open_id]["first_seen"]).timestamp()
        assert seen == pytest.approx(person.created_at, abs=1e-5)
        (merge,) = found["merges"]
        assert (merge["open_id"], merge["whole"]) == (IN_MINI.open_id, True)
        assert {session["account"] for session in found["sessions"]} == {"shop", "mini"}
        assert not any("id" in session for session in found["sessions"])
        secrets = {secret["kind"]: secret["value"] for secret in found["secrets"]}
        assert secrets == {"phone": PHONE, "user_token": "kept, sealed"}
        assert [message["id"] for message in found["messages"]] == ["0", "1", "2"]
        assert found["messages"][0] == {
            "id": "0",
            "account": "shop",
            "channel": "template",
            "template": "order-shipped",
            "to": IN_SHOP.open_id,
            "state": "sent",
            "reason": "",
            "priority": "high",
            "created_at": "2023-11-14T22:13:20+00:00",
            "not_before": None,
            "expires_at": None,
            "batch": "orders",
            "idempotency_key": "k1",
            "tries": 1,
            "attempts": [
                {
                    "at": "2023-11-14T22:13:21+00:00",
                    "seconds": 0.25,
                    "outcome": "sent",
                    "reason": "",
                }
            ],
            "message_id": "4711",
            "ended_at": "2023-11-14T22:13:21.250000+00:00",
            "receipt_at": None,
            "trace_id": "",
        }
        came = {
            "account": "outlet",
            "type": "Text",
            "received_at": "2023-11-14T22:13:20.500000+00:00",
            "fields": {"Content": '你好"]}'},
        }
        assert found["callbacks"] == [came, came]
        assert found["callbacks_complete"] is True
        assert any(GONE.app_id in line for line in found["not_included"])

    play(tmp_path, scenario)


def test_of_somebody_who_has_nothing_the_lists_are_empty(tmp_path: Path) -> None:
    async def scenario(one: Keeping) -> None:
        person = await one.somebody()
        bare = Person("p", None, 0.0, person.identities[:1])
        await one.sessions.end_all([person.id])
        found = await document(one, bare, Elsewhere(0, 0))
        for name in ("merges", "sessions", "secrets", "messages", "callbacks"):
            assert found[name] == []
        assert found["person"]["created_at"] is None

    play(tmp_path, scenario)


def test_messages_are_read_a_page_at_a_time_and_callbacks_up_to_a_limit_that_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario(one: Keeping) -> None:
        person, elsewhere = await one.somebody(), Elsewhere(2500, 10)
        found = await document(one, person, elsewhere)
        assert [message["id"] for message in found["messages"]] == [str(n) for n in range(2500)]
        assert elsewhere.pages == 4
        monkeypatch.setattr(exporting, "MOST_CALLBACKS", 10)
        found = await document(one, person, elsewhere)
        assert len(found["callbacks"]) == 10
        assert found["callbacks_complete"] is False

    play(tmp_path, scenario)


def test_what_does_not_open_is_named(tmp_path: Path) -> None:
    async def scenario(one: Keeping) -> None:
        person = await one.somebody()
        other = Vault(key_ring(("t" * 32,), "vault"), bytes)
        elsewhere = other.seal(json.dumps(PHONE).encode(), place_of("phone", IN_MINI))
        moved = one.vault.seal(json.dumps(PHONE).encode(), place_of("phone", IN_SHOP))
        strange = one.vault.seal(b"[]", place_of("phone", IN_MINI))
        for sealed in (elsewhere, moved, strange, b""):
            await one.store.keep_secret(Secret(IN_MINI, "phone", sealed, FOREVER))
            found = await document(one, person, Elsewhere())
            (secret,) = found["secrets"]
            assert secret["value"] == "kept, sealed; the keys that there are do not open it"

    play(tmp_path, scenario)
