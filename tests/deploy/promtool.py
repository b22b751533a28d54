"""Prometheus' own word on rules and expressions."""

import json
import subprocess
from collections.abc import Iterable
from pathlib import Path


def promtool(folder: Path, *arguments: str) -> tuple[int, str]:
    """Run promtool; return its exit code, and all that it said."""
    ran = subprocess.run(
        ["promtool", *arguments],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        check=False,
    )
    return ran.returncode, ran.stdout


def faults(expressions: Iterable[str], folder: Path) -> str:
    """Return what is wrong with the syntax of expressions; empty where nothing is."""
    recorded = [{"record": f"of:expression:{n}", "expr": one} for n, one in enumerate(expressions)]
    assert recorded
    # JSON is YAML.
    text = json.dumps({"groups": [{"name": "expressions", "rules": recorded}]})
    (folder / "expressions.yml").write_text(text, encoding="utf-8")
    code, said = promtool(folder, "check", "rules", "expressions.yml")
    return said if code else ""
