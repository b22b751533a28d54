# The compiled twin of gateway/kernels/_signed_py.py, whose docstrings are the contract.
#
# One pass over the query and the sealed text: no dictionary of parameters, and no bytes object for
# anything but what is returned.
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.math cimport fabs
from libc.stdint cimport uint8_t, uint64_t
from libc.stdio cimport snprintf
from libc.stdlib cimport free, malloc
from libc.string cimport memcmp, memcpy

from gateway.kernels._envelope_c cimport (
    EnvelopeCipher,
    Frame,
    refusal,
    sealed_size,
    write_head,
)
from gateway.kernels._signature_c cimport (
    HEX_DIGEST,
    PARTS,
    Part,
    is_same_digest,
    sign_parts,
)
from padding cimport PAD_BLOCK
from query cimport MAX_QUERY, Parameters, Value, find_parameters

cdef enum:
    ON_STACK = 4096
    AES_BLOCK = 16
    HEAD = 20
    MAX_DIGITS = 20

cdef const char* XML_ENCRYPT = "<xml><Encrypt><![CDATA["
cdef const char* XML_SIGNATURE = "]]></Encrypt><MsgSignature><![CDATA["
cdef const char* XML_TIMESTAMP = "]]></MsgSignature><TimeStamp>"
cdef const char* XML_NONCE = "</TimeStamp><Nonce><![CDATA["
cdef const char* XML_END = "]]></Nonce></xml>"


cdef inline Part part_of(const void* data, Py_ssize_t size) noexcept nogil:
    cdef Part part
    part.data = <const char*>data
    part.size = size
    return part


cdef bint is_timely(Value timestamp, double window, double now) noexcept nogil:
    """Tell whether a timestamp is a number within the window of ``now``."""
    cdef uint64_t seconds = 0
    cdef Py_ssize_t i
    if timestamp.size > MAX_DIGITS:
        return False
    for i in range(timestamp.size):
        if not c'0' <= timestamp.data[i] <= c'9':
            return False
        if seconds > 1000000000000000000ULL:
            # As far off as a number of 20 digits: beyond every window.
            continue
        seconds = seconds * 10 + (timestamp.data[i] - c'0')
    return fabs(<double>seconds - now) <= window


cdef bytes token_of(tuple tokens, Parameters* found, bytes encrypt):
    """The token that signed, or None."""
    cdef Part[PARTS] parts
    cdef unsigned char[HEX_DIGEST] expected
    cdef bytes token
    if found.msg_signature.size != HEX_DIGEST:
        return None
    for token in tokens:
        parts[0] = part_of(PyBytes_AS_STRING(token), PyBytes_GET_SIZE(token))
        parts[1] = part_of(found.timestamp.data, found.timestamp.size)
        parts[2] = part_of(found.nonce.data, found.nonce.size)
        parts[3] = part_of(PyBytes_AS_STRING(encrypt), PyBytes_GET_SIZE(encrypt))
        sign_parts(parts, expected)
        if is_same_digest(found.msg_signature.data, expected):
            return token
    return None


cdef tuple opened_by(tuple ciphers, bytes encrypt, bytes app_id, uint8_t* space):
    """The message and the cipher that opened it for this app id."""
    cdef const uint8_t* text = <const uint8_t*>PyBytes_AS_STRING(encrypt)
    cdef Py_ssize_t size = PyBytes_GET_SIZE(encrypt)
    cdef EnvelopeCipher cipher
    cdef Frame frame
    cdef object first = None
    cdef int wrong
    for cipher in ciphers:
        wrong = cipher.open_text(text, size, space, &frame)
        if wrong:
            if first is None:
                first = refusal(wrong)
        elif (frame.receiver_id_size == PyBytes_GET_SIZE(app_id)
              and memcmp(frame.receiver_id, PyBytes_AS_STRING(app_id), frame.receiver_id_size) == 0):
            return PyBytes_FromStringAndSize(<const char*>frame.message, frame.size), cipher
        elif first is None:
            first = ValueError("app_id")
    raise ValueError("mode") if first is None else first


def open_signed(query: bytes, encrypt: bytes, tokens: tuple, ciphers: tuple, app_id: bytes,
                window: int, now: float) -> tuple:
    cdef uint8_t[MAX_QUERY] unescaped
    cdef uint8_t[2 * ON_STACK] stack
    cdef uint8_t* space = stack
    cdef Py_ssize_t size = PyBytes_GET_SIZE(encrypt)
    cdef Parameters found
    cdef bytes token
    if not find_parameters(<const uint8_t*>PyBytes_AS_STRING(query), PyBytes_GET_SIZE(query),
                           unescaped, &found):
        raise ValueError("query")
    if not (found.timestamp.size and found.nonce.size and found.msg_signature.size):
        raise ValueError("query")
    if window and not is_timely(found.timestamp, window, now):
        raise ValueError("timestamp")
    token = token_of(tokens, &found, encrypt)
    if token is None:
        raise ValueError("signature")
    if size > ON_STACK:
        space = <uint8_t*>malloc(2 * size)
        if space is NULL:
            raise MemoryError()
    try:
        message, cipher = opened_by(ciphers, encrypt, app_id, space)
    finally:
        if space is not stack:
            free(space)
    return (message, token, cipher,
            PyBytes_FromStringAndSize(<const char*>found.nonce.data, found.nonce.size))


cdef inline uint8_t* put(uint8_t* out, const void* data, Py_ssize_t size) noexcept nogil:
    memcpy(out, data, size)
    return out + size


def seal_signed(random: bytes, message: bytes, app_id: bytes, token: bytes,
                cipher: EnvelopeCipher, nonce: bytes, timestamp: int) -> bytes:
    cdef Py_ssize_t length = PyBytes_GET_SIZE(message)
    cdef Py_ssize_t tail = PyBytes_GET_SIZE(app_id)
    cdef Py_ssize_t size = HEAD + length + tail
    cdef Py_ssize_t text_size = sealed_size(size)
    cdef uint8_t[2 * ON_STACK] stack
    cdef uint8_t* space = stack
    cdef uint8_t* out
    cdef uint8_t* text
    cdef Part[PARTS] parts
    cdef unsigned char[HEX_DIGEST] signature
    cdef char[24] at
    cdef int at_size = snprintf(at, 24, "%lld", <long long>timestamp)
    cdef bytes answer
    if PyBytes_GET_SIZE(random) != AES_BLOCK:
        raise ValueError("random")
    if length > 0xFFFFFFFF:
        raise OverflowError("int too big to convert")
    if size + PAD_BLOCK > ON_STACK:
        space = <uint8_t*>malloc(2 * (size + PAD_BLOCK))
        if space is NULL:
            raise MemoryError()
    try:
        write_head(space, PyBytes_AS_STRING(random), length)
        memcpy(space + HEAD, PyBytes_AS_STRING(message), length)
        memcpy(space + HEAD + length, PyBytes_AS_STRING(app_id), tail)
        answer = PyBytes_FromStringAndSize(
            NULL, 23 + text_size + 36 + HEX_DIGEST + 29 + at_size + 28
            + PyBytes_GET_SIZE(nonce) + 17)
        out = <uint8_t*>PyBytes_AS_STRING(answer)
        out = text = put(out, XML_ENCRYPT, 23)
        cipher.seal_frame(space, size, text)
    finally:
        if space is not stack:
            free(space)
    parts[0] = part_of(PyBytes_AS_STRING(token), PyBytes_GET_SIZE(token))
    parts[1] = part_of(at, at_size)
    parts[2] = part_of(PyBytes_AS_STRING(nonce), PyBytes_GET_SIZE(nonce))
    parts[3] = part_of(text, text_size)
    sign_parts(parts, signature)
    out = put(text + text_size, XML_SIGNATURE, 36)
    out = put(out, signature, HEX_DIGEST)
    out = put(out, XML_TIMESTAMP, 29)
    out = put(out, at, at_size)
    out = put(out, XML_NONCE, 28)
    out = put(out, PyBytes_AS_STRING(nonce), PyBytes_GET_SIZE(nonce))
    put(out, XML_END, 17)
    return answer
