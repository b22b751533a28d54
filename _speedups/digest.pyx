# The compiled twin of gateway/kernels/_digest_py.py, whose docstrings are the contract.
#
# The SHA-256 is OpenSSL's: its functions, called by address where they are found and proved right,
# else the twin does the work.
from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.stdint cimport uint64_t, uintptr_t

from gateway.kernels import _digest_py
from gateway.kernels._openssl import find_digest

cdef extern from "Python.h":
    const char* PyUnicode_AsUTF8AndSize(object text, Py_ssize_t* size) except NULL

cdef enum:
    DIGEST = 32
    SHOWN = 16

ctypedef int (*init_t)(void* context)
ctypedef int (*update_t)(void* context, const void* data, size_t size)
ctypedef int (*final_t)(unsigned char* out, void* context)

cdef init_t sha256_init = NULL
cdef update_t sha256_update = NULL
cdef final_t sha256_final = NULL


cdef bytes digest(tuple parts):
    # OpenSSL's SHA256_CTX (openssl/sha.h: eight words, a length, a block, two counts) has 112 bytes;
    # this is twice as much.
    cdef uint64_t[28] context
    cdef unsigned char[DIGEST] out
    cdef Py_ssize_t size = 0
    cdef const char* data
    sha256_init(context)
    for part in parts:
        data = PyUnicode_AsUTF8AndSize(part, &size)
        sha256_update(context, b"\x1f", 1)
        sha256_update(context, data, size)
    sha256_final(out, context)
    return PyBytes_FromStringAndSize(<char*>out, SHOWN)


cdef int find_sha256() except -1:
    """Take OpenSSL's functions if they digest as the twin does; else leave them alone."""
    global sha256_init, sha256_update, sha256_final
    cdef tuple sample = ("x" * 100, "", "\u4f60\U0001f600")
    found = find_digest("SHA256")
    if found is None:
        return 0
    sha256_init = <init_t><uintptr_t>found.init
    sha256_update = <update_t><uintptr_t>found.update
    sha256_final = <final_t><uintptr_t>found.final
    if digest(sample) != _digest_py.digest_of(sample):
        sha256_init = NULL
    return 0


find_sha256()


def digest_of(parts: tuple) -> bytes:
    if sha256_init is NULL:
        return _digest_py.digest_of(parts)
    try:
        return digest(parts)
    except (TypeError, UnicodeEncodeError):
        # What is no text, or a lone half of a surrogate pair.
        return _digest_py.digest_of(parts)
