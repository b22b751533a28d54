# The query string of a callback, for signed.pyx; parse_query in gateway/kernels/_query.py in C.
from libc.stdint cimport uint8_t
from libc.string cimport memchr, memcmp


cdef enum:
    MAX_QUERY = 4096


cdef struct Value:
    const uint8_t* data
    Py_ssize_t size


cdef struct Parameters:
    Value timestamp
    Value nonce
    Value msg_signature


cdef inline int hex_digit(uint8_t letter) noexcept nogil:
    if c'0' <= letter <= c'9':
        return letter - c'0'
    if c'a' <= (letter | 32) <= c'f':
        return (letter | 32) - c'a' + 10
    return -1


cdef inline Py_ssize_t unescape(const uint8_t* text, Py_ssize_t size, uint8_t* out) noexcept nogil:
    """Resolve %XX; the bytes written. What is no escape stays as it is."""
    cdef Py_ssize_t i = 0, written = 0
    while i < size:
        if (text[i] == c'%' and i + 2 < size and hex_digit(text[i + 1]) >= 0
                and hex_digit(text[i + 2]) >= 0):
            out[written] = <uint8_t>(hex_digit(text[i + 1]) << 4 | hex_digit(text[i + 2]))
            i += 3
        else:
            out[written] = text[i]
            i += 1
        written += 1
    return written


cdef inline int platform_parameter(const uint8_t* name, Py_ssize_t size) noexcept nogil:
    """The number of one of the platform's parameters; -1 for any other."""
    if size == 5 and memcmp(name, b"nonce", 5) == 0:
        return 0
    if size == 6 and memcmp(name, b"openid", 6) == 0:
        return 1
    if size == 7 and memcmp(name, b"echostr", 7) == 0:
        return 2
    if size == 9 and memcmp(name, b"timestamp", 9) == 0:
        return 3
    if size == 9 and memcmp(name, b"signature", 9) == 0:
        return 4
    if size == 12 and memcmp(name, b"encrypt_type", 12) == 0:
        return 5
    if size == 13 and memcmp(name, b"msg_signature", 13) == 0:
        return 6
    return -1


cdef inline bint find_parameters(const uint8_t* raw, Py_ssize_t size, uint8_t* space,
                                 Parameters* found) noexcept nogil:
    """Find what verifies a sealed callback, empty where it is not there; False for a query that is
    refused. ``space`` holds what had escapes: MAX_QUERY bytes."""
    cdef const uint8_t* at = raw
    cdef const uint8_t* end = raw + size
    cdef const uint8_t* pair_end
    cdef const uint8_t* equals
    cdef Value name, value
    cdef Value[7] values
    cdef unsigned int seen = 0
    cdef bint escaped
    cdef int i
    if size > MAX_QUERY:
        return False
    escaped = memchr(raw, c'%', size) is not NULL
    for i in range(7):
        values[i].data = raw
        values[i].size = 0
    while at <= end:
        pair_end = <const uint8_t*>memchr(at, c'&', end - at)
        if pair_end is NULL:
            pair_end = end
        equals = <const uint8_t*>memchr(at, c'=', pair_end - at)
        name.data = at
        name.size = (pair_end if equals is NULL else equals) - at
        value.data = pair_end if equals is NULL else equals + 1
        value.size = pair_end - value.data
        if escaped:
            name.size = unescape(name.data, name.size, space)
            name.data = space
            space += name.size
            value.size = unescape(value.data, value.size, space)
            value.data = space
            space += value.size
        i = platform_parameter(name.data, name.size)
        if i >= 0:
            if seen >> i & 1:
                return False
            seen |= 1u << i
            values[i] = value
        at = pair_end + 1
    found.nonce = values[0]
    found.timestamp = values[3]
    found.msg_signature = values[6]
    return True
