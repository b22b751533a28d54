"""Which machine a result was made on."""

import os
import platform
from pathlib import Path
from typing import Any


def machine() -> dict[str, Any]:
    """Return the processor, the number of cores, whether they are virtual, the kernel."""
    told = _cpu_info()
    models = [value for name, value in told if name == "model name"]
    flags = next((value.split() for name, value in told if name == "flags"), [])
    return {
        "cpu": models[0] if models else platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "virtual": "hypervisor" in flags,
        "kernel": f"{platform.system()} {platform.release()}",
    }


def _cpu_info() -> list[tuple[str, str]]:
    """Return what Linux tells of the processors; nothing elsewhere."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return []
    pairs = (line.partition(":") for line in lines)
    return [(name.strip(), value.strip()) for name, _, value in pairs]
