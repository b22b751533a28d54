"""Coroutines begun without a task behave as in one, whether or not they wait."""

import asyncio
import gc
from collections.abc import Awaitable, Callable, Coroutine
from contextvars import ContextVar
from typing import Any

import pytest
import uvloop

from gateway.http.eager import Eager
from gateway.inbound.parking import Parking

Body = Callable[[], Coroutine[Any, Any, None]]
Begin = Callable[[Body], None]

NAME: ContextVar[str] = ContextVar("name", default="nobody")


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def play(request: pytest.FixtureRequest) -> Callable[[Callable[[Begin], Awaitable[None]]], None]:
    """Runs a scenario, which begins coroutines as callbacks of the loop do."""

    async def run(scenario: Callable[[Begin], Awaitable[None]]) -> None:
        loop = asyncio.get_running_loop()
        failures: list[dict[str, Any]] = []
        loop.set_exception_handler(lambda _loop, context: failures.append(context))
        eager = Eager(loop)
        loop.call_soon(eager.begin, _nothing())
        await _turns()
        try:
            await scenario(lambda body: loop.call_soon(lambda: eager.begin(body())))  # type: ignore[arg-type]  # the handle is not needed
        finally:
            eager.close()
            await _turns()
        assert failures == []

    def play(scenario: Callable[[Begin], Awaitable[None]]) -> None:
        with asyncio.Runner(loop_factory=request.param, debug=True) as runner:
            runner.run(run(scenario))

    return play


async def _nothing() -> None:
    """Do nothing."""


async def _turns(count: int = 5) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


def test_what_does_not_wait_is_done_in_the_turn_in_which_it_began(play: Any) -> None:
    async def scenario(begin: Begin) -> None:
        done: list[int] = []

        async def body() -> None:
            done.append(len(done))

        for _ in range(3):
            begin(body)
        await asyncio.sleep(0)
        assert done == [0, 1, 2]

    play(scenario)


def test_what_does_not_wait_shares_a_task_and_what_waits_has_one_of_its_own(play: Any) -> None:
    async def scenario(begin: Begin) -> None:
        tasks: dict[str, list[Any]] = {"at once": [], "waits": []}

        async def at_once() -> None:
            tasks["at once"].append(asyncio.current_task())

        async def waits() -> None:
            before = asyncio.current_task()
            await asyncio.sleep(0.01)
            assert asyncio.current_task() is before
            tasks["waits"].append(before)

        for body in (at_once, waits, waits, at_once, waits, at_once):
            begin(body)
            await _turns(1)
        await asyncio.sleep(0.05)
        assert None not in tasks["at once"] + tasks["waits"]
        assert len(set(tasks["waits"])) == 3

    play(scenario)


def test_each_has_a_context_of_its_own_and_keeps_it_while_it_waits(play: Any) -> None:
    async def scenario(begin: Begin) -> None:
        seen: list[tuple[str, str]] = []

        def body(name: str, waits: Callable[[], Awaitable[Any]]) -> Body:
            async def run() -> None:
                before = NAME.get()
                token = NAME.set(name)
                await waits()
                seen.append((before, NAME.get()))
                # The same context, not a copy of it: else this would raise.
                NAME.reset(token)

            return run

        async def at_once() -> None:
            return None

        ways = [at_once, lambda: asyncio.sleep(0), lambda: asyncio.sleep(0.01)]
        expected = []
        for number in range(9):
            begin(body(f"{number}", ways[number % 3]))
            expected.append(("nobody", f"{number}"))
        await asyncio.sleep(0.05)
        assert sorted(seen) == expected

    play(scenario)


@pytest.mark.parametrize("spare", [True, False], ids=["with a spare", "in a task"])
def test_a_timeout_made_in_the_first_step_ends_what_waits(play: Any, spare: bool) -> None:
    async def scenario(begin: Begin) -> None:
        ended: list[str] = []

        async def body() -> None:
            try:
                async with asyncio.timeout(0.01):
                    await asyncio.sleep(60)
            except TimeoutError:
                ended.append("in time")
            await asyncio.sleep(0)
            task = asyncio.current_task()
            assert task is not None
            assert task.cancelling() == 0

        if not spare:
            begin(_wait_a_little)
        begin(body)
        await asyncio.sleep(0.1)
        assert ended == ["in time"]

    play(scenario)


async def _wait_a_little() -> None:
    await asyncio.sleep(0.02)


def test_a_timeout_that_is_over_at_once_ends_what_waits(play: Any) -> None:
    """The spare is told so before it knows what it is to go on with."""

    async def scenario(begin: Begin) -> None:
        ended: list[str] = []

        async def body() -> None:
            for waits in (asyncio.sleep(60), asyncio.sleep(0), _future()):
                try:
                    async with asyncio.timeout(0):
                        await waits
                        await asyncio.sleep(60)
                except TimeoutError:
                    ended.append("in time")

        begin(body)
        await asyncio.sleep(0.1)
        assert ended == ["in time"] * 3

    play(scenario)


async def _future() -> None:
    await asyncio.get_running_loop().create_future()


@pytest.mark.parametrize("waits", [0.0, 60.0])
def test_what_cancels_itself_in_its_first_step_is_cancelled_where_it_waits(
    play: Any, waits: float
) -> None:
    async def scenario(begin: Begin) -> None:
        ended: list[str] = []

        async def body() -> None:
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
            try:
                await asyncio.sleep(waits)
            except asyncio.CancelledError:
                ended.append("cancelled")
                raise

        begin(body)
        await _turns()
        assert ended == ["cancelled"]
        # The next one has a task that nobody cancelled.
        begin(_note(ended))
        await _turns()
        assert ended == ["cancelled", "done"]

    play(scenario)


def _note(ended: list[str]) -> Body:
    async def body() -> None:
        await asyncio.sleep(0)
        ended.append("done")

    return body


def test_what_cancels_itself_and_does_not_wait_harms_nobody_after_it(play: Any) -> None:
    async def scenario(begin: Begin) -> None:
        ended: list[str] = []

        async def body() -> None:
            task = asyncio.current_task()
            assert task is not None
            task.cancel()

        for _ in range(3):
            begin(body)
            begin(_note(ended))
            await _turns(7)
        assert ended == ["done"] * 3

    play(scenario)


def test_tasks_started_within_are_joined_as_in_a_task(play: Any) -> None:
    async def scenario(begin: Begin) -> None:
        results: list[int] = []

        async def body() -> None:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(asyncio.sleep(0.01, n)) for n in range(3)]
            results.extend(task.result() for task in tasks)
            assert await asyncio.to_thread(lambda: 7) == 7
            results.append(7)

        begin(body)
        await asyncio.sleep(0.2)
        assert results == [0, 1, 2, 7]

    play(scenario)


def test_what_is_thrown_into_a_wait_is_the_coroutines_to_handle(play: Any) -> None:
    async def scenario(begin: Begin) -> None:
        futures: list[asyncio.Future[None]] = []
        seen: list[str] = []

        async def body() -> None:
            for _ in range(3):
                futures.append(asyncio.get_running_loop().create_future())
                try:
                    await futures[-1]
                except LookupError as error:
                    seen.append(repr(error))

        begin(body)
        for number in range(3):
            await _turns()
            futures[number].set_exception(LookupError(number))
        await _turns()
        assert seen == ["LookupError(0)", "LookupError(1)", "LookupError(2)"]

    play(scenario)


@pytest.mark.parametrize("waits", [False, True], ids=["at once", "in its task"])
def test_what_fails_is_logged_without_its_words_and_the_next_one_runs(
    play: Any, waits: bool, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario(begin: Begin) -> None:
        async def fails() -> None:
            if waits:
                await asyncio.sleep(0)
            raise LookupError("SECRET")

        ended: list[str] = []
        begin(fails)
        begin(_note(ended))
        await _turns(8)
        assert ended == ["done"]

    play(scenario)
    (line,) = [r.getMessage() for r in caplog.records if r.name == "gateway.callback"]
    assert line.startswith("callback failed error=LookupError at=")
    assert "SECRET" not in caplog.text


def test_no_coroutine_leaves_a_reference_cycle(play: Any) -> None:
    """Whether it waited or not: cycles hold whole messages until a collection."""

    async def scenario(begin: Begin) -> None:
        async def waits() -> None:
            await asyncio.sleep(0)
            try:
                async with asyncio.timeout(0.001):
                    await asyncio.sleep(60)
            except TimeoutError:
                return

        for body in (waits, _nothing) * 3:
            begin(body)
            await _turns(3)
        await asyncio.sleep(0.02)
        gc.collect()
        gc.disable()
        try:
            for _ in range(20):
                begin(_nothing)
                begin(_plain_wait)
                await _turns(4)
            await asyncio.sleep(0.02)
            assert gc.collect() == 0
        finally:
            gc.enable()

    play(scenario)


async def _plain_wait() -> None:
    await asyncio.sleep(0)
    await asyncio.sleep(0.001)


def test_what_is_parked_goes_on_with_its_batch_in_its_own_context(play: Any) -> None:
    async def scenario(begin: Begin) -> None:
        parked: list[Parking[int]] = []
        seen: list[tuple[str, Any]] = []

        def body(name: str) -> Body:
            async def run() -> None:
                token = NAME.set(name)
                parked.append(Parking())
                try:
                    value: Any = await parked[-1]
                except LookupError as error:
                    value = repr(error)
                assert asyncio.current_task() is not None
                NAME.reset(token)
                seen.append((name, value))
                async with asyncio.timeout(5):
                    await asyncio.sleep(0.001)
                seen.append((name, "waited"))

            return run

        for name in "abc":
            begin(body(name))
        await _turns(2)
        tasks = len(asyncio.all_tasks())
        assert seen == []
        assert all(each.is_parked for each in parked)
        asyncio.get_running_loop().call_soon(_resume_all, parked)
        await asyncio.sleep(0)
        assert seen == [("a", 0)]
        await asyncio.sleep(0.05)
        assert sorted(seen, key=str) == [
            ("a", "waited"),
            ("a", 0),
            ("b", "LookupError(1)"),
            ("b", "waited"),
            ("c", "waited"),
            ("c", 2),
        ]
        assert len(asyncio.all_tasks()) <= tasks + 1

    play(scenario)


def _resume_all(parked: list[Parking[int]]) -> None:
    for number, each in enumerate(parked):
        if number == 1:
            each.set_exception(LookupError(number))
        else:
            each.set_result(number)
        each.go_on()


def test_what_is_parked_within_a_task_is_a_future_like_any_other() -> None:
    async def run() -> int:
        parking: Parking[int] = Parking()
        asyncio.get_running_loop().call_soon(parking.set_result, 7)
        value = await parking
        assert not parking.is_parked
        return value

    assert asyncio.run(run()) == 7
