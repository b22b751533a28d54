"""Whether `gateway tail` looks on by now."""

from pathlib import Path


def looked_on(folder: Path) -> int:
    """Return how often the processes of a gateway in a folder are looked on at."""
    table = Path("/proc/net/unix").read_text("utf-8")
    # An accepted connection has the path of its socket's listener; that has the flag of one.
    lines = [line.split() for line in table.splitlines() if "tail/" in line]
    names = {path.stem for path in (folder / "var" / "tail").glob("*.sock")}
    return sum(line[3] != "00010000" and Path(line[7]).stem in names for line in lines)
