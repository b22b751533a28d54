"""Which handler takes a message: the first that matches, in order of registration."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import (
    Bot,
    Click,
    ComponentPush,
    ComponentVerifyTicket,
    Event,
    Image,
    Location,
    MenuEvent,
    Message,
    Scan,
    Subscribe,
    Text,
    UnknownComponentPush,
    UnknownEvent,
    UnknownMessage,
    UserMessage,
    View,
)
from gateway.inbound.bot import Route
from gateway.inbound.router import Router
from gateway.protocol.decode import decode


async def handler() -> None: ...


def _bot(*routes: tuple[type[Message], dict[str, Any]]) -> Bot:
    bot = Bot()
    for kind, conditions in routes:
        bot.on(kind, **conditions)(handler)
    return bot


def _taken(bot: Bot, message: Message) -> int | None:
    """Return the number of the route that takes a message."""
    return _number(bot, Router(bot).find(message))


def _number(bot: Bot, match: tuple[Route, object] | None) -> int | None:
    """Return which route was found; alike routes are told apart by their handler's identity."""
    if match is None:
        return None
    return next(n for n, route in enumerate(bot.routes()) if route.handler is match[0].handler)


@pytest.mark.parametrize(
    ("kind", "conditions", "taken", "left"),
    [
        (Text, {"content": "帮助"}, Text(content="帮助"), Text(content="帮助 ")),
        (Text, {"content": ""}, Text(), Text(content="x")),
        (Click, {"key": "V1"}, Click(event_key="V1"), Click(event_key="V10")),
        (Click, {"event_key": "V1"}, Click(event_key="V1"), Click()),
        (UnknownEvent, {"key": "a"}, UnknownEvent(event_key="a"), UnknownEvent()),
        (Subscribe, {"scene": "7"}, Subscribe(event_key="qrscene_7"), Subscribe(event_key="7")),
        (Subscribe, {"scene": None}, Subscribe(), Subscribe(event_key="qrscene_7")),
        (Subscribe, {"ticket": None}, Subscribe(), Subscribe(ticket="t")),
        (Scan, {"scene": "7"}, Scan(event_key="7"), Scan(event_key="qrscene_7")),
        (Location, {"scale": 20}, Location(scale=20), Location(scale=2)),
        (Location, {"location_x": 1.5}, Location(location_x=1.5), Location(location_x=1.0)),
        (Text, {"content": re.compile("订单")}, Text(content="我的订单"), Text(content="订")),
        (Text, {"content": re.compile("^订单$")}, Text(content="订单"), Text(content="订单1")),
        (Click, {"key": re.compile("^V")}, Click(event_key="V9"), Click(event_key="9V")),
        (
            Subscribe,
            {"scene": re.compile(r"^\d+$")},
            Subscribe(event_key="qrscene_7"),
            Subscribe(event_key="7"),
        ),
        (
            Text,
            {"content": "a", "from_user_name": "o"},
            Text(content="a", from_user_name="o"),
            Text(content="a", from_user_name="p"),
        ),
        (
            Text,
            {"content": re.compile("a"), "from_user_name": "o"},
            Text(content="bab", from_user_name="o"),
            Text(content="b", from_user_name="o"),
        ),
    ],
    ids=str,
)
def test_a_route_takes_what_its_conditions_say(
    kind: type[Message], conditions: dict[str, Any], taken: Message, left: Message
) -> None:
    bot = _bot((kind, conditions))
    assert _taken(bot, taken) == 0
    assert _taken(bot, left) is None


def test_a_pattern_finds_nothing_in_what_is_no_text() -> None:
    bot = _bot((Location, {"scale": re.compile("2")}), (Subscribe, {"scene": re.compile("")}))
    assert _taken(bot, Location(scale=2)) is None
    assert _taken(bot, Subscribe()) is None


def test_a_condition_may_be_on_any_hashable_value() -> None:
    """Values that a dict cannot look up for sure are compared one by one."""
    part = decode(
        {
            "MsgType": "event",
            "Event": "location_select",
            "SendLocationInfo": {"Label": "广州"},
        }
    )
    bot = _bot((type(part), {"send_location_info": part.send_location_info}))  # type: ignore[attr-defined]
    assert _taken(bot, part) == 0
    assert _taken(bot, type(part)()) is None


EXACT: dict[str, Any] = {"content": "ab"}
PATTERN: dict[str, Any] = {"content": re.compile("a")}
SEVERAL: dict[str, Any] = {"content": "ab", "from_user_name": "o"}


@pytest.mark.parametrize(
    "routes",
    [
        [(Text, EXACT), (Text, PATTERN), (Text, {})],
        [(Text, PATTERN), (Text, EXACT), (Text, {})],
        [(Text, {}), (Text, EXACT), (Text, PATTERN)],
        [(Message, {}), (Text, EXACT)],
        [(UserMessage, {}), (Text, PATTERN)],
        [(Text, EXACT), (Text, EXACT)],
        [(Text, PATTERN), (Text, PATTERN)],
        [(Text, SEVERAL), (Text, EXACT)],
        [(Text, EXACT), (Text, SEVERAL)],
        [(Text, {"from_user_name": "o"}), (Text, EXACT)],
        [(Message, {"from_user_name": "o"}), (Text, EXACT)],
        [(Text, EXACT), (Message, {"from_user_name": "o"})],
    ],
    ids=str,
)
def test_of_routes_that_match_the_first_registered_wins(
    routes: list[tuple[type[Message], dict[str, Any]]],
) -> None:
    message = Text(content="ab", from_user_name="o")
    assert _taken(_bot(*routes), message) == 0
    for after in range(3):
        other: list[tuple[type[Message], dict[str, Any]]] = [
            (Image, {}),
            (Text, {"content": "b"}),
            (Text, {"content": re.compile("^b")}),
        ]
        assert _taken(_bot(*other[:after], *routes), message) == after


@pytest.mark.parametrize(
    ("kind", "taken", "left"),
    [
        (Message, [Text(), Click(), UnknownMessage(), UnknownEvent(), ComponentVerifyTicket()], []),
        (Event, [Click(), Subscribe(), UnknownEvent()], [Text(), ComponentVerifyTicket()]),
        (MenuEvent, [Click(), View()], [Subscribe(), UnknownEvent()]),
        (UserMessage, [Text(), Image(), UnknownMessage()], [Click(), ComponentVerifyTicket()]),
        (UnknownMessage, [UnknownMessage()], [Text(), UnknownEvent()]),
        (UnknownEvent, [UnknownEvent()], [Click(), UnknownMessage()]),
        (ComponentPush, [ComponentVerifyTicket(), UnknownComponentPush()], [Text(), Click()]),
        (Text, [Text()], [Image(), UnknownMessage()]),
    ],
)
def test_a_class_takes_its_subclasses(
    kind: type[Message], taken: list[Message], left: list[Message]
) -> None:
    bot = _bot((kind, {}))
    assert [_taken(bot, message) for message in taken] == [0] * len(taken)
    assert [_taken(bot, message) for message in left] == [None] * len(left)


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({"MsgType": "hologram"}, UnknownMessage),
        ({"MsgType": "event", "Event": "new_thing", "EventKey": "k"}, UnknownEvent),
        ({"InfoType": "new_push"}, UnknownComponentPush),
        ({}, UnknownMessage),
    ],
    ids=str,
)
def test_what_is_not_known_has_a_class_to_register_for(
    fields: dict[str, Any], kind: type[Message]
) -> None:
    assert _taken(_bot((Text, {}), (kind, {})), decode(fields)) == 1


def test_a_bot_without_handlers_takes_nothing() -> None:
    assert _taken(Bot(), Text()) is None


def test_a_router_answers_the_same_for_each_message_of_a_class() -> None:
    """What it plans for a class at the first message stays right for the next."""
    router = Router(_bot((Text, {"content": "a"}), (Text, {"content": re.compile("b")})))
    found = [router.find(Text(content=content)) for content in ("a", "b", "c", "a", "b", "c")]
    assert [match is not None for match in found] == [True, True, False] * 2


def test_the_match_of_the_pattern_with_groups_is_handed_over() -> None:
    bot = Bot()

    @bot.on(Text, from_user_name=re.compile("o"), content=re.compile("(b)"), to_user_name="g")
    async def take(message: Text, letter: str) -> str:
        return message.content + letter

    message = Text(from_user_name="o", content="abc", to_user_name="g")
    match = Router(bot).find(message)
    assert match is not None
    assert match[1] is not None
    assert match[1].groups() == ("b",)


_TEXTS = st.sampled_from(["", "a", "b", "ab", "ba"])
_PATTERNS = st.sampled_from(["", "a", "^a", "b$", "^ab$"]).map(re.compile)
_KEYS = _TEXTS | _PATTERNS
_SCENES = _KEYS | st.none()

_ROUTES = st.lists(
    st.one_of(
        st.tuples(st.just(Message), st.fixed_dictionaries({}, optional={"from_user_name": _KEYS})),
        st.tuples(st.just(Event), st.fixed_dictionaries({}, optional={"event": _KEYS})),
        st.tuples(
            st.just(Text),
            st.fixed_dictionaries(
                {},
                optional={"content": _KEYS, "from_user_name": _KEYS, "msg_id": st.integers(0, 2)},
            ),
        ),
        st.tuples(
            st.just(Subscribe),
            st.fixed_dictionaries({}, optional={"key": _KEYS, "scene": _SCENES, "ticket": _SCENES}),
        ),
    ),
    max_size=8,
)
_MESSAGES = st.one_of(
    st.builds(Text, content=_TEXTS, from_user_name=_TEXTS, msg_id=st.integers(0, 2)),
    st.builds(
        Subscribe,
        event_key=_TEXTS | _TEXTS.map("qrscene_{}".format),
        ticket=_TEXTS | st.none(),
        from_user_name=_TEXTS,
    ),
    st.builds(UnknownEvent, event=_TEXTS),
)


def _matches(kind: type[Message], conditions: dict[str, Any], message: Message) -> bool:
    """Say by the book whether a route takes a message."""
    if not isinstance(message, kind):
        return False
    for name, wanted in conditions.items():
        value = getattr(message, {"key": "event_key"}.get(name, name))
        if isinstance(wanted, re.Pattern):
            if not isinstance(value, str) or wanted.search(value) is None:
                return False
        elif value != wanted:
            return False
    return True


@given(_ROUTES, st.lists(_MESSAGES, min_size=1, max_size=5))
def test_the_router_finds_what_a_scan_of_all_routes_finds(
    routes: list[tuple[type[Message], dict[str, Any]]], messages: list[Message]
) -> None:
    bot = _bot(*routes)
    router = Router(bot)
    for message in messages:
        scanned = next((n for n, route in enumerate(routes) if _matches(*route, message)), None)
        assert _number(bot, router.find(message)) == scanned
