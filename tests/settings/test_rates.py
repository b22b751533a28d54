"""How fast each channel of an account may send."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.outbound.jobs import Channel
from gateway.settings import load_settings
from gateway.settings.rates import SendRate, parse_rate
from gateway.settings.sections import AccountSettings
from tests.settings.writing import refusal, write_account

HOW = "must be a number of sends in a time, such as 200/s, 60/min or 3000/h"
SET_BY = "(also set by GATEWAY_ACCOUNTS__MAIN__RATES__{})"


def _rates() -> dict[Any, SendRate]:
    return dict(load_settings().accounts["main"].rates)


def test_without_a_rate_there_is_none() -> None:
    write_account()
    assert _rates() == {}


def test_each_channel_has_a_rate_of_its_own() -> None:
    texts = {"template": "200/s", "notice": "90/min", "mini_program": "60/min"}
    write_account(rates=texts | {"custom": "3000/h", "mass": "100/d"})
    assert _rates() == {
        "template": SendRate(200.0, 200),
        "notice": SendRate(1.5, 1),
        "mini_program": SendRate(1.0, 1),
        "custom": SendRate(3000 / 3600, 1),
        "mass": SendRate(100 / 86_400, 1),
    }


def test_a_rate_may_come_from_a_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    write_account(rates={"template": "200/s"})
    monkeypatch.setenv("GATEWAY_ACCOUNTS__MAIN__RATES__MINI_PROGRAM", "5/s")
    assert _rates() == {"template": SendRate(200.0, 200), "mini_program": SendRate(5.0, 5)}
    monkeypatch.setenv("GATEWAY_ACCOUNTS__MAIN__RATES", json.dumps({"custom": "7/s"}))
    assert _rates()["custom"] == SendRate(7.0, 7)


@pytest.mark.parametrize(
    "text",
    [
        *("", "200", "/s", "200/", "200 /s", "200/ s", "200/sec", "200/S", "-1/s", "0/s", "00/d"),
        *("0.5/s", "1e3/s", "1_000/s", "２/s", "200/s ", "200/s\n", "200/s/s", "1234567890/d"),
        *(200, 0.5, True, ["200/s"], {"per_second": 200}),
    ],
    ids=str,
)
def test_what_is_no_rate_is_refused_and_told_how_to_write_one(text: Any) -> None:
    write_account(rates={"template": text})
    assert refusal() == f"accounts.main.rates.template: {HOW} {SET_BY.format('TEMPLATE')}"


@pytest.mark.parametrize(
    ("last", "beyond"),
    [("10000/s", "10001/s"), ("600000/min", "600001/min"), ("864000000/d", "864000001/d")],
)
def test_a_rate_has_a_bound(last: str, beyond: str) -> None:
    write_account(rates={"template": last})
    assert _rates() == {"template": SendRate(10_000.0, 10_000)}
    write_account(rates={"template": beyond})
    assert refusal() == (
        "accounts.main.rates.template: must be 10,000/s at most; leave it out for no bound "
        f"{SET_BY.format('TEMPLATE')}"
    )


def test_a_channel_that_is_none_is_refused() -> None:
    write_account(rates={"templat": "200/s"})
    assert refusal() == (
        "accounts.main.rates.templat: must be one of template, notice, mini_program, custom, "
        f"mass, or a path such as /cgi-bin/user/get {SET_BY.format('TEMPLAT')}"
    )


@pytest.mark.parametrize("rates", ["200/s", ["200/s"], 200], ids=str)
def test_rates_are_a_table(rates: Any) -> None:
    write_account(rates=rates)
    assert refusal() == (
        "accounts.main.rates: input should be a valid dictionary "
        "(also set by GATEWAY_ACCOUNTS__MAIN__RATES)"
    )


@given(st.integers(1, 10_000), st.sampled_from([("s", 1), ("min", 60), ("h", 3600), ("d", 86_400)]))
def test_a_rate_is_its_number_in_its_time(number: int, unit: tuple[str, int]) -> None:
    rate = parse_rate(f"{number}/{unit[0]}")
    assert rate.per_second * unit[1] == pytest.approx(number)
    assert rate.burst == max(1, number // unit[1])


def test_every_channel_of_the_dispatcher_can_have_a_rate_and_is_described() -> None:
    write_account(rates=dict.fromkeys(Channel, "1/s"))
    assert set(_rates()) == set(Channel)
    described = AccountSettings.model_fields["rates"].description or ""
    assert all(channel in described for channel in Channel)
