"""The whole pure path over bodies that grow."""

from collections.abc import Sequence
from functools import partial
from typing import Final

from wechatpy.crypto import WeChatCrypto

from bench.growth.clock import Side, microseconds
from bench.growth.path import (
    callback_with,
    check_echo,
    gateway_path,
    kernels,
    wechatpy_path,
)
from bench.growth.scale import Scale
from bench.growth.section import Cells, Picture, Row, Section, find, lines_of, sizes_of, spread
from gateway.simulator.sealing import Callback
from tests.support import AES_KEY, APP_ID, TOKEN, load_kernels, make_account, make_sender

SIDES: Final = ("compiled", "pure", "wechatpy")
_PHRASE: Final = "几点关门? 想预约周六 😀👍🏻 order no. 8841 "
_KIB: Final = 1024
_MIB: Final = 1 << 20


def measure(scale: Scale) -> list[Row]:
    """Measure each size on every side, all of them in turns."""
    sides: dict[tuple[int, str], Side] = {}
    for kib in scale.body_kib:
        content = content_for(round(kib * _KIB))
        callback = callback_with(make_sender(), content)
        for name, side in _sides(callback).items():
            _check(side, content)
            sides[len(callback.body), name] = side
    return [
        {
            "body_bytes": size,
            "side": name,
            "us": us._asdict(),
            "mib_per_second": size / _MIB / (us.median / 1e6),
        }
        for (size, name), us in microseconds(sides, scale).items()
    ]


def _sides(callback: Callback) -> dict[str, Side]:
    return {
        **{name: _gateway(name, callback) for name in ("compiled", "pure")},
        "wechatpy": Side(wechatpy_path(_crypto(), callback)),
    }


def _check(side: Side, content: str) -> None:
    with side.around():
        reply = side.call()
    check_echo(_crypto(), reply if isinstance(reply, bytes) else str(reply).encode(), content)


def _crypto() -> WeChatCrypto:
    return WeChatCrypto(TOKEN, AES_KEY, APP_ID)


def _gateway(name: str, callback: Callback) -> Side:
    account = make_account(load_kernels(name), timestamp_window=600)
    answer = partial(gateway_path(), account, callback.query.encode(), callback.body)
    return Side(answer, partial(kernels, name))


def content_for(size: int) -> str:
    """Return a text whose callback has a body of about so many bytes; not under an empty one's."""
    empty = len(callback_with(make_sender(), "").body)
    # Base64 makes four bytes of three.
    wanted = max(3, (size - empty) * 3 // 4)
    repeated = _PHRASE * (wanted // len(_PHRASE.encode()) + 1)
    return repeated.encode()[:wanted].decode(errors="ignore")


def _headings(_rows: Sequence[Row]) -> Cells:
    return ("body KiB", *(f"{side} us" for side in SIDES), *(f"{side} MiB/s" for side in SIDES))


def _cells(rows: Sequence[Row]) -> list[Cells]:
    table = []
    for size in sizes_of(rows, "body_bytes"):
        found = [row for side in SIDES if (row := find(rows, body_bytes=size, side=side))]
        times = [spread(row).show(1) for row in found]
        rates = [f"{row['mib_per_second']:,.0f}" for row in found]
        table.append((f"{size / _KIB:.1f}", *times, *rates))
    return table


def _picture(rows: Sequence[Row]) -> Picture:
    in_kib = [row | {"kib": row["body_bytes"] / _KIB} for row in rows]
    return Picture(
        "whole path over the size of the body", "body, KiB", "us", lines_of(in_kib, "kib", "side")
    )


BODIES: Final = Section(
    "bodies",
    "the whole pure path over bodies of more and more bytes",
    measure,
    _headings,
    _cells,
    _picture,
    (
        "A body is a sealed text; the sealed echo, about as long, is part of the path.",
        "0.5 KiB is a text of one character: ids, seal and base64 alone take that much.",
    ),
)
