"""A person is forgotten in every store, their identities last."""

import time
from pathlib import Path

import pytest

from gateway.errors import StoreDown
from gateway.identity.erasing import BeingSent, Elsewhere, Erased, Eraser, Holdings
from gateway.identity.forgotten import Forgotten
from gateway.identity.people import AppUser, Sighting
from gateway.identity.places import Places
from gateway.identity.ports import Secret
from gateway.identity.syncing import checkpoint_name
from gateway.outbound.jobs import Wanted
from tests.identity.keeping import (
    ACCOUNTS,
    GONE,
    IN_GONE,
    IN_MINI,
    IN_SHOP,
    OTHER,
    SHOP,
    UNION,
    Keeping,
    play,
)

Place = tuple[str, str]


class Kept:
    """Something that has open ids in it; it may be down."""

    def __init__(self, **counts: int) -> None:
        """``counts`` has how much there is of the shop's user, by account."""
        self.of = {(account, IN_SHOP.open_id): n for account, n in counts.items()}
        self.of["shop", OTHER.open_id] = 7
        self.asked: list[Place] = []
        self.is_down = False
        self.is_held = False
        """Whether a worker has one of those of the shop."""

    async def count(self, wanted: Wanted) -> int:
        """Count."""
        assert wanted.account is not None
        assert wanted.to is not None
        return self.of.get((wanted.account, wanted.to), 0)

    async def of_user(self, account: str, open_id: str, limit: int) -> list[int]:
        """Find."""
        return [0] * min(limit, self.of.get((account, open_id), 0))

    async def erase(self, account: str, open_id: str) -> int:
        """Forget."""
        if self.is_down:
            raise StoreDown("it is down")
        self.asked.append((account, open_id))
        if self.is_held and account == "shop":
            self.of[account, open_id], erased = 1, self.of[account, open_id] - 1
            return erased
        return self.of.pop((account, open_id), 0)


class Side:
    """What is kept elsewhere, and the eraser of it all."""

    def __init__(self, one: Keeping) -> None:
        self.messages, self.callbacks = Kept(shop=3, outlet=1), Kept(shop=1500)
        self.letters = Kept(outlet=2)
        elsewhere = Elsewhere(self.messages, self.callbacks, self.letters)
        self.eraser = Eraser(
            one.store, one.sessions, elsewhere, Places(ACCOUNTS), Forgotten(one.store, time.time)
        )


def test_all_that_is_kept_is_counted_and_then_gone_and_nothing_else(tmp_path: Path) -> None:
    async def scenario(one: Keeping) -> None:
        side, person = Side(one), await one.somebody()
        await one.store.keep_secret(Secret(IN_MINI, "phone", b"sealed", time.time() + 60))
        assert await side.eraser.look(person) == Holdings(3, 1, 1, 1, 1, 2, 4, 1000)
        assert side.eraser.unknown_apps(person) == [GONE.app_id]
        assert await side.eraser.erase(person.id) == Erased(3, 2, 4, 1500, 2)
        for user in (IN_SHOP, IN_MINI, IN_GONE):
            assert await one.store.owner(user) is None
        assert await one.store.bearer(UNION) is None
        assert not await one.store.secrets([IN_MINI])
        assert not await one.sessions.of([person.id, *person.former_ids])
        assert not await one.store.merges(10)
        assert await one.store.owner(OTHER) is not None
        for kept in (side.messages, side.callbacks, side.letters):
            assert kept.of == {("shop", OTHER.open_id): 7}
            places = [("shop", IN_SHOP), ("outlet", IN_SHOP), ("mini", IN_MINI)]
            assert sorted(kept.asked) == sorted((name, user.open_id) for name, user in places)

    play(tmp_path, scenario)


def test_nobody_is_none_and_a_former_id_is_somebody(tmp_path: Path) -> None:
    async def scenario(one: Keeping) -> None:
        side, person = Side(one), await one.somebody()
        (former,) = person.former_ids
        assert await side.eraser.erase("nobody") is None
        assert not side.messages.asked
        erased = await side.eraser.erase(former)
        assert erased is not None
        assert erased.identities == 3
        assert await side.eraser.erase(person.id) is None

    play(tmp_path, scenario)


@pytest.mark.parametrize("down", ["messages", "callbacks", "letters"])
def test_a_run_that_broke_off_can_be_repeated(tmp_path: Path, down: str) -> None:
    async def scenario(one: Keeping) -> None:
        side, person = Side(one), await one.somebody()
        kept: Kept = getattr(side, down)
        kept.is_down = True
        with pytest.raises(StoreDown):
            await side.eraser.erase(person.id)
        # It is known still whose the rest is.
        assert await one.store.person(person.id) is not None
        kept.is_down = False
        assert await side.eraser.erase(person.id) is not None
        for store in (side.messages, side.callbacks, side.letters):
            assert store.of == {("shop", OTHER.open_id): 7}
        assert await one.store.person(person.id) is None

    play(tmp_path, scenario)


def test_what_becomes_theirs_while_they_are_erased_goes_too(tmp_path: Path) -> None:
    async def scenario(one: Keeping) -> None:
        person = await one.somebody()

        class Meanwhile(Kept):
            async def erase(self, account: str, open_id: str) -> int:
                if not self.asked:
                    now = time.time()
                    await one.store.see([Sighting(OTHER, SHOP.platform, now, UNION)])
                    (identity,) = person.identities[:1]
                    await one.sessions.open(SHOP, person, identity)
                return await super().erase(account, open_id)

        side = Side(one)
        letters = Meanwhile()
        elsewhere = Elsewhere(side.messages, side.callbacks, letters)
        eraser = Eraser(
            one.store, one.sessions, elsewhere, Places(ACCOUNTS), Forgotten(one.store, time.time)
        )
        assert await eraser.erase(person.id) == Erased(4, 3, 4 + 7, 1500 + 7, 7)
        assert await one.store.owner(OTHER) is None
        assert not side.messages.of
        assert not await one.sessions.of([person.id])

    play(tmp_path, scenario)


def test_where_a_backfill_was_broken_off_is_forgotten_where_that_names_them(
    tmp_path: Path,
) -> None:
    async def scenario(one: Keeping) -> None:
        side, person = Side(one), await one.somebody()
        of = {"shop": IN_SHOP, "outlet": OTHER, "mini": AppUser("wx", "oNobody")}
        for account, user in of.items():
            noted = f'{{"page":"{user.open_id}"}}'.encode()
            await one.store.note_checkpoint(checkpoint_name(account), noted)
        await side.eraser.erase(person.id)
        kept = {name: await one.store.checkpoint(checkpoint_name(name)) for name in of}
        assert kept["shop"] is None
        assert kept["outlet"]
        assert kept["mini"]

    play(tmp_path, scenario)


def test_a_message_that_is_being_sent_keeps_it_known_whose_it_is(tmp_path: Path) -> None:
    async def scenario(one: Keeping) -> None:
        side, person = Side(one), await one.somebody()
        side.messages.is_held = True
        with pytest.raises(BeingSent, match="being sent to them at this moment: 1; erase"):
            await side.eraser.erase(person.id)
        assert await one.store.person(person.id) is not None
        side.messages.is_held = False
        assert await side.eraser.erase(person.id) == Erased(3, 0, 1, 0, 0)

    play(tmp_path, scenario)
