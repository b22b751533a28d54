"""What a person does with dead letters: puts them back into their lanes, or throws them away."""

from collections.abc import AsyncIterator, Sequence
from hashlib import blake2b
from typing import Final

from gateway.inbound.claims import Put
from gateway.inbound.ports import DeadLetter, DeadLetters, Store, Wanted

BATCH: Final = 128
"""Letters moved at a time; progress is told after each."""


async def retry(store: Store, dead_letters: DeadLetters, wanted: Wanted) -> AsyncIterator[int]:
    """Put the letters that are meant back into their lanes; yield how many are done, in between.

    Each is in its lane before it is no dead letter any more: one that is interrupted there is in
    both for a while, and the next try does not put it back twice.
    """
    done = 0
    while letters := await dead_letters.find(wanted, BATCH):
        await store.commit([_put(letter) for letter in letters])
        await dead_letters.remove(_ids(letters))
        done += len(letters)
        yield done


async def discard(dead_letters: DeadLetters, wanted: Wanted) -> AsyncIterator[int]:
    """Remove the letters that are meant; yield how many are gone, in between."""
    done = 0
    while letters := await dead_letters.find(wanted, BATCH):
        await dead_letters.remove(_ids(letters))
        done += len(letters)
        yield done


def _ids(letters: Sequence[DeadLetter]) -> list[str]:
    return [letter.id for letter in letters]


def _put(letter: DeadLetter) -> Put:
    burial = f"{letter.id}\0{letter.buried_at!r}".encode()
    return Put(blake2b(burial, digest_size=16).digest(), (letter.entry,))
