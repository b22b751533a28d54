"""Figures beside those of the baseline, and what a gate makes of them."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Final, NamedTuple

import msgspec

from bench import table


class Figure(msgspec.Struct, frozen=True):
    """A figure of the baseline, or of a run."""

    row: str
    """The step."""
    what: str
    """What is told of it: ``wechatpy/compiled``, ``instructions, pure``."""
    value: float
    gated: bool = True
    """Whether it is steady enough to be held to the baseline."""
    spread: float | None = None
    """By what share the baseline's runs differ, the least and the most of them left out."""


class Gate(NamedTuple):
    """How far a kind of figure may fall behind the baseline."""

    limit: float
    """A share of the baseline's figure."""
    more_is_worse: bool

    def loss(self, was: float, now: float) -> float:
        """Return the share of the baseline's figure by which this one is worse."""
        return now / was - 1 if self.more_is_worse else 1 - now / was


RATIOS: Final = Gate(0.20, more_is_worse=False)
INSTRUCTIONS: Final = Gate(0.10, more_is_worse=True)


class State(StrEnum):
    """What a gate makes of a figure."""

    HELD = "held"
    LOST = "LOST"
    MISSING = "MISSING"
    """The baseline has it, the run has not."""
    NEW = "NOT IN THE BASELINE"
    NOT_GATED = "not gated"
    NOT_COMPARABLE = "not comparable"
    """It was counted where other code runs than where the baseline was."""


_FAILED: Final = (State.LOST, State.MISSING, State.NEW)


class Finding(NamedTuple):
    """A figure beside the baseline's."""

    row: str
    what: str
    was: float | None
    now: float | None
    state: State
    limit: float
    """The share of the baseline's figure that it may lose."""
    spread: float | None = None
    """The baseline's."""

    @property
    def failed(self) -> bool:
        """Tell whether the gate is shut."""
        return self.state in _FAILED

    @property
    def change(self) -> str:
        """Return by how much it changed, in percent."""
        if not self.was or self.now is None:
            return "-"
        return f"{100 * (self.now / self.was - 1):+.1f} %"

    def cells(self) -> tuple[str, ...]:
        """Return the row of the table, as under its headings."""
        return (
            self.row,
            self.what,
            _written(self.was),
            "-" if self.spread is None else f"{100 * self.spread:.1f} %",
            _written(self.now),
            self.change,
            self.state,
        )

    def why(self) -> str:
        """Say what is wrong and what to do about it."""
        figure = f"{self.row}, {self.what}"
        match self.state:
            case State.NEW:
                return f"{figure}: is not in the baseline: {RENEW}"
            case State.MISSING:
                return (
                    f"{figure}: is in the baseline, but was not measured; if it is gone for good: "
                    f"{RENEW}"
                )
            case _:
                was, now = (_written(value) for value in (self.was, self.now))
                return (
                    f"{figure}: was {was}, is {now}: {self.change}, worse by more than the "
                    f"{100 * self.limit:.0f} % allowed; if it is meant: {RENEW}"
                )


RENEW: Final = 'make bench-baseline REASON="..."'
"""How the baseline is renewed."""


def compare(was: Sequence[Figure], now: Sequence[Figure], gate: Gate) -> list[Finding]:
    """Return a finding for each figure of the baseline, then for each that is not in it."""
    measured = {(one.row, one.what): one for one in now}
    findings = []
    for old in was:
        new = measured.pop((old.row, old.what), None)
        value = None if new is None else new.value
        findings.append(
            Finding(
                old.row,
                old.what,
                old.value,
                value,
                _state(old, value, gate),
                gate.limit,
                old.spread,
            )
        )
    return findings + [
        Finding(new.row, new.what, None, new.value, State.NEW, gate.limit)
        for new in measured.values()
    ]


def _state(old: Figure, value: float | None, gate: Gate) -> State:
    if value is None:
        return State.MISSING
    if not old.gated:
        return State.NOT_GATED
    return State.LOST if gate.loss(old.value, value) > gate.limit else State.HELD


def not_comparable(findings: Sequence[Finding]) -> list[Finding]:
    """Return findings whose figures are shown, and hold nothing up."""
    return [one._replace(state=State.NOT_COMPARABLE) for one in findings]


_HEADINGS: Final = ("row", "figure", "was", "spread", "is", "change", "gate")


def show(findings: Sequence[Finding]) -> None:
    """Print the findings as a table."""
    table.show(_HEADINGS, [one.cells() for one in findings])


def verdict(findings: Sequence[Finding]) -> list[str]:
    """Return a line for each gate that is shut, and the last line."""
    failed = [one for one in findings if one.failed]
    held = sum(one.state is State.HELD for one in findings)
    last = f"gates: {len(failed) or 'none'} failed, {held} held"
    return [*(one.why() for one in failed), last]


def _written(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if value >= 1000 else f"{value:.2f}"
