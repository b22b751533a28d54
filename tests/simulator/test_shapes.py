"""The simulated API answers in the shapes that the platform's samples have (vectors/api.json)."""

import asyncio
import json
from pathlib import Path
from typing import Any, Final

import aiohttp
import pytest

from gateway.simulator.api.managing import MANAGING
from gateway.simulator.api.sending import SENDING
from tests.outbound.desk import APP_ID, SECRET, TEMPLATE, Desk, desk

SAMPLES: Final[list[dict[str, Any]]] = json.loads(
    (Path(__file__).parents[1] / "vectors" / "api.json").read_text(encoding="utf-8")
)

REFUSALS: Final = {
    sample["name"]
    for sample in SAMPLES
    if isinstance(sample["response"], dict) and sample["response"].get("errcode", 0) != 0
}

SERVED: Final = [
    sample
    for sample in SAMPLES
    if sample["path"] in {*SENDING, *MANAGING} and sample["name"] not in REFUSALS
]

VARIES: Final = {"data", "unionid", "subscribe_time"}
"""What is there in some answers only."""

ONLY_HERE: Final = {
    # Somebody follows here by default, who in the sample does not.
    "user-info-unsubscribed",
    # A page of followers that is the last: here there are some.
    "user-get-end",
}


def prepared(value: Any) -> Any:
    """Return a sample's value with what exists here in the place of placeholders."""
    text = json.dumps(value, ensure_ascii=False)
    for placeholder, real in (
        ("APPID", APP_ID),
        ("OPENID1", "oSample0000000000000000000001"),
        ("OPENID2", "oSample0000000000000000000002"),
        ("OPENID", "oSample0000000000000000000001"),
        ("ngqIpbwh8bUfcSsECmogfXcV14J0tQlEpBO27izEYtY", TEMPLATE.id),
        ("Dyvp3-Ff0cnail_CDSzk1fIc6-9lOkxsQE7exTJbwUE", TEMPLATE.id),
        ("TEMPLATE_ID", TEMPLATE.id),
    ):
        text = text.replace(placeholder, real)
    return json.loads(text)


async def answer(one: Desk, sample: dict[str, Any]) -> dict[str, Any]:
    """Return what the platform here answers to a sample's request."""
    body = prepared(sample.get("body"))
    query = prepared(sample.get("query", {}))
    account = one.account
    account.menu = {"button": [], "menuid": 1}
    account.tags[134] = "another"
    template = account.templates[TEMPLATE.id]
    # Of the fields that the sample fills.
    data = body.get("data", {}) if isinstance(body, dict) else {}
    template.content = " ".join(f"{{{{{name}.DATA}}}}" for name in data)
    for name in ("oV5CrjpxgaGXNHIQigzNlgLTnwic", "oSample0000000000000000000001"):
        user = account.user(name)
        assert user is not None
        user.wrote_at, user.answers_left = one.clock(), 5
        user.consents[TEMPLATE.id] = 1
    query["access_token"] = account.tokens.plain()[0]
    async with (
        aiohttp.ClientSession() as session,
        session.request(
            sample["method"],
            one.url + sample["path"],
            params=query,
            data=None if body is None else json.dumps(body, ensure_ascii=False).encode(),
        ) as got,
    ):
        found: dict[str, Any] = json.loads(await got.read())
        return found


@pytest.mark.parametrize("sample", SERVED, ids=lambda sample: sample["name"])
def test_an_answer_has_the_samples_shape(sample: dict[str, Any]) -> None:
    async def scenario() -> dict[str, Any]:
        async with desk() as one:
            return await answer(one, sample)

    found = asyncio.run(scenario())
    assert found.get("errcode", 0) == 0, found
    if sample["name"] in ONLY_HERE:
        return
    expected = sample["response"]
    assert {*found} - VARIES >= {*expected} - VARIES - {"msg_data_id", "errmsg"}
    for name in {*found} & {*expected}:
        assert type(found[name]) is type(expected[name]), name


def test_a_wrong_secret_is_refused_as_the_sample_has_it() -> None:
    async def scenario() -> dict[str, Any]:
        async with desk() as one, aiohttp.ClientSession() as session:
            query = {"grant_type": "client_credential", "appid": APP_ID, "secret": SECRET[::-1]}
            async with session.get(one.url + "/cgi-bin/token", params=query) as got:
                assert got.status == 200
                found: dict[str, Any] = json.loads(await got.read())
                return found

    found = asyncio.run(scenario())
    assert found["errcode"] == 40125
    assert found["errmsg"].startswith("invalid appsecret rid: ")
