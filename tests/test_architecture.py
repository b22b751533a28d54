"""The layers: what may import what, read from the source."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[1]

MAY_IMPORT: Final = {
    "errors": "",
    "backoff": "",
    "kernels": "errors",
    "protocol": "errors kernels",
    "outbound": "errors backoff protocol telemetry",
    "identity": "errors backoff protocol outbound telemetry",
    "inbound": "errors backoff kernels protocol outbound identity telemetry",
    "adapters": "errors protocol inbound outbound identity telemetry",
    "http": "errors kernels protocol inbound outbound identity telemetry",
    "simulator": "errors kernels protocol",
    "telemetry": "kernels",
    "settings": "errors protocol",
    "app": (
        "errors kernels protocol inbound outbound identity adapters http settings telemetry gateway"
    ),
    "cli": (
        "errors kernels protocol inbound outbound identity simulator settings telemetry app gateway"
    ),
    # What a bot's author imports, the bot that comes along, and the command's entrance.
    "gateway": "errors protocol inbound",
    "api": "outbound",
    "web": "http identity",
    "demo": "gateway web",
    "__main__": "cli",
}
"""The parts of the package, and the others that each may import, beside itself."""

IMPURE: Final = frozenset(
    "asyncio os time random logging socket litestar granian aiohttp".split()  # noqa: SIM905
)
"""What the protocol does without: it is bytes in, bytes out."""

MODULES: Final = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted((ROOT / "gateway").rglob("*.py"))
}


def _part(module: str) -> str:
    return module.partition(".")[2].partition(".")[0] or "gateway"


@cache
def _imports(module: str) -> frozenset[str]:
    """Return the modules that a module names in its imports, wherever they stand."""
    return frozenset(_imported(ast.parse(MODULES[module].read_text(encoding="utf-8"))))


def _imported(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            assert node.module is not None
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            yield from (name if name in MODULES else node.module for name in names)


def _of_the_package(module: str) -> set[str]:
    # A compiled kernel has no source here; whoever imports it is in its own folder.
    return {name for name in _imports(module) if name in MODULES and name != module}


def test_every_part_has_its_place() -> None:
    assert {_part(module) for module in MODULES} == set(MAY_IMPORT)


@pytest.mark.parametrize("module", MODULES)
def test_imports_go_in_one_direction(module: str) -> None:
    part = _part(module)
    imported = {_part(name) for name in _of_the_package(module)} - {part}
    assert imported <= set(MAY_IMPORT[part].split())


def test_only_the_composition_root_builds_adapters() -> None:
    # gateway.web has names of http's for authors, and makes nothing.
    for adapter, others in (("http", {"app", "web"}), ("adapters", {"app"})):
        users = {_part(m) for m in MODULES for name in _of_the_package(m) if _part(name) == adapter}
        assert users - {adapter} == others


@pytest.mark.parametrize("module", [m for m in MODULES if _part(m) in ("protocol", "kernels")])
def test_the_protocol_does_nothing_but_compute(module: str) -> None:
    imported = {name.partition(".")[0] for name in _imports(module)}
    # The kernels' switch is an environment variable, read once.
    allowed = {"os"} if module == "gateway.kernels" else set()
    assert not imported & IMPURE - allowed


def test_servers_and_frameworks_stay_where_they_are_used() -> None:
    users = {
        library: {
            _part(m) for m in MODULES for name in _imports(m) if name.split(".")[0] == library
        }
        for library in (
            *("litestar", "granian", "aiohttp", "rich_click", "pydantic_settings"),
            *(
                "redis",
                "asyncpg",
                "msgpack",
                "standardwebhooks",
                "sqlite3",
                "uvloop",
                "jinja2",
                "jwt",
                "structlog",
            ),
        )
    }
    assert users == {
        "litestar": {"app", "http", "demo"},
        "granian": {"cli", "http"},
        "aiohttp": {"simulator", "cli", "adapters", "http"},
        "rich_click": {"cli"},
        "pydantic_settings": {"settings"},
        "redis": {"adapters"},
        "asyncpg": {"adapters"},
        "msgpack": {"adapters"},
        "standardwebhooks": {"adapters", "http"},
        "sqlite3": {"adapters"},
        "uvloop": {"app", "cli"},
        "jinja2": {"outbound"},
        "jwt": {"identity"},
        "structlog": {"telemetry"},
    }


def test_no_module_imports_itself_around_others() -> None:
    graph = {module: _of_the_package(module) for module in MODULES}
    assert set(TopologicalSorter(graph).static_order()) == set(MODULES)


@pytest.mark.parametrize("part", sorted(MAY_IMPORT))
def test_each_part_can_be_imported_first(part: str) -> None:
    """In an interpreter of its own, so that nothing that came before can help."""
    modules = [m for m in MODULES if _part(m) == part and m != "gateway.__main__"]
    program = f"import importlib; [importlib.import_module(m) for m in {modules}]"
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        capture_output=True,
        encoding="utf-8",
        check=False,
        timeout=60,
    )
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")


def test_each_kernel_is_there_twice() -> None:
    # AES is in neither: it is pycryptodome's, under both envelopes.
    twins = {path.name.removesuffix("_py.py") for path in ROOT.glob("gateway/kernels/_*_py.py")}
    sources = {f"_{path.stem}" for path in ROOT.glob("_speedups/*.pyx")}
    assert twins == sources
    assert len(twins) == 8
