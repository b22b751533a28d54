"""The endpoints that reach users, by the platform's rules (PROTOCOL 7.2 and 7.3)."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from gateway.protocol.template_fields import fault_of
from gateway.simulator.api.world import Account, Receipt, Template, User, World

Body = dict[str, Any]
Answer = dict[str, Any]

ANSWER_SECONDS: Final = 48 * 3600.0
"""How long after a user wrote customer service may answer."""

TEMPLATE: Final = "/cgi-bin/message/template/send"
BIZSEND: Final = "/cgi-bin/message/subscribe/bizsend"
MINI_SEND: Final = "/cgi-bin/message/subscribe/send"
ONE_TIME: Final = "/cgi-bin/message/template/subscribe"
CUSTOM: Final = "/cgi-bin/message/custom/send"
TYPING: Final = "/cgi-bin/message/custom/typing"
MASS_ALL: Final = "/cgi-bin/message/mass/sendall"
MASS: Final = "/cgi-bin/message/mass/send"

_CUSTOM_TYPES: Final = frozenset(
    (
        *("text", "image", "voice", "video", "music", "news", "mpnews", "mpnewsarticle"),
        *("msgmenu", "wxcard", "miniprogrampage", "link"),
    )
)


class Failed(Exception):
    """A call that is answered with an errcode."""

    def __init__(self, code: int, said: str) -> None:
        super().__init__(code, said)
        self.code = code
        self.said = said


def send_template(world: World, account: Account, body: Body) -> Answer:
    """Send a template message; its receipt is TEMPLATESENDJOBFINISH."""
    user, template = _follower(account, body), _template(account, body)
    _check_data(template, body)
    open_id, key = body["touser"], str(body.get("client_msg_id", ""))
    if len(key) > 64:
        raise Failed(40152, "invalid client_msg_id")
    now = world.clock()
    if key and (earlier := account.repeated(open_id, key, now)) is not None:
        return _ok(msgid=earlier)
    number = world.next_id()
    if key:
        account.note(open_id, key, now, number)
    status = "success"
    if user.blocks:
        status = "failed:user block"
    elif user.system_fails:
        status = "failed: system failed"
    else:
        account.ledger.add(open_id, TEMPLATE, number, key, now, body)
    fields = {"MsgID": number, "Status": status}
    world.notify(Receipt(account.app_id, open_id, "TEMPLATESENDJOBFINISH", fields))
    return _ok(msgid=number)


def send_notice(world: World, account: Account, body: Body, path: str) -> Answer:
    """Send a subscription notice, which takes one consent; its receipt says what became of it."""
    user, template = _follower(account, body), _template(account, body)
    _check_data(template, body)
    if user.consents[template.id] <= 0:
        raise Failed(43101, "user refuse to accept the msg")
    user.consents[template.id] -= 1
    open_id, number = body["touser"], world.next_id()
    if not user.blocks:
        account.ledger.add(open_id, path, number, "", world.clock(), body)
    told = {
        "TemplateId": template.id,
        "MsgID": number,
        "ErrorCode": 43101 if user.blocks else 0,
        "ErrorStatus": "user refuse to accept the msg" if user.blocks else "success",
    }
    fields = {"SubscribeMsgSentEvent": {"List": [told]}}
    world.notify(Receipt(account.app_id, open_id, "subscribe_msg_sent_event", fields))
    return _ok(msgid=number) if path == MINI_SEND else _ok()


def send_one_time(world: World, account: Account, body: Body) -> Answer:
    """Send the one message that a user agreed to on a page."""
    user, template = _follower(account, body), _template(account, body)
    if len(str(body.get("title", ""))) > 15:
        raise Failed(47003, "argument invalid! title")
    content = (body.get("data") or {}).get("content") or {}
    if len(str(content.get("value", ""))) > 200:
        raise Failed(47003, "argument invalid! data.content.value")
    if user.consents[template.id] <= 0:
        raise Failed(43101, "user refuse to accept the msg")
    user.consents[template.id] -= 1
    number = world.next_id()
    account.ledger.add(body["touser"], ONE_TIME, number, "", world.clock(), body)
    return _ok()


def send_custom(world: World, account: Account, body: Body) -> Answer:
    """Send a customer-service message: 5 in the 48 hours after a user wrote."""
    user, kind = _follower(account, body), body.get("msgtype")
    if kind not in _CUSTOM_TYPES:
        raise Failed(40008, "invalid message type")
    if not isinstance(body.get(kind), dict):
        raise Failed(44004, "empty content")
    now = world.clock()
    if now - user.wrote_at > ANSWER_SECONDS:
        raise Failed(45015, "response out of time limit or subscription is canceled")
    if user.answers_left <= 0:
        raise Failed(45047, "out of response count limit")
    user.answers_left -= 1
    number = world.next_id()
    account.ledger.add(body["touser"], CUSTOM, number, "", now, body)
    return _ok()


def show_typing(world: World, account: Account, body: Body) -> Answer:
    """Show the user that somebody types."""
    user = _follower(account, body)
    if body.get("command") not in ("Typing", "CancelTyping"):
        raise Failed(40036, "invalid command")
    if world.clock() - user.wrote_at > 30:
        raise Failed(45080, "client typing status needs an exchange within 30 seconds")
    return _ok()


def send_mass(world: World, account: Account, body: Body, path: str) -> Answer:
    """Take a mass message: the answer says that it is taken, MASSSENDJOBFINISH the rest."""
    key = str(body.get("clientmsgid", ""))
    if key in account.mass_jobs:
        return {
            "errcode": 45065,
            "errmsg": "clientmsgid exist",
            "msg_id": account.mass_jobs[key],
        }
    meant = _audience(account, body, path)
    number, now = world.next_id() % (1 << 31), world.clock()
    if key:
        account.mass_jobs[key] = number
    reached = [open_id for open_id, user in meant if user.subscribed and not user.blocks]
    for open_id in reached:
        account.ledger.add(open_id, path, number, key, now, body)
    fields = {
        "MsgID": number,
        "Status": "send success",
        "TotalCount": len(meant),
        "FilterCount": len(meant),
        "SentCount": len(reached),
        "ErrorCount": len(meant) - len(reached),
    }
    # It comes from the platform, in the account's own name.
    world.notify(
        Receipt(account.app_id, "oMassSendJob0000000000000000", "MASSSENDJOBFINISH", fields)
    )
    return {"errcode": 0, "errmsg": "send job submission success", "msg_id": number}


def _audience(account: Account, body: Body, path: str) -> list[tuple[str, User]]:
    if not isinstance(body.get("msgtype"), str):
        raise Failed(40008, "invalid message type")
    if path == MASS:
        names = body.get("touser")
        if not isinstance(names, list) or not 2 <= len(names) <= 10_000:
            raise Failed(40130, "invalid openid list size, at least two openid")
        return [(name, user) for name in names if (user := account.user(name)) is not None]
    chosen = body.get("filter") or {}
    everyone = list(account.users.items())
    if chosen.get("is_to_all"):
        return everyone
    return [(name, user) for name, user in everyone if chosen.get("tag_id") in user.tags]


def _follower(account: Account, body: Body) -> User:
    user = account.user(body.get("touser"))
    if user is None:
        raise Failed(40003, "invalid openid")
    if not user.subscribed:
        raise Failed(43004, "require subscribe")
    return user


def _template(account: Account, body: Body) -> Template:
    template = account.templates.get(str(body.get("template_id", "")))
    if template is None:
        raise Failed(40037, "invalid template_id")
    return template


def _check_data(template: Template, body: Body) -> None:
    data = body.get("data")
    if not isinstance(data, dict):
        raise Failed(47003, "argument invalid! data")
    for name in template.fields:
        value = data.get(name)
        if not isinstance(value, dict) or not isinstance(value.get("value"), str):
            raise Failed(47003, f"argument invalid! data.{name}.value is empty")
        if not value["value"]:
            raise Failed(47003, f"argument invalid! data.{name}.value is empty")
        if fault_of(name, value["value"]) is not None:
            raise Failed(47003, f"argument invalid! data.{name}.value invalid")


def _ok(**more: Any) -> Answer:
    return {"errcode": 0, "errmsg": "ok", **more}


Endpoint = Callable[[World, Account, Body], Answer]

SENDING: Final[Mapping[str, Endpoint]] = {
    TEMPLATE: send_template,
    BIZSEND: lambda world, account, body: send_notice(world, account, body, BIZSEND),
    MINI_SEND: lambda world, account, body: send_notice(world, account, body, MINI_SEND),
    ONE_TIME: send_one_time,
    CUSTOM: send_custom,
    TYPING: show_typing,
    MASS_ALL: lambda world, account, body: send_mass(world, account, body, MASS_ALL),
    MASS: lambda world, account, body: send_mass(world, account, body, MASS),
}
