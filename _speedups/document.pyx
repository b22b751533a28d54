# The compiled twin of write_reply in gateway/kernels/_document_py.py, whose docstrings are the
# contract.
#
# Text goes from a string's own UTF-8 straight into the document; only text with characters that XML
# cannot hold makes a detour over the twin's `legal`.
from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.stdint cimport uint8_t
from libc.stdio cimport snprintf
from libc.stdlib cimport free, malloc, realloc
from libc.string cimport memchr, memcmp, memcpy, strlen

from gateway.kernels._document_py import legal

cdef extern from "Python.h":
    const char* PyUnicode_AsUTF8AndSize(object text, Py_ssize_t* size) except NULL


cdef enum:
    ON_STACK = 2048


cdef struct Buffer:
    char* data
    Py_ssize_t size
    Py_ssize_t room
    bint is_own             # whether the data is malloc's, not the stack's


cdef int grow(Buffer* out, Py_ssize_t more) except -1:
    """Make room for ``more`` bytes."""
    cdef Py_ssize_t room = 2 * (out.size + more)
    cdef char* data = <char*>(realloc(out.data, room) if out.is_own else malloc(room))
    if data is NULL:
        raise MemoryError()
    if not out.is_own:
        memcpy(data, out.data, out.size)
    out.data = data
    out.room = room
    out.is_own = True
    return 0


cdef inline int put(Buffer* out, const char* data, Py_ssize_t size) except -1:
    if out.room - out.size < size:
        grow(out, size)
    memcpy(out.data + out.size, data, size)
    out.size += size
    return 0


cdef inline bint is_legal(const uint8_t* at, Py_ssize_t size) noexcept nogil:
    """Tell whether UTF-8 holds only what XML 1.0 can hold."""
    cdef const uint8_t* end = at + size
    while at < end:
        if at[0] < 0x20:
            if at[0] != c'\t' and at[0] != c'\n' and at[0] != c'\r':
                return False
        # U+FFFE and U+FFFF; that two bytes follow is UTF-8's promise.
        elif at[0] == 0xEF and at[1] == 0xBF and at[2] >= 0xBE:
            return False
        at += 1
    return True


cdef int put_text(Buffer* out, str text) except -1:
    """Write the inside of a CDATA section."""
    cdef Py_ssize_t size = 0
    cdef const char* at
    cdef const char* end
    cdef const char* bracket
    try:
        at = PyUnicode_AsUTF8AndSize(text, &size)
    except UnicodeEncodeError:
        # A lone half of a surrogate pair.
        text = legal(text)
        at = PyUnicode_AsUTF8AndSize(text, &size)
    if not is_legal(<const uint8_t*>at, size):
        text = legal(text)
        at = PyUnicode_AsUTF8AndSize(text, &size)
    end = at + size
    while end - at >= 3:
        bracket = <const char*>memchr(at, c']', end - at - 2)
        if bracket is NULL:
            break
        if memcmp(bracket, b"]]>", 3) == 0:
            put(out, at, bracket + 2 - at)
            put(out, b"]]><![CDATA[", 12)
            at = bracket + 2
        else:
            put(out, at, bracket + 1 - at)
            at = bracket + 1
    return put(out, at, end - at)


cdef int put_tag(Buffer* out, str name, bint closes) except -1:
    cdef Py_ssize_t size = 0
    cdef const char* data = PyUnicode_AsUTF8AndSize(name, &size)
    put(out, b"</", 2 if closes else 1)
    put(out, data, size)
    return put(out, b">", 1)


cdef int put_element(Buffer* out, str name, object value) except -1:
    cdef Py_ssize_t size = 0
    cdef const char* data
    cdef str written
    if value is None:
        return 0
    if isinstance(value, list):
        for item in value:
            put_element(out, name, item)
        return 0
    put_tag(out, name, False)
    if isinstance(value, str):
        put(out, b"<![CDATA[", 9)
        put_text(out, str(value))
        put(out, b"]]>", 3)
    elif isinstance(value, dict):
        put_elements(out, value)
    else:
        written = format(value)
        data = PyUnicode_AsUTF8AndSize(written, &size)
        put(out, data, size)
    return put_tag(out, name, True)


cdef int put_elements(Buffer* out, dict tree) except -1:
    for name, value in tree.items():
        put_element(out, name, value)
    return 0


cdef const char* TO = "<xml><ToUserName><![CDATA["
cdef const char* FROM = "]]></ToUserName><FromUserName><![CDATA["
cdef const char* AT = "]]></FromUserName><CreateTime>"
cdef const char* TYPE = "</CreateTime><MsgType><![CDATA["
cdef const char* REST = "]]></MsgType>"
cdef const char* END = "</xml>"


cdef inline int put_all(Buffer* out, const char* text) except -1:
    return put(out, text, strlen(text))


def write_reply(to_user_name: str, from_user_name: str, create_time: int, msg_type: str,
                tree: dict) -> bytes:
    cdef char[ON_STACK] stack
    cdef char[24] digits
    cdef Buffer out
    out.data = stack
    out.size = 0
    out.room = ON_STACK
    out.is_own = False
    try:
        put_all(&out, TO)
        put_text(&out, to_user_name)
        put_all(&out, FROM)
        put_text(&out, from_user_name)
        put_all(&out, AT)
        put(&out, digits, snprintf(digits, 24, "%lld", <long long>create_time))
        put_all(&out, TYPE)
        put_text(&out, msg_type)
        put_all(&out, REST)
        put_elements(&out, tree)
        put_all(&out, END)
        return PyBytes_FromStringAndSize(out.data, out.size)
    finally:
        if out.is_own:
            free(out.data)
