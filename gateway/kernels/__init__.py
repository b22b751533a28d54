"""The hot path's kernels: bytes in, bytes out, each compiled or in pure Python.

The choice is made once, here. Pure Python is chosen by ``GATEWAY_NO_EXTENSIONS=1`` or taken where
the compiled modules were not built; one that is there but does not load is an error, never a
silent slow path.
"""

import os
from typing import TYPE_CHECKING, Literal

from gateway.kernels._document_py import elements, legal
from gateway.kernels._fields_py import Fields
from gateway.kernels._query import Query, parse_query

NO_EXTENSIONS = bool(os.environ.get("GATEWAY_NO_EXTENSIONS"))
"""Whether pure Python was asked for; the same switch turns the build of the extensions off."""

IMPLEMENTATION: Literal["compiled", "pure"]
"""Which kernels run: logged at start, shown by health and by ``gateway doctor``."""

if TYPE_CHECKING or NO_EXTENSIONS:
    from gateway.kernels._digest_py import digest_of
    from gateway.kernels._document_py import write_reply
    from gateway.kernels._envelope_py import EnvelopeCipher
    from gateway.kernels._fields_py import extract, text_of
    from gateway.kernels._signature_py import sign, signature_matches
    from gateway.kernels._signed_py import open_signed, seal_signed
    from gateway.kernels._tally_py import Tally

    IMPLEMENTATION = "pure"
else:
    try:
        from gateway.kernels._digest_c import digest_of
        from gateway.kernels._document_c import write_reply
        from gateway.kernels._envelope_c import EnvelopeCipher
        from gateway.kernels._fields_c import extract, text_of
        from gateway.kernels._signature_c import sign, signature_matches
        from gateway.kernels._signed_c import open_signed, seal_signed
        from gateway.kernels._tally_c import Tally

        IMPLEMENTATION = "compiled"
    except ModuleNotFoundError as missing:
        if not (missing.name or "").startswith("gateway.kernels."):
            raise
        from gateway.kernels._digest_py import digest_of
        from gateway.kernels._document_py import write_reply
        from gateway.kernels._envelope_py import EnvelopeCipher
        from gateway.kernels._fields_py import extract, text_of
        from gateway.kernels._signature_py import sign, signature_matches
        from gateway.kernels._signed_py import open_signed, seal_signed
        from gateway.kernels._tally_py import Tally

        IMPLEMENTATION = "pure"

__all__ = [
    "IMPLEMENTATION",
    "NO_EXTENSIONS",
    "EnvelopeCipher",
    "Fields",
    "Query",
    "Tally",
    "digest_of",
    "elements",
    "extract",
    "legal",
    "open_signed",
    "parse_query",
    "seal_signed",
    "sign",
    "signature_matches",
    "text_of",
    "write_reply",
]
