# What signature.pyx shares with signed.pyx.

cdef enum:
    PARTS = 4
    HEX_DIGEST = 40


cdef struct Part:
    const char* data
    Py_ssize_t size


cdef int sign_parts(Part* parts, unsigned char* out) except -1
cdef bint is_same_digest(const unsigned char* given, const unsigned char* expected) noexcept nogil
