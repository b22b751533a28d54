"""What ended long ago is forgotten; what waits is not."""

import asyncio
import time
from pathlib import Path

from gateway.adapters.sqlite_job_records import SqliteRecords
from gateway.adapters.sqlite_queue import SqliteQueue
from gateway.errors import StoreDown
from gateway.outbound.jobs import State, Wanted, job_id
from gateway.outbound.pruning import prune_for_ever
from tests.contracts.jobs import claim, job, settled

DAY = 86_400.0


def test_what_is_old_and_has_ended_is_removed(tmp_path: Path) -> None:
    async def scenario() -> None:
        file = tmp_path / "gateway.db"
        queue, records = SqliteQueue(file, timeout=5), SqliteRecords(file, timeout=5)
        ended, waiting, young = (
            job(id=job_id(time.time() - 40 * DAY, b"0123456789")),
            job(id=job_id(time.time() - 40 * DAY, b"9876543210")),
            job(),
        )
        await queue.add([ended])
        (held,) = await claim(queue, "a")
        await queue.settle("a", [settled(held, State.SENT)])
        await queue.add([waiting, young])
        pruning = asyncio.create_task(prune_for_ever(records, 30 * DAY, time.time))
        while await records.count(Wanted()) == 3:
            await asyncio.sleep(0.01)
        pruning.cancel()
        assert {one.id for one in await records.find(Wanted(), 10)} == {waiting.id, young.id}
        await queue.close()
        await records.close()

    asyncio.run(asyncio.wait_for(scenario(), 20))


def test_a_store_that_is_down_is_told_of_and_ends_nothing() -> None:
    class Down:
        asked = 0

        async def prune(self, before: float) -> int:
            assert before == 1000.0 - 60.0
            self.asked += 1
            raise StoreDown("the store is down")

    async def scenario() -> None:
        down = Down()
        pruning = asyncio.create_task(prune_for_ever(down, 60.0, lambda: 1000.0))
        await asyncio.sleep(0.01)
        assert down.asked == 1
        assert not pruning.done()
        pruning.cancel()

    asyncio.run(scenario())
