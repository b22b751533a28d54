"""A message of a template: with the template compiled once, and compiled each time."""

from typing import Final

from bench.micro.sides import Timed, row
from gateway.outbound.templates import FieldText, MessageTemplate, TemplateFile

WRITTEN: Final = TemplateFile(
    "T1",
    {
        "thing1": FieldText("{{ order.goods | truncate_to(20) }}"),
        "amount2": FieldText("{{ order.fen | money }}"),
        "time3": FieldText("{{ order.at | timestr }}"),
        "character_string4": FieldText("{{ order.number | upper }}"),
    },
    url="https://shop.example/orders/{{ order.number }}",
)
DATA: Final = {
    "order": {"goods": "巧克力礼盒", "fen": 3980, "at": 1_790_000_000, "number": "a-2026-0001"}
}


@row("template, compiled once")
def test_a_message_of_a_template(timed: Timed) -> None:
    """Four fields, a filter in each, and a link."""
    template = MessageTemplate("order-shipped", WRITTEN)
    rendered = timed(template.render, DATA)
    assert rendered.data["amount2"] == "¥39.80"


@row("template, compiled each time")
def test_a_message_of_a_template_that_is_compiled_for_it(timed: Timed) -> None:
    """The same, as one would without a cache."""

    def compile_and_render() -> object:
        return MessageTemplate("order-shipped", WRITTEN).render(DATA)

    assert timed(compile_and_render)
