"""OpenSSL's digests by address, for the compiled kernels.

hashlib fetches the algorithm and makes an object for each digest; that costs more than digesting
the 500 bytes of a callback. The functions below are OpenSSL's public ones, in the library that
Python's own ``_hashlib`` is linked to.
"""

import ctypes
from importlib.util import find_spec
from typing import NamedTuple


class DigestFunctions(NamedTuple):
    """Addresses of Init(context), Update(context, data, size) and Final(out, context)."""

    init: int
    update: int
    final: int


def find_digest(name: str) -> DigestFunctions | None:
    """Look the functions of ``SHA1`` or ``SHA256`` up; None where Python's library has them not.

    A caller must prove what it builds from them against hashlib before it relies on them.
    """
    spec = find_spec("_hashlib")
    if spec is None or spec.origin is None:
        return None
    try:
        library = ctypes.CDLL(spec.origin)
        init, update, final = (
            ctypes.cast(library[f"{name}_{step}"], ctypes.c_void_p).value
            for step in ("Init", "Update", "Final")
        )
    except (OSError, AttributeError):
        # Built in, or linked statically with its symbols hidden.
        return None
    if init is None or update is None or final is None:
        return None
    return DigestFunctions(init, update, final)
