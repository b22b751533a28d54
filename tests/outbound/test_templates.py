"""Templates: what users get of them, and what is found out before anything is queued."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gateway.adapters.template_files import read_templates
from gateway.errors import TemplateWrong
from gateway.outbound.templates import FieldText, MessageTemplate, TemplateFile

ORDER = """\
template_id = "ngqIpbwh8bUfcSsECmogfXcV14J0tQlEpBO27izEYtY"
channel = "template"
url = "https://shop.example/orders/{{ number }}"

[page]
app_id = "wxmini"
path = "pages/order?id={{ number }}"

[fields]
character_string1 = { value = "{{ number }}" }
thing2 = { value = "{{ goods | truncate_to(20) }}" }
amount3 = { value = "{{ fen | money }}" }
time4 = { value = "{{ shipped | timestr }}" }
thing5 = { value = "{{ remark }}", optional = true }
number6 = { value = "{{ points | default(0) }}", skip_empty = true }

[variants.en]
template_id = "the-english-one"
[variants.en.fields]
thing2 = { value = "{{ goods | upper | truncate_to(20) }}" }
"""

DATA: dict[str, Any] = {
    "number": "SF-0001",
    "goods": "巧克力",
    "fen": 3980,
    "shipped": 1_790_000_000,
}


def template(text: str = ORDER) -> MessageTemplate:
    """Return a template as it is written."""
    return MessageTemplate("order-shipped", msgspec.toml.decode(text, type=TemplateFile))


def simple(value: str, field: str = "thing1", more: str = "") -> MessageTemplate:
    """Return a template with one field."""
    written = f"template_id = 'T'\n[fields.{field}]\nvalue = '''{value}'''\n{more}"
    return template(written)


def wrong(one: MessageTemplate, **data: Any) -> str:
    """Return what is said of data that does not fit."""
    with pytest.raises(TemplateWrong) as raised:
        one.render(data)
    return str(raised.value)


def test_a_template_becomes_what_wechat_takes() -> None:
    rendered = template().render(DATA)
    assert rendered.template_id == "ngqIpbwh8bUfcSsECmogfXcV14J0tQlEpBO27izEYtY"
    assert rendered.data == {
        "character_string1": "SF-0001",
        "thing2": "巧克力",
        "amount3": "¥39.80",
        "time4": "2026年09月21日 22:13",
    }
    assert rendered.url == "https://shop.example/orders/SF-0001"
    assert rendered.page is not None
    assert (rendered.page.app_id, rendered.page.path) == ("wxmini", "pages/order?id=SF-0001")


def test_optional_fields_come_where_there_is_something_in_them() -> None:
    data = DATA | {"remark": "易碎", "points": 12}
    rendered = template().render(data)
    assert rendered.data["thing5"] == "易碎"
    assert rendered.data["number6"] == "12"
    assert "number6" not in template().render(DATA | {"points": 0}).data


def test_a_number_that_is_0_is_sent_unless_it_was_said_otherwise() -> None:
    assert simple("{{ n }}", "number1").render({"n": 0}).data == {"number1": "0"}
    skipped = simple("{{ n }}", "number1", "skip_empty = true")
    assert skipped.render({"n": 0}).data == {}
    assert simple("{{ n | money }}", "amount1", "skip_empty = true").render({"n": 0}).data == {}
    # A text that says 0 is a text.
    assert simple("{{ n }}", "thing1", "skip_empty = true").render({"n": 0}).data == {"thing1": "0"}


def test_a_language_has_its_own_fields_and_the_others_of_the_template() -> None:
    rendered = template().render(DATA | {"goods": "Chocolate"}, "en")
    assert rendered.template_id == "the-english-one"
    assert rendered.data["thing2"] == "CHOCOLATE"
    assert rendered.data["amount3"] == "¥39.80"
    assert template().render(DATA, "fr").data == template().render(DATA).data
    assert template().languages() == ["zh_CN", "en"]


def test_a_missing_variable_names_template_and_field_and_so_does_each_other_fault() -> None:
    told = wrong(template(), number="有中文", fen=1, shipped=0).splitlines()
    assert told == [
        "template order-shipped: character_string1: is not digits, letters and symbols",
        "template order-shipped: thing2: 'goods' is undefined; give it with the data",
    ]
    assert "thing1: has 21 characters, and WeChat takes 20" in wrong(simple("{{ a }}"), a="长" * 21)
    assert "amount1: money takes a number of fen" in wrong(
        simple("{{ a | money }}", "amount1"), a="x"
    )
    assert "timestr takes Unix seconds" in wrong(simple("{{ a | timestr }}", "time1"), a=[])
    assert "no time zone Mars" in wrong(simple('{{ a | timestr("%H:%M", "Mars") }}', "time1"), a=0)


@pytest.mark.parametrize(
    ("moment", "shown"),
    [
        (0, "1970年01月01日 08:00"),
        ("2026-11-25T16:30:00+00:00", "2026年11月26日 00:30"),
        ("2026-11-25T16:30:00", "2026年11月26日 00:30"),
        (datetime(2026, 11, 25, 23, 0, tzinfo=UTC), "2026年11月26日 07:00"),
    ],
)
def test_times_are_shown_in_the_users_zone(moment: object, shown: str) -> None:
    assert simple("{{ a | timestr }}", "time1").render({"a": moment}).data["time1"] == shown


def test_what_is_cut_says_so() -> None:
    assert (
        simple("{{ a | truncate_to(5) }}").render({"a": "一二三四五六"}).data["thing1"]
        == "一二三四…"
    )


@pytest.mark.parametrize(
    "value",
    [
        "{{ ''.__class__.__mro__ }}",
        "{{ a.__init__.__globals__ }}",
    ],
)
def test_a_template_does_not_leave_its_sandbox(value: str) -> None:
    assert "thing1: " in wrong(simple(value), a=1)


def test_folders_are_read_and_all_that_is_wrong_is_told_at_once(tmp_path: Path) -> None:
    assert read_templates(tmp_path / "none") == {}
    (tmp_path / "order-shipped.toml").write_text(ORDER, encoding="utf-8")
    (tmp_path / "notes.txt").write_text("no template")
    assert list(read_templates(tmp_path)) == ["order-shipped"]
    (tmp_path / "a.toml").write_text("template_id = 1")
    (tmp_path / "b.toml").write_text("= 1")
    (tmp_path / "c.toml").write_bytes(b"# \xff")
    (tmp_path / "d.toml").write_text("template_id = 'T'\n[fields]\n[field.thing1]\nvalue = ''")
    (tmp_path / "e.toml").write_text(
        "template_id = 'T'\nurl = '{% if %}'\n[fields]\nthing1 = { value = '{{ a' }\n"
        "'thing-2' = { value = '' }"
    )
    (tmp_path / "f.toml").write_text("template_id = 'T'\n[fields]")
    with pytest.raises(TemplateWrong) as raised:
        read_templates(tmp_path)
    told = raised.value.args
    assert told[0].startswith("template a: Expected `str`, got `int` - at `$.template_id`")
    assert told[1].startswith("template b: not TOML: ")
    assert told[2] == "template c: not UTF-8; save it as UTF-8"
    assert "unknown field `field`" in told[3]
    assert told[4].startswith("template e: fields.thing1: ")
    assert told[5] == "template e: fields.thing-2: no field's name; write it like thing1"
    assert told[6].startswith("template e: url: ")
    assert told[7].startswith("template f: fields: there are none")
    assert len(told) == 8


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{{ 7 ** 3000000 }}", "pow: a message's text has variables, filters"),
        ("{% for x in range(10000000) %}{{ x }}{% endfor %}", "for: a message's text"),
        ("{{ 'a'.ljust(1000000000) }}", "call: a message's text"),
        ("{% set x = 1 %}", "assign: a message's text"),
        ("{{ 'a' | center(1000000000) }}", "No filter named 'center'"),
        ("{{ '%09d' | format(1) }}", "No filter named 'format'"),
        ("a" * 2001, "2,001 characters; give 2,000 at most"),
    ],
)
def test_what_could_take_for_ever_is_no_template(text: str, said: str) -> None:
    with pytest.raises(TemplateWrong) as raised:
        MessageTemplate("long", TemplateFile("T1", {"thing1": FieldText(text)}))
    assert f"fields.thing1: {said}" in str(raised.value)


@pytest.mark.parametrize("text", ["{{ 'x' * 300000000 }}", "{{ '%0999999999d' % 1 }}"])
def test_texts_are_not_multiplied(text: str) -> None:
    template = MessageTemplate("long", TemplateFile("T1", {"thing1": FieldText(text)}))
    with pytest.raises(TemplateWrong, match="is for numbers"):
        template.render({})


def test_numbers_are_reckoned_with_and_what_is_there_decides() -> None:
    text = (
        "{% if fen * 2 > 100 and fen % 2 == 0 %}{{ (fen / 100) | round(1) }}{% else %}-{% endif %}"
    )
    template = MessageTemplate("sum", TemplateFile("T1", {"thing1": FieldText(text)}))
    assert template.render({"fen": 3980}).data == {"thing1": "39.8"}
    assert template.render({"fen": 1}).data == {"thing1": "-"}


def test_a_template_without_the_platforms_id_is_wrong() -> None:
    with pytest.raises(TemplateWrong, match="template_id: empty"):
        MessageTemplate("none", TemplateFile("", {"thing1": FieldText("a")}))
