# The compiled twin of gateway/kernels/_signature_py.py, whose docstrings are the contract.
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.string cimport memcmp, memcpy

from hashlib import sha1 as _sha1

cdef object sha1 = _sha1

cdef enum:
    PARTS = 4
    DIGEST = 20


cdef struct Part:
    const char* data
    Py_ssize_t size


cdef inline bint before(const Part* a, const Part* b) noexcept:
    cdef int order = memcmp(a.data, b.data, min(a.size, b.size))
    return a.size < b.size if order == 0 else order < 0


cdef inline Part part_of(bytes value) noexcept:
    cdef Part part
    part.data = PyBytes_AS_STRING(value)
    part.size = PyBytes_GET_SIZE(value)
    return part


cdef bytes digest_of(bytes token, bytes timestamp, bytes nonce, bytes encrypt):
    """The 20 bytes of the SHA-1 over the sorted parts."""
    cdef Part[PARTS] parts
    cdef Part moving
    cdef int i, k
    cdef Py_ssize_t total = 0
    cdef bytes joined
    cdef char* out
    parts[0] = part_of(token)
    parts[1] = part_of(timestamp)
    parts[2] = part_of(nonce)
    parts[3] = part_of(encrypt)
    for i in range(PARTS):
        total += parts[i].size
        moving = parts[i]
        k = i
        while k > 0 and before(&moving, &parts[k - 1]):
            parts[k] = parts[k - 1]
            k -= 1
        parts[k] = moving
    joined = PyBytes_FromStringAndSize(NULL, total)
    out = PyBytes_AS_STRING(joined)
    for i in range(PARTS):
        memcpy(out, parts[i].data, parts[i].size)
        out += parts[i].size
    return sha1(joined).digest()


cdef inline void write_hex(const unsigned char* digest, unsigned char* out) noexcept:
    cdef const char* digits = "0123456789abcdef"
    cdef int i
    for i in range(DIGEST):
        out[2 * i] = digits[digest[i] >> 4]
        out[2 * i + 1] = digits[digest[i] & 15]


def sign(token: bytes, timestamp: bytes, nonce: bytes, encrypt: bytes = b"") -> bytes:
    cdef bytes digest = digest_of(token, timestamp, nonce, encrypt)
    cdef bytes signature = PyBytes_FromStringAndSize(NULL, 2 * DIGEST)
    write_hex(<const unsigned char*>PyBytes_AS_STRING(digest),
              <unsigned char*>PyBytes_AS_STRING(signature))
    return signature


def signature_matches(
    signature: bytes, token: bytes, timestamp: bytes, nonce: bytes, encrypt: bytes = b""
) -> bool:
    cdef bytes digest = digest_of(token, timestamp, nonce, encrypt)
    cdef unsigned char[2 * DIGEST] expected
    cdef const unsigned char* given = <const unsigned char*>PyBytes_AS_STRING(signature)
    cdef unsigned char differ = 0
    cdef int i
    if PyBytes_GET_SIZE(signature) != 2 * DIGEST:
        return False
    write_hex(<const unsigned char*>PyBytes_AS_STRING(digest), expected)
    for i in range(2 * DIGEST):
        differ |= given[i] ^ expected[i]
    return differ == 0
