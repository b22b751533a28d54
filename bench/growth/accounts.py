"""The whole pure path over accounts that grow in number, each with a key and token of its own."""

from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import cycle
from random import Random
from typing import Final

from wechatpy.crypto import WeChatCrypto

from bench.growth.clock import Side, microseconds
from bench.growth.path import callback_with, check_echo, gateway_path, kernels
from bench.growth.scale import Scale
from bench.growth.section import Cells, Picture, Row, Section, find, lines_of, sizes_of, spread
from gateway.protocol.account import Account, decode_aes_key
from tests.support import load_kernels, make_account, make_sender

SIDES: Final = ("compiled", "pure")
_SEED: Final = 20

Message = tuple[str, bytes, bytes]
"""The account's name, the raw query, the body."""


def measure(scale: Scale) -> list[Row]:
    """Measure each number of accounts on both sides, all of them in turns."""
    sides: dict[tuple[int, str], Side] = {}
    for count in scale.accounts:
        names = [f"account{number}" for number in range(count)]
        messages = _messages(names, scale.messages)
        sides |= {(count, side): _side(side, names, messages) for side in SIDES}
    # A run meets every message, and thereby every account, at least once.
    timed = microseconds(sides, scale, least_calls=scale.messages)
    return [
        {"accounts": count, "side": side, "us": us._asdict()} for (count, side), us in timed.items()
    ]


def _messages(names: Sequence[str], count: int) -> list[Message]:
    """Return distinct messages, one account's after the other's."""
    messages = []
    for number in range(count):
        name = names[number % len(names)]
        sender = make_sender(
            app_id=_app_id(name), token=_token(name), aes_key=decode_aes_key(_key(name))
        )
        callback = callback_with(sender, f"message {number}")
        messages.append((name, callback.query.encode(), callback.body))
    return messages


def _side(side: str, names: Sequence[str], messages: Sequence[Message]) -> Side:
    chosen = load_kernels(side)
    accounts = {
        name: make_account(
            chosen,
            name=name,
            app_id=_app_id(name),
            tokens=(_token(name),),
            encoding_aes_key=_key(name),
            timestamp_window=600,
        )
        for name in names
    }
    with kernels(side):
        _check(accounts, messages)
    return Side(_next_of(accounts, messages), partial(kernels, side))


def _next_of(accounts: Mapping[str, Account], messages: Sequence[Message]) -> Callable[[], object]:
    """Return what answers the messages in turn, its account looked up by name first."""
    coming, answer = cycle(messages), gateway_path()

    def answer_next() -> bytes:
        name, query, body = next(coming)
        return answer(accounts[name], query, body)

    return answer_next


def _check(accounts: Mapping[str, Account], messages: Sequence[Message]) -> None:
    """Raise WrongResult unless the first and the last message are answered by their accounts."""
    for number in (0, len(messages) - 1):
        name, query, body = messages[number]
        crypto = WeChatCrypto(_token(name).decode(), _key(name), _app_id(name))
        check_echo(crypto, gateway_path()(accounts[name], query, body), f"message {number}")


def _app_id(name: str) -> str:
    return f"wx{name}"


def _token(name: str) -> bytes:
    return f"token-of-{name}".encode()


def _key(name: str) -> str:
    random = Random(f"{_SEED} {name}")  # noqa: S311 - the same each time, and no secret
    return b64encode(random.randbytes(32)).decode()[:43]


def _headings(_rows: Sequence[Row]) -> Cells:
    return ("accounts", *(f"{side} us" for side in SIDES))


def _cells(rows: Sequence[Row]) -> list[Cells]:
    return [
        (
            f"{count:,}",
            *(
                spread(row).show(1)
                for side in SIDES
                if (row := find(rows, accounts=count, side=side))
            ),
        )
        for count in sizes_of(rows, "accounts")
    ]


def _picture(rows: Sequence[Row]) -> Picture:
    return Picture(
        "whole path over the number of accounts",
        "accounts",
        "us",
        lines_of(rows, "accounts", "side"),
    )


ACCOUNTS: Final = Section(
    "accounts",
    "the whole pure path over more and more accounts, messages to each in turn",
    measure,
    _headings,
    _cells,
    _picture,
    (
        "As many distinct messages in each row, one account's after the other's, so that what a",
        "processor remembers of an account is as cold as it is in life.",
        "The account is looked up by its name, as the endpoint does.",
    ),
)
