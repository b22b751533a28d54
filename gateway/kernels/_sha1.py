"""OpenSSL's SHA-1 by address, for the compiled signature kernel.

hashlib fetches the algorithm and makes an object for each digest; that costs more than digesting
the 500 bytes of a callback. The functions below are OpenSSL's public ones, in the library that
Python's own ``_hashlib`` is linked to.
"""

import ctypes
from importlib.util import find_spec
from typing import NamedTuple


class Sha1Functions(NamedTuple):
    """Addresses: SHA1_Init(context), SHA1_Update(context, data, size), SHA1_Final(out, context)."""

    init: int
    update: int
    final: int


def find_sha1_functions() -> Sha1Functions | None:
    """Look OpenSSL's functions up; None where Python is not linked to a library that has them.

    A caller must prove what it builds from them against hashlib before it relies on them.
    """
    spec = find_spec("_hashlib")
    if spec is None or spec.origin is None:
        return None
    try:
        library = ctypes.CDLL(spec.origin)
        init, update, final = (
            ctypes.cast(library[name], ctypes.c_void_p).value
            for name in ("SHA1_Init", "SHA1_Update", "SHA1_Final")
        )
    except (OSError, AttributeError):
        # Built in, or linked statically with its symbols hidden.
        return None
    if init is None or update is None or final is None:
        return None
    return Sha1Functions(init, update, final)
