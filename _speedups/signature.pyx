# The compiled twin of gateway/kernels/_signature_py.py, whose docstrings are the contract.
#
# The SHA-1 is OpenSSL's: its functions, called by address where they are found and proved right,
# else through hashlib.
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport uint64_t, uintptr_t
from libc.string cimport memcmp, memcpy

from hashlib import sha1 as hashlib_sha1

from gateway.kernels._openssl import find_digest

cdef enum:
    DIGEST = 20


cdef inline bint before(const Part* a, const Part* b) noexcept:
    cdef int order = memcmp(a.data, b.data, min(a.size, b.size))
    return a.size < b.size if order == 0 else order < 0


cdef inline Part part_of(bytes value) noexcept:
    cdef Part part
    part.data = PyBytes_AS_STRING(value)
    part.size = PyBytes_GET_SIZE(value)
    return part


ctypedef int (*init_t)(void* context)
ctypedef int (*update_t)(void* context, const void* data, size_t size)
ctypedef int (*final_t)(unsigned char* out, void* context)

cdef init_t sha1_init = NULL
cdef update_t sha1_update = NULL
cdef final_t sha1_final = NULL


cdef int digest_parts(const Part* parts, unsigned char* digest) except -1:
    """Write the 20 bytes of the SHA-1 over the parts, one behind the other."""
    # OpenSSL's SHA_CTX (openssl/sha.h: five words, a length, a block, a count) has 96 bytes; this
    # is twice as much.
    cdef uint64_t[24] context
    cdef bytes joined
    cdef int i
    if sha1_init is not NULL:
        sha1_init(context)
        for i in range(PARTS):
            sha1_update(context, parts[i].data, parts[i].size)
        sha1_final(digest, context)
        return 0
    joined = b"".join([parts[i].data[:parts[i].size] for i in range(PARTS)])
    memcpy(digest, PyBytes_AS_STRING(hashlib_sha1(joined).digest()), DIGEST)
    return 0


cdef int find_sha1() except -1:
    """Take OpenSSL's functions if they digest as hashlib does; else leave them alone."""
    global sha1_init, sha1_update, sha1_final
    cdef unsigned char[DIGEST] digest
    cdef bytes sample = bytes(range(200))
    cdef Part[PARTS] parts
    cdef int i
    found = find_digest("SHA1")
    if found is None:
        return 0
    sha1_init = <init_t><uintptr_t>found.init
    sha1_update = <update_t><uintptr_t>found.update
    sha1_final = <final_t><uintptr_t>found.final
    for i in range(PARTS):
        parts[i] = part_of(sample)
    digest_parts(parts, digest)
    if hashlib_sha1(sample * PARTS).digest() != digest[:DIGEST]:
        sha1_init = NULL
    return 0


find_sha1()


cdef inline void write_hex(const unsigned char* digest, unsigned char* out) noexcept nogil:
    cdef const char* digits = "0123456789abcdef"
    cdef int i
    for i in range(DIGEST):
        out[2 * i] = digits[digest[i] >> 4]
        out[2 * i + 1] = digits[digest[i] & 15]


cdef int sign_parts(Part* parts, unsigned char* out) except -1:
    """Sort the parts; write the 40 hex digits of the SHA-1 over them."""
    cdef unsigned char[DIGEST] digest
    cdef Part moving
    cdef int i, k
    for i in range(1, PARTS):
        moving = parts[i]
        k = i
        while k > 0 and before(&moving, &parts[k - 1]):
            parts[k] = parts[k - 1]
            k -= 1
        parts[k] = moving
    digest_parts(parts, digest)
    write_hex(digest, out)
    return 0


cdef bint is_same_digest(const unsigned char* given, const unsigned char* expected) noexcept nogil:
    """Compare two hex digests in time that does not depend on them."""
    cdef unsigned char differ = 0
    cdef int i
    for i in range(HEX_DIGEST):
        differ |= given[i] ^ expected[i]
    return differ == 0


cdef inline void fill(Part* parts, bytes token, bytes timestamp, bytes nonce,
                      bytes encrypt) noexcept:
    parts[0] = part_of(token)
    parts[1] = part_of(timestamp)
    parts[2] = part_of(nonce)
    parts[3] = part_of(encrypt)


def sign(token: bytes, timestamp: bytes, nonce: bytes, encrypt: bytes = b"") -> bytes:
    cdef Part[PARTS] parts
    cdef bytes signature = PyBytes_FromStringAndSize(NULL, HEX_DIGEST)
    fill(parts, token, timestamp, nonce, encrypt)
    sign_parts(parts, <unsigned char*>PyBytes_AS_STRING(signature))
    return signature


def signature_matches(
    signature: bytes, token: bytes, timestamp: bytes, nonce: bytes, encrypt: bytes = b""
) -> bool:
    cdef Part[PARTS] parts
    cdef unsigned char[HEX_DIGEST] expected
    if PyBytes_GET_SIZE(signature) != HEX_DIGEST:
        return False
    fill(parts, token, timestamp, nonce, encrypt)
    sign_parts(parts, expected)
    return is_same_digest(<const unsigned char*>PyBytes_AS_STRING(signature), expected)
