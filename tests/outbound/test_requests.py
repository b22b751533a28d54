"""Requests become jobs whose bodies WeChat takes, or are refused with the field that is wrong."""

import json
from typing import Any, Final

import pytest

from gateway.errors import PushRefused
from gateway.outbound.endpoints.messages import MASS_BY_OPEN_ID, MASS_BY_TAG
from gateway.outbound.jobs import Channel, Job, Priority
from gateway.outbound.requests import JobMaker, MassTo, PushRequest
from gateway.outbound.templates import FieldText, MessageTemplate, PageText, TemplateFile, Variant

NOW: Final = 1_790_000_000.0
USER: Final = "oUser000000000000000000000001"
FIELDS: Final = {"thing1": FieldText("{{ goods }}")}


def template(name: str, **given: Any) -> MessageTemplate:
    """Return a template of one field."""
    return MessageTemplate(name, TemplateFile("T1", FIELDS, **given))


TEMPLATES: Final = {
    one.name: one
    for one in (
        template("shipped", url="https://shop.example/{{ goods }}"),
        template("paged", page=PageText("wxmini", "orders/{{ goods }}")),
        template("notice", channel=Channel.NOTICE, url="https://shop.example/"),
        template("mini", channel=Channel.MINI_PROGRAM, page=PageText("wxmini", "orders")),
        template("variants", variants={"en": Variant({}, "T2")}),
    )
}


def make(request: PushRequest, *accounts: str, batch: str | None = None) -> Job:
    """Return the job of a request, made at NOW."""
    maker = JobMaker(accounts or ("main",), TEMPLATES, clock=lambda: NOW, random=bytes)
    return maker.make(request, batch=batch)


def body(job: Job) -> dict[str, Any]:
    """Return what is sent."""
    read: dict[str, Any] = json.loads(job.body)
    return read


def refused(request: PushRequest, *accounts: str, batch: str | None = None) -> tuple[str, ...]:
    """Return the lines of a refusal."""
    with pytest.raises(PushRefused) as raised:
        make(request, *accounts, batch=batch)
    return raised.value.args


def test_a_template_message_is_kept_apart_by_the_jobs_own_id() -> None:
    job = make(PushRequest(to=USER, template="shipped", data={"goods": "巧克力"}))
    assert body(job) == {
        "touser": USER,
        "template_id": "T1",
        "client_msg_id": job.id,
        "data": {"thing1": {"value": "巧克力"}},
        "url": "https://shop.example/巧克力",
    }
    # As it is: older endpoints show escapes (PROTOCOL 7).
    assert "巧克力".encode() in job.body
    assert (job.channel, job.path) == (Channel.TEMPLATE, "/cgi-bin/message/template/send")
    assert (job.account, job.template, job.template_id) == ("main", "shipped", "T1")
    assert (job.created_at, job.not_before, job.priority) == (NOW, NOW, Priority.NORMAL)
    # The id tells the time, so that ids are in the order of their making.
    assert job.id == "01a0c450-6c00-7000-8000-000000000000"


def test_each_channel_has_its_own_names_for_where_a_tap_leads() -> None:
    data = {"goods": "A1"}
    paged = body(make(PushRequest(to=USER, template="paged", data=data)))
    assert paged["miniprogram"] == {"appid": "wxmini", "pagepath": "orders/A1"}
    notice = body(make(PushRequest(to=USER, template="notice", data=data)))
    assert notice["page"] == "https://shop.example/"
    assert "client_msg_id" not in notice
    mini = make(PushRequest(to=USER, template="mini", data=data))
    assert mini.path == "/cgi-bin/message/subscribe/send"
    assert (body(mini)["page"], body(mini).get("miniprogram")) == ("orders", None)


def test_a_variant_may_be_another_template_of_the_platforms() -> None:
    request = PushRequest(to=USER, template="variants", data={"goods": "Tea"}, language="en")
    assert make(request).template_id == "T2"


def test_a_customer_service_message_is_sent_as_it_is_given() -> None:
    text = {"msgtype": "text", "text": {"content": "你好"}}
    job = make(PushRequest(to=USER, custom=text))
    assert body(job) == {"touser": USER, **text}
    assert (job.channel, job.path) == (Channel.CUSTOM, "/cgi-bin/message/custom/send")
    service = {**text, "customservice": {"kf_account": "a@shop"}}
    assert body(make(PushRequest(to=USER, custom=service)))["customservice"]


def test_a_mass_message_goes_to_everybody_to_a_tag_or_to_some() -> None:
    news = {"msgtype": "mpnews", "mpnews": {"media_id": "M1"}}
    job = make(PushRequest(mass=news, mass_to=MassTo(everybody=True)))
    assert (job.channel, job.path, job.open_id) == (Channel.MASS, MASS_BY_TAG, "")
    assert body(job)["filter"] == {"is_to_all": True}
    assert body(job)["clientmsgid"] == job.id.replace("-", "")
    tagged = body(make(PushRequest(mass=news, mass_to=MassTo(tag_id=2))))
    assert tagged["filter"] == {"is_to_all": False, "tag_id": 2}
    some = make(PushRequest(mass=news, mass_to=MassTo(open_ids=(USER, USER + "x"))))
    assert some.path == MASS_BY_OPEN_ID
    assert body(some)["touser"] == [USER, USER + "x"]
    pictures = {"msgtype": "image", "image": {"media_ids": ["M1"]}}
    assert body(make(PushRequest(mass=pictures, mass_to=MassTo(tag_id=2))))["images"] == {
        "media_ids": ["M1"]
    }


def test_two_requests_are_the_same_where_all_but_their_keys_is() -> None:
    one = PushRequest(to=USER, template="shipped", data={"goods": "a", "more": [1, {"x": 2}]})
    again = PushRequest(
        account="main",
        to=USER,
        template="shipped",
        data={"more": [1, {"x": 2}], "goods": "a"},
        idempotency_key="k",
    )
    assert make(one).fingerprint == make(again).fingerprint
    other = PushRequest(to=USER, template="shipped", data={"goods": "b"})
    assert make(one).fingerprint != make(other).fingerprint


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        (PushRequest(to=USER, template="gone"), "template: there is none called gone; there are:"),
        (PushRequest(to=USER, template="shipped"), "template shipped: thing1: 'goods' is undef"),
        (
            PushRequest(to=USER, template="shipped", data={"goods": "长" * 21}),
            "template shipped: thing1: ",
        ),
        (PushRequest(to="o 1", template="shipped", data={"goods": "a"}), "to: no open id"),
        (PushRequest(to=USER), "template: give one of template, custom and mass"),
        (
            PushRequest(to=USER, template="shipped", data={"goods": "a"}, custom={"msgtype": "x"}),
            "template: give one of template, custom and mass",
        ),
        (
            PushRequest(account="other", to=USER, template="shipped", data={"goods": "a"}),
            "account: there is none called other; there are: main",
        ),
        (
            PushRequest(to=USER, template="shipped", data={"goods": "a"}, expires_at=NOW),
            "expires_at: is past",
        ),
        (
            PushRequest(
                to=USER,
                template="shipped",
                data={"goods": "a"},
                not_before=NOW + 9,
                expires_at=NOW + 9,
            ),
            "expires_at: is not later than not_before",
        ),
        *(
            (
                PushRequest(to=USER, template="shipped", data={"goods": "a"}, not_before=moment),
                "not_before: is more than a year ahead, or no time",
            )
            for moment in (1e300, -1.0, float("nan"), float("inf"), NOW + 400 * 86_400)
        ),
        (
            PushRequest(to=USER, template="shipped", data={"goods": "a"}, idempotency_key="键"),
            "idempotency_key: give 1 to 128",
        ),
        (PushRequest(to=USER, custom={"msgtype": "smoke"}), "custom.msgtype: give one of: image"),
        (PushRequest(to=USER, custom={"msgtype": "text"}), "custom.text: missing"),
        (
            PushRequest(to=USER, custom={"msgtype": "text", "text": {"content": "a"}, "b": 1}),
            "custom.b: a text message has none",
        ),
        (
            PushRequest(to=USER, custom={"msgtype": "text", "text": {"content": "a" * 600_000}}),
            "the message: 600,",
        ),
        (
            PushRequest(mass={"msgtype": "text", "text": {"content": "a"}}),
            "mass_to: give one of everybody, tag_id and open_ids",
        ),
        (
            PushRequest(
                mass={"msgtype": "text", "text": {"content": "a"}},
                mass_to=MassTo(open_ids=(USER,)),
            ),
            "mass_to.open_ids: give 2 to 10,000",
        ),
        (
            PushRequest(
                to=USER,
                mass={"msgtype": "text", "text": {"content": "a"}},
                mass_to=MassTo(everybody=True),
            ),
            "to: a mass message has none",
        ),
    ],
)
def test_what_is_wrong_is_told_by_its_field(request_: PushRequest, said: str) -> None:
    lines = refused(request_)
    assert [line for line in lines if line.startswith(said)], lines


def test_everything_that_is_wrong_is_told_at_once() -> None:
    lines = refused(PushRequest(account="x", to="?", template="gone"), batch="b\n")
    assert [line.partition(":")[0] for line in lines] == ["account", "to", "batch", "template"]


def test_the_account_may_be_left_out_where_there_is_only_one() -> None:
    request = PushRequest(to=USER, template="shipped", data={"goods": "a"})
    assert make(request).account == "main"
    assert refused(request, "main", "other") == ("account: missing; there are: main, other",)
