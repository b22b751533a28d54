"""Handlers of events: what `bot.on_event` takes, and that each gets what it asked for."""

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest

from gateway import Bot, BotError, CloudEvent, Text, TextReply
from gateway.adapters.memory import MemoryStore
from gateway.inbound.bot import EventRoute
from gateway.inbound.claims import Entry
from gateway.inbound.consumer import Never
from gateway.inbound.event_handlers import EventHandler
from gateway.inbound.ingest import HandlerFailed
from gateway.inbound.ports import Taken
from gateway.inbound.runtime import Inbound
from gateway.protocol.cloudevents import TYPES, encode
from tests.inbound.whole import make_inbound, play, sent
from tests.support import NOW

EVENT: Final = CloudEvent(
    specversion="1.0",
    id="00ff",
    source="/events/billing",
    type="command/stop",
    datacontenttype="application/json",
    data={"amount": [1, 2.5, None]},
)


async def first(event: CloudEvent) -> None:
    """Take an event."""


async def second(event: CloudEvent) -> None:
    """Take an event."""


async def third(event: CloudEvent) -> None:
    """Take an event."""


def _names(routes: list[EventRoute]) -> list[str]:
    return [route.name.rpartition(".")[2] for route in routes]


class TestPatterns:
    """Which events a handler may ask for."""

    @pytest.mark.parametrize(
        "patterns",
        [
            ("*",),
            ("user.*",),
            ("message.text",),
            ("event.unknown", "user.subscribed"),
            ("command/transfer",),
            ("command/*",),
            ("a/b/c.d",),
        ],
        ids=str,
    )
    def test_a_type_that_there_may_be_is_taken(self, patterns: tuple[str, ...]) -> None:
        bot = Bot()
        assert bot.on_event(*patterns)(first) is first
        ((name, types, _),) = bot.event_routes()
        assert (name, types) == (f"{__name__}.first", patterns)

    @pytest.mark.parametrize(
        "pattern",
        [
            *("", "user", "user.", "user.gone", "Text", "nothing.*", "*.text", "user.* "),
            *(
                "command/",
                "/stop",
                "/*",
                "command/a b",
                "command//stop",
                "命令/停",
                "a/" + 127 * "b",
            ),
        ],
    )
    def test_a_type_that_no_event_is_of_is_refused(self, pattern: str) -> None:
        with pytest.raises(BotError) as wrong:
            Bot().on_event("message.text", pattern)
        assert str(wrong.value) == (
            f"bot.on_event({pattern!r}): no event is of such a type; write user.*, FAMILY/NAME for "
            f"another producer's, or one of: {', '.join(sorted(TYPES.values()))}"
        )

    def test_no_type_at_all_is_refused(self) -> None:
        with pytest.raises(BotError, match=r"^bot\.on_event\(''\): no event is of such a type"):
            Bot().on_event()

    def test_a_function_that_takes_no_event_is_refused(self) -> None:
        async def nothing() -> None: ...

        with pytest.raises(BotError, match=r"nothing: too many positional .*; take \(event\)$"):
            Bot().on_event("*")(nothing)


class TestNames:
    """An event waits for its handler by the function's name, so a name is one handler's."""

    SAID: Final = f"bot.on_event: {__name__}.first handles events already; rename one"

    @staticmethod
    def _twice() -> None:
        bot = Bot()
        bot.on_event("user.*")(first)
        bot.on_event("message.*")(first)

    @staticmethod
    def _in_an_included_bot() -> None:
        outer, middle, inner = Bot(), Bot(), Bot()
        outer.include(middle)
        middle.include(inner)
        inner.on_event("user.*")(first)
        outer.on_event("user.*")(first)

    @staticmethod
    def _in_a_bot_that_is_included() -> None:
        outer, inner = Bot(), Bot()
        for bot in (outer, inner):
            bot.on_event("user.*")(first)
        outer.include(inner)

    @pytest.mark.parametrize("take", [_twice, _in_an_included_bot, _in_a_bot_that_is_included])
    def test_a_name_that_is_taken_is_refused(self, take: Callable[[], None]) -> None:
        with pytest.raises(BotError) as wrong:
            take()
        assert str(wrong.value) == self.SAID

    def test_what_is_refused_is_not_registered(self) -> None:
        outer, inner = Bot(), Bot()
        inner.on(Text)(lambda _message: "inner")
        for bot in (outer, inner):
            bot.on_event("user.*")(first)
        with pytest.raises(BotError):
            outer.include(inner)
        with pytest.raises(BotError):
            outer.on_event("message.*")(first)
        assert [route.types for route in outer.event_routes()] == [("user.*",)]
        assert (outer.included(), outer.routes()) == ([], [])


class TestIncluding:
    """Handlers of bots in bots."""

    def test_handlers_of_included_bots_are_there_however_deep(self) -> None:
        outer, middle, inner = Bot(), Bot(), Bot()
        inner.on_event("user.*")(third)
        middle.include(inner)
        outer.include(middle)
        outer.on_event("user.*")(first)
        middle.on_event("user.*")(second)
        assert _names(outer.event_routes()) == ["first", "second", "third"]
        assert _names(inner.event_routes()) == ["third"]

    def test_a_watcher_is_told_of_what_comes_from_then_on(self) -> None:
        seen: list[EventRoute] = []
        outer, middle, inner = Bot(), Bot(), Bot()
        outer.include(middle)
        outer.on_event("*")(first)
        outer.watch(seen.append)
        assert seen == []
        inner.on_event("user.*")(second)
        middle.include(inner)
        assert _names(seen) == ["second"]
        inner.on_event("user.*")(third)
        assert _names(seen) == ["second", "third"]
        assert seen[1].types == ("user.*",)

    def test_all_watchers_are_told(self) -> None:
        """A bot may be in two others, each of which somebody watches."""
        shared = Bot()
        told: list[list[EventRoute]] = [[], []]
        for seen in told:
            outer = Bot()
            outer.include(shared)
            outer.watch(seen.append)
        shared.on_event("*")(first)
        assert [_names(seen) for seen in told] == [["first"], ["first"]]


class TestHandling:
    """One entry of a handler's lane."""

    @staticmethod
    def _handle(function: Any, body: bytes) -> tuple[Entry, ...]:
        taken = Taken("1", Entry("event.first", "", "command/stop", body), 1, NOW)
        return asyncio.run(EventHandler(function).handle(taken))

    @pytest.mark.parametrize("returned", [None, "text", TextReply("x"), 42], ids=repr)
    def test_it_gets_the_event_and_what_it_returns_is_nobodys(self, returned: Any) -> None:
        seen: list[CloudEvent] = []

        async def handle(event: CloudEvent) -> Any:
            seen.append(event)
            return returned

        assert self._handle(handle, encode(EVENT)) == ()
        assert seen == [EVENT]

    @pytest.mark.parametrize(
        "body",
        [b"", b"{", b"null", b"{}", encode(EVENT)[:-1], encode(EVENT).replace(b"1.0", b"2.0")],
        ids=repr,
    )
    def test_what_is_no_event_never_will_be(self, body: bytes) -> None:
        called: list[CloudEvent] = []
        with pytest.raises(Never) as never:
            self._handle(called.append, body)
        assert never.value.reason == "unserialisable: it cannot be written as JSON"
        assert called == []

    def test_its_failure_is_for_the_consumer_to_try_again(self) -> None:
        async def fails(event: CloudEvent) -> None:
            raise LookupError(event.id)

        with pytest.raises(LookupError, match="00ff"):
            self._handle(fails, encode(EVENT))


class Seen:
    """A handler that notes the data of its events."""

    def __init__(self) -> None:
        self.data: list[Any] = []

    async def __call__(self, event: CloudEvent) -> None:
        self.data.append(event.data)

    async def until(self, *data: Any) -> None:
        """Wait for these."""
        while self.data != [*data]:
            await asyncio.sleep(0.002)


async def take(inbound: Inbound, type_: str, number: int) -> int:
    """Let an event arrive; return how many it is for."""
    taken = await inbound.intake.take(sent(f"{number}", type_, b"%d" % number))
    return taken.subscribers


class TestRunning:
    """A gateway whose bot has handlers of events."""

    def test_each_handler_gets_the_events_that_it_asked_for(self, tmp_path: Path) -> None:
        async def scenario() -> None:
            bot, inner, seen, others = Bot(), Bot(), Seen(), Seen()
            bot.include(inner)
            bot.on_event("command/*")(seen)

            @inner.on_event("command/go", "other/*")
            async def included(event: CloudEvent) -> None:
                await others(event)

            inbound = make_inbound(tmp_path, bot)
            await inbound.start()
            types = ("command/stop", "command/go", "other/thing", "nobodys/thing")
            assert [await take(inbound, t, n) for n, t in enumerate(types)] == [1, 2, 1, 0]
            await seen.until(0, 1)
            await others.until(1, 2)
            await inbound.stop()

        play(scenario)

    def test_a_plain_function_is_a_handler_too(self, tmp_path: Path) -> None:
        async def scenario() -> None:
            bot, threads = Bot(), []

            @bot.on_event("command/*")
            def plain(event: CloudEvent) -> None:
                threads.append((event.data, threading.current_thread()))

            inbound = make_inbound(tmp_path, bot)
            await inbound.start()
            await take(inbound, "command/stop", 7)
            while not threads:
                await asyncio.sleep(0.002)
            ((data, thread),) = threads
            assert data == 7
            assert thread is not threading.current_thread()
            await inbound.stop()

        play(scenario)

    @pytest.mark.parametrize("where", ["loop", "thread"])
    @pytest.mark.parametrize("included", [False, True], ids=["by itself", "in an included bot"])
    def test_a_handler_that_is_registered_behind_the_start_gets_what_comes_then(
        self, tmp_path: Path, included: bool, where: str
    ) -> None:
        async def scenario() -> None:
            bot, inner, seen = Bot(), Bot(), Seen()
            bot.include(inner)
            inbound = make_inbound(tmp_path, bot)
            await inbound.start()
            assert await take(inbound, "command/stop", 1) == 0
            register = (inner if included else bot).on_event("command/*")
            if where == "loop":
                register(seen)
            else:
                await asyncio.to_thread(register, seen)
            # It is subscribed by the loop, in its turn.
            await asyncio.sleep(0)
            assert await take(inbound, "command/stop", 2) == 1
            await seen.until(2)
            await inbound.stop()

        play(scenario)

    def test_a_bot_that_is_included_behind_the_start_brings_its_handlers(
        self, tmp_path: Path
    ) -> None:
        async def scenario() -> None:
            bot, late, seen = Bot(), Bot(), Seen()
            late.on_event("command/*")(seen)
            inbound = make_inbound(tmp_path, bot)
            await inbound.start()
            bot.include(late)
            await asyncio.sleep(0)
            assert await take(inbound, "command/stop", 1) == 1
            await seen.until(1)
            await inbound.stop()

        play(scenario)

    def test_a_handler_that_is_registered_between_making_and_start_gets_all(
        self, tmp_path: Path
    ) -> None:
        async def scenario() -> None:
            bot, seen = Bot(), Seen()
            inbound = make_inbound(tmp_path, bot)
            bot.on_event("command/*")(seen)
            await inbound.start()
            assert await take(inbound, "command/stop", 1) == 1
            await seen.until(1)
            await inbound.stop()

        play(scenario)

    @pytest.mark.parametrize("late", [False, True], ids=["before", "behind the start"])
    def test_where_handling_is_left_to_workers_events_wait_for_them(
        self, tmp_path: Path, late: bool
    ) -> None:
        async def scenario() -> None:
            bot, seen, store = Bot(), Seen(), MemoryStore(60)
            server = make_inbound(tmp_path, bot, store, concurrency=0)
            if late:
                await server.start()
            bot.on_event("command/*")(seen)
            if not late:
                await server.start()
            await asyncio.sleep(0)
            assert await take(server, "command/stop", 1) == 1
            (lane,) = await store.lanes()
            assert (lane.lane, lane.waiting) == (f"event.{__name__}.Seen", 1)
            await server.stop()
            worker = make_inbound(tmp_path, bot, store)
            await worker.start()
            await seen.until(1)
            await worker.stop()

        play(scenario)


@pytest.mark.parametrize("instant", ["one moment", "", TextReply("one moment")], ids=repr)
def test_an_instant_answer_without_background_is_refused(instant: Any) -> None:
    with pytest.raises(BotError) as wrong:
        Bot().on(Text, content="x", instant=instant)
    assert str(wrong.value) == "bot.on(Text, instant=…): only with background=True"


@pytest.mark.parametrize(
    ("instant", "answered"), [("one moment", TextReply("one moment")), ("", None), (None, None)]
)
def test_with_background_it_is_what_the_user_is_answered_first(
    instant: str | None, answered: TextReply | None
) -> None:
    bot = Bot()
    bot.on(Text, background=True, instant=instant)(lambda _message: "later")
    (route,) = bot.routes()
    assert (route.background, route.instant) == (True, answered)


def test_a_name_that_an_outer_bot_has_is_refused_in_an_inner_one_too() -> None:
    outer, inner = Bot(), Bot()
    outer.include(inner)
    outer.on_event("*")(first)
    with pytest.raises(BotError, match="handles events already; rename one"):
        inner.on_event("*")(first)
    assert inner.event_routes() == []


def test_a_decorator_without_patterns_says_how_it_is_written() -> None:
    with pytest.raises(BotError, match=r"@bot\.on_event\(\"user\.\*\"\)"):
        Bot().on_event(first)  # type: ignore[arg-type]  # what an author may write


def test_a_handler_that_ends_the_process_fails_alone() -> None:
    """sys.exit() went through the event loop, and with it the gateway."""

    async def leave(_event: CloudEvent) -> None:
        raise SystemExit

    taken = Taken("1", Entry("event.leave", "", EVENT.type, encode(EVENT)), 1, NOW)
    with pytest.raises(HandlerFailed):
        asyncio.run(EventHandler(leave).handle(taken))
