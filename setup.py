"""Builds the compiled kernels; everything else about the package stands in pyproject.toml.

GATEWAY_NO_EXTENSIONS=1   build no extension: the pure Python twins run
GATEWAY_SANITIZE=1        build with every warning, AddressSanitizer and UBSan (see `make sanitize`)
"""

import os
import sys
from pathlib import Path

from setuptools import Extension, setup

KERNELS = ("digest", "document", "envelope", "fields", "padding", "signature", "signed", "tally")

SANITIZE = ["-O1", "-g", "-fno-omit-frame-pointer", "-fsanitize=address,undefined"]
WARNINGS = ["-Wall", "-Wextra", "-Wno-unused-parameter", "-Wno-missing-field-initializers"]


def extensions() -> list[Extension]:
    """One extension per kernel, its binary put beside its twin in gateway/kernels."""
    if os.environ.get("GATEWAY_NO_EXTENSIONS"):
        print("wechat-gateway: pure Python build, as GATEWAY_NO_EXTENSIONS says", file=sys.stderr)
        return []
    print("wechat-gateway: building the compiled kernels", file=sys.stderr)
    from Cython.Build import cythonize  # noqa: PLC0415 - a pure build goes without Cython

    sanitize = bool(os.environ.get("GATEWAY_SANITIZE"))
    windows = sys.platform == "win32"
    modules = [
        Extension(
            f"gateway.kernels._{kernel}_c",
            [f"_speedups/{kernel}.pyx"],
            depends=[str(source) for source in Path("_speedups").rglob("*.p[xy][dx]")],
            extra_compile_args=[*SANITIZE, *WARNINGS] if sanitize else [] if windows else ["-O3"],
            extra_link_args=["-fsanitize=address,undefined"] if sanitize else [],
        )
        for kernel in KERNELS
    ]
    built: list[Extension] = cythonize(
        modules,
        build_dir="build/cython",
        include_path=["_speedups"],
        compiler_directives={
            "language_level": 3,
            "boundscheck": False,
            "wraparound": False,
            "cdivision": True,
            "embedsignature": True,
        },
    )
    return built


setup(ext_modules=extensions())
