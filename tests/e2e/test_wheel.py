"""What `pip install` would install: the binaries beside their twins, and no sources of theirs."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.e2e.server import ROOT

KERNELS = {"digest", "document", "envelope", "fields", "padding", "signature", "signed", "tally"}


def _build(folder: Path, **environment: str) -> zipfile.ZipFile:
    """Build a wheel of a copy of what git would ship."""
    source = folder / "source"
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--",
         "gateway", "_speedups", "pyproject.toml", "setup.py", "README.md", "LICENSE"],
        cwd=ROOT, capture_output=True, check=True, text=True,
    )  # fmt: skip
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            target = source / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes((ROOT / name).read_bytes())
    # Several compilers at once.
    options = folder / "options.cfg"
    options.write_text(f"[build_ext]\nparallel = {os.cpu_count() or 1}\n")
    environment["DIST_EXTRA_CONFIG"] = str(options)
    clean = {k: v for k, v in os.environ.items() if k != "GATEWAY_NO_EXTENSIONS"}
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation",
         "-w", str(folder), str(source)],
        env=clean | environment, check=True, capture_output=True,
    )  # fmt: skip
    (wheel,) = folder.glob("*.whl")
    return zipfile.ZipFile(wheel)


@pytest.mark.parametrize(
    "pure", [pytest.param(False, marks=pytest.mark.compiled), True], ids=["compiled", "pure"]
)
def test_a_wheel_holds_the_kernels_and_nothing_it_should_not(tmp_path: Path, pure: bool) -> None:
    environment = {"GATEWAY_NO_EXTENSIONS": "1"} if pure else {}
    with _build(tmp_path, **environment) as wheel:
        names = set(wheel.namelist())
    binaries = {n for n in names if n.endswith((".so", ".pyd"))}
    found = {Path(n).name.split(".")[0] for n in binaries}
    assert found == (set() if pure else {f"_{kernel}_c" for kernel in KERNELS})
    assert all(n.startswith("gateway/kernels/") for n in binaries)
    for kernel in KERNELS:
        assert f"gateway/kernels/_{kernel}_py.py" in names
    assert "gateway/py.typed" in names
    assert not [n for n in names if n.endswith((".pyx", ".pxd", ".c"))]
    assert {n.split("/")[0].split("-")[0] for n in names} == {"gateway", "wechat_gateway"}
