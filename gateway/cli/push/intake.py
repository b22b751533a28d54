"""How far the reading of a batch is, as it is shown: a bar, or a line now and then."""

import time
from types import TracebackType
from typing import Final, Self

import msgspec
import rich_click as click
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from gateway.cli.push.refusals import Refusals
from gateway.outbound.batches import Progress as Read

PLAIN_SECONDS: Final = 5.0
"""Between two lines, where there is no terminal."""


class Intake:
    """Counts what became of the lines, and shows it on standard error."""

    def __init__(self, size: int | None, refusals: Refusals) -> None:
        """``size`` is the file's, in bytes; None where nobody knows."""
        self._size = size
        self._refusals = refusals
        self._began = self._told_at = time.monotonic()
        self._bytes = 0
        self.queued = 0
        self.known = 0
        console = Console(stderr=True)
        self._bar = Progress(
            BarColumn(),
            DownloadColumn(),
            TextColumn("{task.description}"),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task("", total=size)

    @property
    def refused(self) -> int:
        """Lines refused."""
        return self._refusals.count

    @property
    def stored(self) -> int:
        """Lines that are in the store, by this run or one before."""
        return self.queued + self.known

    def __enter__(self) -> Self:
        """Begin to show it."""
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        """Show it no more; tell how far it came where it broke off."""
        self._bar.stop()
        if kind is not None and self.stored:
            click.echo(f"{self._told()}; then it broke off: run it again for the rest", err=True)

    def add(self, read: Read) -> None:
        """Count what was read."""
        self.queued += read.queued
        self.known += read.known
        self._bytes = read.bytes_read
        for refusal in read.refused:
            self._refusals.add(refusal)
        self._bar.update(self._task, completed=self._bytes, description=self._told())
        if self._bar.disable and time.monotonic() - self._told_at >= PLAIN_SECONDS:
            self._told_at = time.monotonic()
            of_size = f" of {self._size:,}" if self._size else ""
            click.echo(f"{self._bytes:,}{of_size} bytes: {self._told()}", err=True)

    def sum_up(self, batch: str, *, dry_run: bool, json: bool) -> None:
        """Print what became of all lines, and the first that were refused."""
        for line, errors in self._refusals.first:
            click.echo("\n".join(f"line {line:,}: {error}" for error in errors), err=True)
        if self.refused > len(self._refusals.first):
            click.echo(f"… and {self.refused - len(self._refusals.first):,} more", err=True)
        if self.refused and not dry_run:
            click.echo(f"mend them, and give the file with --name {batch}", err=True)
        if json:
            counts = {"queued": self.queued, "known": self.known, "refused": self.refused}
            first = [refusal._asdict() for refusal in self._refusals.first]
            click.echo(msgspec.json.encode({"batch": batch, **counts, "first_refused": first}))
        else:
            click.echo(f"{batch}: {self._told(would='would be ' * dry_run)}")

    def _told(self, would: str = "") -> str:
        every = self.stored + self.refused
        rate = every / max(time.monotonic() - self._began, 1e-6)
        known = f", {self.known:,} queued before" if self.known else ""
        queued = f"{self.queued:,} {would}queued{known}"
        return f"{queued}, {self.refused:,} refused; {rate:,.0f} lines/s"
