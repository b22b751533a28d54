"""The fields of template messages: what the platform takes in each (PROTOCOL 7.2)."""

import pytest

from gateway.protocol.template_fields import KINDS, fault_of, kind_of


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("thing1", "长" * 20),
        ("thing12", "巧克力 Chocolate, 2 盒"),
        ("number3", "339208499"),
        ("number01", "-12.50"),
        ("letter1", "Abc"),
        ("symbol1", "#&+"),
        ("character_string4", "SF-20261125/0001"),
        ("time3", "2014年9月22日"),
        ("time3", "15:01"),
        ("time3", "2019年10月1日 15:01"),
        ("time3", "2019-10-01 15:01:30"),
        ("time7", "15:01~16:30"),
        ("time7", "2018-01-01"),
        ("date01", "2015年01月05日"),
        ("amount2", "39.8元"),
        ("amount2", "¥100"),
        ("phone_number1", "+86-0766-66888866"),
        ("car_number1", "粤A8Z888挂"),
        ("name1", "张三"),
        ("name1", "Zhang San"),
        ("phrase1", "已发货"),
        ("first", "任何 old template\nhas no rules" * 20),
        ("keyword1", ""),
    ],
)
def test_what_the_platform_takes_is_sound(field: str, value: str) -> None:
    assert fault_of(field, value) is None


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("thing1", "长" * 21, "has 21 characters, and WeChat takes 20"),
        ("thing1", "", "is not text of one line"),
        ("thing1", "two\nlines", "is not text of one line"),
        ("number1", "12a", "is not a number"),
        ("letter1", "A1", "is not letters a to z"),
        ("symbol1", "######", "has 6 characters, and WeChat takes 5"),
        ("character_string1", "单号1", "is not digits, letters and symbols"),
        ("time1", "25:00", "is not a time"),
        ("time1", "tomorrow", "is not a time"),
        ("date1", "15:01", "is not a day"),
        ("amount1", "12345678901", "is not an amount"),
        ("phone_number1", "call me", "is not a phone number"),
        ("name1", "张三李四张三李四张三李", "is not 10 Chinese characters, or 20 Latin"),
        ("phrase1", "ok", "is not Chinese characters"),
        ("phrase1", "已经发货了吗", "has 6 characters, and WeChat takes 5"),
    ],
)
def test_what_it_refuses_is_told(field: str, value: str, told: str) -> None:
    fault = fault_of(field, value)
    assert fault is not None
    assert told in fault


def test_every_kind_is_found_by_its_fields() -> None:
    assert all(
        kind_of(f"{name}{number}") is kind for name, kind in KINDS.items() for number in (1, 27)
    )
    assert kind_of("remark") is None
