"""Samples of a process's stack, as `perf script` tells them."""

import re
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

FIELDS: Final = "comm,pid,tid,time,event,ip,sym,dso"
"""What perf is asked for; a sample is a head and a line for each frame, then an empty line."""

UNKNOWN: Final = "[unknown]"
"""perf's word for a symbol, or an object, that it cannot find."""

_FRAME: Final = re.compile(
    r"^\s+[0-9a-f]+\s+(?P<symbol>.*?)\s+\((?P<object>(?:[^()]|\([^()]*\))*)\)\s*$"
)


class Frame(NamedTuple):
    """One function of a stack."""

    symbol: str
    object: str
    """The file that holds it; in brackets what is none: `[kernel.kallsyms]`, `[vdso]`."""

    @property
    def in_linux(self) -> bool:
        """Whether it is Linux's own, or one of its modules'."""
        return self.object.startswith("[") and self.object not in _NO_KERNEL


_NO_KERNEL: Final = frozenset((UNKNOWN, "[vdso]", "[vsyscall]", "[heap]", "[stack]", "[anon]"))

Stack = tuple[Frame, ...]
"""Of one sample: what ran, what called it, and so on, as far as that could be told."""


def read_samples(lines: Iterable[str]) -> Iterator[Stack]:
    """Yield the stack of each sample."""
    frames: list[Frame] = []
    begun = False
    for line in lines:
        if not line.strip():
            if begun:
                yield tuple(frames) or (Frame(UNKNOWN, UNKNOWN),)
            frames, begun = [], False
        elif found := _FRAME.match(line):
            frames.append(Frame(found["symbol"], found["object"]))
        else:
            begun = True
    if begun:
        yield tuple(frames) or (Frame(UNKNOWN, UNKNOWN),)
