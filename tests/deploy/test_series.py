"""What the other tests here go by: which names an expression has, and which of them there are."""

from tests.deploy.promql import Selector, names_in
from tests.deploy.series import unheard_of, unknown


def test_the_names_of_an_expression_are_found() -> None:
    names = names_in(
        """
        histogram_quantile(0.99, sum by (le, lane) (rate(a_bucket{le=~"5|5[.]0", x!="}"}[5m])))
        > bool 3e2 * on (lane) group_left (y) max without (z) (b offset 1d)  # c
        or vector(0) unless level:d:rate5m
        """
    )
    assert names.selectors == (
        Selector("a_bucket", (("le", "=~", "5|5[.]0"), ("x", "!=", "}"))),
        Selector("b", ()),
        Selector("level:d:rate5m", ()),
    )
    assert names.grouped == {"le", "lane", "y", "z"}


def test_what_there_is_not_is_found() -> None:
    wrong = {
        "sum(gateway_message_total)": ["gateway_message_total"],
        "gateway_messages": ["gateway_messages"],
        'gateway_messages_total{lane="x"}': ["gateway_messages_total{lane}"],
        "sum by (lane) (gateway_messages_total)": ["gateway_messages_total{lane}"],
        "account:gateway_callbacks:rate1m": ["account:gateway_callbacks:rate1m"],
    }
    for expression, found in wrong.items():
        assert unknown(names_in(expression)) == found
    assert unknown(names_in("sum by (account, instance) (gateway_messages_total)")) == []


def test_values_that_no_instrument_names_are_found() -> None:
    asked = names_in('gateway_push_attempts_total{outcome=~"retry|tried", errcode!="0"}')
    assert unheard_of(asked.selectors) == ["gateway_push_attempts_total{outcome=tried}"]
    bounds = names_in('gateway_loop_lag_seconds_bucket{le=~"0.25|0[.]3"}')
    assert unheard_of(bounds.selectors) == ["gateway_loop_lag_seconds_bucket{le=0.3}"]
