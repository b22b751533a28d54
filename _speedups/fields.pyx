# The compiled twin of gateway/kernels/_fields_py.py, whose docstrings are the contract.
#
# One pass over the bytes with a fixed array of open elements. The text of an element is remembered
# as one slice of the document as long as that is enough, and becomes a list of strings when it is
# not (CDATA in several sections, a reference).
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.dict cimport PyDict_GetItem, PyDict_SetItem
from cpython.list cimport PyList_Append
from cpython.object cimport PyObject
from cpython.ref cimport Py_INCREF, Py_XDECREF
from cpython.unicode cimport PyUnicode_DecodeUTF8
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memchr, memcmp, memcpy

cdef extern from "Python.h":
    const char* PyUnicode_AsUTF8AndSize(object text, Py_ssize_t* size) except NULL


cdef enum:
    DEPTH = 16
    SIZE = 1 << 20
    NAMES = 512
    LONGEST_NAME = 48

MAX_DEPTH = DEPTH
MAX_SIZE = SIZE

cdef struct Element:
    const char* name
    Py_ssize_t name_size
    const char* text        # the only piece of text so far, or NULL
    Py_ssize_t text_size
    PyObject* parts         # owned: a list of str, once there is more than one piece
    PyObject* children      # owned: a dict, once there is a child

# Bit 1: may stand in a name; bit 2: may begin one; bit 4: white space.
cdef uint8_t[256] CLASS

cdef void fill_class() noexcept:
    cdef int c
    for c in range(256):
        CLASS[c] = 0
        if c >= 0x80 or c'A' <= c <= c'Z' or c'a' <= c <= c'z' or c == c'_' or c == c':':
            CLASS[c] = 3
        elif c'0' <= c <= c'9' or c == c'.' or c == c'-':
            CLASS[c] = 1
        elif c == c' ' or c == c'\t' or c == c'\n':
            CLASS[c] = 4

fill_class()

# Names met before, each in the slot its hash points at; another name there takes its place.
cdef list names = [None] * NAMES


cdef str name_of(const char* name, Py_ssize_t size):
    cdef uint32_t slot
    cdef Py_ssize_t known_size
    cdef const char* known
    cdef str text
    cdef Py_ssize_t i
    if size > LONGEST_NAME:
        return PyUnicode_DecodeUTF8(name, size, NULL)
    slot = <uint32_t>size
    for i in range(size):
        slot = slot * 31 + <uint8_t>name[i]
    slot = (slot ^ slot >> 9) & (NAMES - 1)
    text = <str>names[slot]
    if text is not None:
        known = PyUnicode_AsUTF8AndSize(text, &known_size)
        if known_size == size and memcmp(known, name, size) == 0:
            return text
    text = PyUnicode_DecodeUTF8(name, size, NULL)
    names[slot] = text
    return text


cdef bint is_utf8(const uint8_t* at, const uint8_t* end) noexcept nogil:
    """Tell whether the bytes are UTF-8 as RFC 3629 has it: shortest forms, no surrogates."""
    cdef uint64_t eight
    cdef uint8_t lead, low, high
    cdef int more
    while at < end:
        if end - at >= 8:
            memcpy(&eight, at, 8)
            if not eight & 0x8080808080808080ULL:
                at += 8
                continue
        lead = at[0]
        at += 1
        if lead < 0x80:
            continue
        low = 0x80
        high = 0xBF
        if 0xC2 <= lead <= 0xDF:
            more = 1
        elif 0xE0 <= lead <= 0xEF:
            more = 2
            if lead == 0xE0:
                low = 0xA0
            elif lead == 0xED:
                high = 0x9F
        elif 0xF0 <= lead <= 0xF4:
            more = 3
            if lead == 0xF0:
                low = 0x90
            elif lead == 0xF4:
                high = 0x8F
        else:
            return False
        if end - at < more or at[0] < low or at[0] > high:
            return False
        at += 1
        while more > 1:
            if at[0] & 0xC0 != 0x80:
                return False
            at += 1
            more -= 1
    return True


cdef inline const char* find(const char* at, const char* end, const char* what,
                             Py_ssize_t size) noexcept nogil:
    """Where ``what`` begins at ``at`` or later, or NULL."""
    while True:
        if end - at < size:
            return NULL
        at = <const char*>memchr(at, what[0], end - at - size + 1)
        if at is NULL or memcmp(at, what, size) == 0:
            return at
        at += 1


cdef inline const char* past_space(const char* at, const char* end) noexcept nogil:
    while at < end and CLASS[<uint8_t>at[0]] & 4:
        at += 1
    return at


cdef inline const char* past_name(const char* at, const char* end) noexcept nogil:
    """The end of the name that begins at ``at``; ``at`` itself where none does."""
    if at < end and CLASS[<uint8_t>at[0]] & 2:
        while at < end and CLASS[<uint8_t>at[0]] & 1:
            at += 1
    return at


cdef const char* past_attributes(const char* at, const char* end) noexcept nogil:
    """The end of the attributes and white space after an element's name, or NULL."""
    cdef const char* after
    cdef char quote
    while True:
        after = past_space(at, end)
        if after == end or after[0] == c'>' or after[0] == c'/':
            return after
        if after == at:
            return NULL
        at = past_name(after, end)
        if at == after:
            return NULL
        at = past_space(at, end)
        if at == end or at[0] != c'=':
            return NULL
        at = past_space(at + 1, end)
        if at == end or (at[0] != c'"' and at[0] != c"'"):
            return NULL
        quote = at[0]
        at += 1
        while at < end and at[0] != quote:
            if at[0] == c'<':
                return NULL
            at += 1
        if at == end:
            return NULL
        at += 1


cdef const char* past_reference(const char* at, const char* end, uint32_t* code) noexcept nogil:
    """Read a reference from behind its ``&``; its end, or NULL where it is not a sound one."""
    cdef uint32_t value = 0, digit, base = 10
    cdef int digits = 0
    if end - at >= 2 and at[0] == c'#':
        at += 1
        if at[0] == c'x':
            base = 16
            at += 1
        while at < end and digits < 9:
            if c'0' <= at[0] <= c'9':
                digit = at[0] - c'0'
            elif base == 16 and c'a' <= (at[0] | 32) <= c'f':
                digit = (at[0] | 32) - c'a' + 10
            else:
                break
            value = value * base + digit
            digits += 1
            at += 1
        if not 1 <= digits <= 8 or value == 0 or 0xD800 <= value <= 0xDFFF or value > 0x10FFFF:
            return NULL
    elif end - at >= 3 and memcmp(at, b"lt", 2) == 0:
        value = c'<'
        at += 2
    elif end - at >= 3 and memcmp(at, b"gt", 2) == 0:
        value = c'>'
        at += 2
    elif end - at >= 4 and memcmp(at, b"amp", 3) == 0:
        value = c'&'
        at += 3
    elif end - at >= 5 and memcmp(at, b"quot", 4) == 0:
        value = c'"'
        at += 4
    elif end - at >= 5 and memcmp(at, b"apos", 4) == 0:
        value = c"'"
        at += 4
    else:
        return NULL
    if at == end or at[0] != c';':
        return NULL
    code[0] = value
    return at + 1


cdef class Reader:
    """The open elements, outermost first; what they own is released with it."""

    cdef Element[DEPTH] elements
    cdef int depth
    cdef object root

    def __cinit__(self):
        self.depth = 0

    def __dealloc__(self):
        while self.depth:
            self.depth -= 1
            drop(&self.elements[self.depth].parts)
            drop(&self.elements[self.depth].children)

    cdef int open(self, const char* name, Py_ssize_t size) except -1:
        cdef Element* element
        if self.depth == DEPTH or (self.depth == 0 and self.root is not None):
            raise ValueError("xml")
        element = &self.elements[self.depth]
        element.name = name
        element.name_size = size
        element.text = NULL
        element.parts = element.children = NULL
        self.depth += 1
        return 0

    cdef int add_text(self, const char* text, Py_ssize_t size) except -1:
        cdef Element* element = &self.elements[self.depth - 1]
        if size == 0 or element.children is not NULL:
            return 0
        if element.text is NULL and element.parts is NULL:
            element.text = text
            element.text_size = size
            return 0
        return self.add_part(PyUnicode_DecodeUTF8(text, size, NULL))

    cdef int add_part(self, str part) except -1:
        cdef Element* element = &self.elements[self.depth - 1]
        cdef list parts
        if element.children is not NULL:
            return 0
        if element.parts is NULL:
            parts = []
            if element.text is not NULL:
                PyList_Append(parts, PyUnicode_DecodeUTF8(element.text, element.text_size, NULL))
                element.text = NULL
            keep(&element.parts, parts)
        PyList_Append(<list>element.parts, part)
        return 0

    cdef int close(self) except -1:
        cdef Element* element = &self.elements[self.depth - 1]
        cdef object value
        cdef str name
        cdef dict fields
        cdef PyObject* present
        if element.children is not NULL:
            value = <object>element.children
        elif element.parts is not NULL:
            value = "".join(<list>element.parts)
        elif element.text is not NULL:
            value = PyUnicode_DecodeUTF8(element.text, element.text_size, NULL)
        else:
            value = ""
        drop(&element.parts)
        drop(&element.children)
        self.depth -= 1
        if self.depth == 0:
            self.root = value if type(value) is dict else {}
            return 0
        name = name_of(element.name, element.name_size)
        element = &self.elements[self.depth - 1]
        if element.children is NULL:
            keep(&element.children, {})
        fields = <dict>element.children
        present = PyDict_GetItem(fields, name)
        if present is NULL:
            PyDict_SetItem(fields, name, value)
        elif type(<object>present) is list:
            PyList_Append(<object>present, value)
        else:
            PyDict_SetItem(fields, name, [<object>present, value])
        return 0

    cdef const char* markup(self, const char* at, const char* end) except NULL:
        """Read what begins with the ``<`` at ``at``; return its end."""
        cdef const char* after
        cdef Element* element
        if at + 1 == end:
            raise ValueError("xml")
        if at[1] == c'/':
            if self.depth == 0:
                raise ValueError("xml")
            element = &self.elements[self.depth - 1]
            at += 2
            if end - at <= element.name_size or memcmp(at, element.name, element.name_size):
                raise ValueError("xml")
            after = past_space(at + element.name_size, end)
            if after == end or after[0] != c'>':
                raise ValueError("xml")
            self.close()
            return after + 1
        if at[1] == c'!':
            if end - at >= 9 and self.depth and memcmp(at, b"<![CDATA[", 9) == 0:
                at += 9
                after = find(at, end, b"]]>", 3)
                if after is not NULL:
                    self.add_text(at, after - at)
                    return after + 3
            elif end - at >= 4 and memcmp(at, b"<!--", 4) == 0:
                after = find(at + 4, end, b"-->", 3)
                if after is not NULL:
                    return after + 3
            raise ValueError("xml")
        if at[1] == c'?':
            after = find(at + 2, end, b"?>", 2)
            if after is NULL:
                raise ValueError("xml")
            return after + 2
        at += 1
        after = past_name(at, end)
        if after == at:
            raise ValueError("xml")
        self.open(at, after - at)
        at = after if after < end and after[0] == c'>' else past_attributes(after, end)
        if at is NULL or at == end:
            raise ValueError("xml")
        if at[0] == c'/':
            at += 1
            if at == end or at[0] != c'>':
                raise ValueError("xml")
            self.close()
        return at + 1

    cdef dict read(self, const char* at, const char* end):
        cdef const char* after
        cdef uint32_t code = 0
        while at < end:
            if at[0] == c'<':
                at = self.markup(at, end)
            elif self.depth == 0:
                if not CLASS[<uint8_t>at[0]] & 4:
                    raise ValueError("xml")
                at += 1
            elif at[0] == c'&':
                at = past_reference(at + 1, end, &code)
                if at is NULL:
                    raise ValueError("xml")
                self.add_part(chr(code))
            else:
                after = at
                while after < end and after[0] != c'<' and after[0] != c'&':
                    after += 1
                self.add_text(at, after - at)
                at = after
        if self.depth or self.root is None:
            raise ValueError("xml")
        return <dict>self.root


cdef inline void keep(PyObject** place, object what) noexcept:
    """Put a reference of its own into ``place``."""
    Py_INCREF(what)
    place[0] = <PyObject*>what


cdef inline void drop(PyObject** place) noexcept:
    """Let go of the reference in ``place``, if there is one."""
    cdef PyObject* owned = place[0]
    place[0] = NULL
    Py_XDECREF(owned)


cdef struct Leaf:
    const char* name
    Py_ssize_t name_size
    const char* text
    Py_ssize_t text_size


cdef inline const char* past_leaf(const char* at, const char* end, Leaf* leaf) noexcept nogil:
    """Read an element that holds one piece of text; its end, or NULL where it is not as simple."""
    cdef const char* after
    if at == end or at[0] != c'<':
        return NULL
    leaf.name = at + 1
    after = past_name(leaf.name, end)
    leaf.name_size = after - leaf.name
    if leaf.name_size == 0 or after == end or after[0] != c'>':
        return NULL
    at = after + 1
    if end - at >= 9 and memcmp(at, b"<![CDATA[", 9) == 0:
        leaf.text = at + 9
        after = find(leaf.text, end, b"]]>", 3)
        if after is NULL:
            return NULL
        leaf.text_size = after - leaf.text
        at = after + 3
    else:
        leaf.text = at
        while at < end and at[0] != c'<' and at[0] != c'&':
            at += 1
        leaf.text_size = at - leaf.text
    if (end - at < leaf.name_size + 3 or at[0] != c'<' or at[1] != c'/'
            or memcmp(at + 2, leaf.name, leaf.name_size) or at[2 + leaf.name_size] != c'>'):
        return NULL
    return at + leaf.name_size + 3


cdef inline const char* past_root(const char* at, const char* end, Leaf* root) noexcept nogil:
    """The end of the tag that opens a document, or NULL."""
    at = past_space(at, end)
    root.name = at
    root.name_size = 0
    if at == end or at[0] != c'<':
        return NULL
    root.name = at + 1
    at = past_name(root.name, end)
    root.name_size = at - root.name
    if root.name_size == 0 or at == end or at[0] != c'>':
        return NULL
    return at + 1


cdef inline bint is_ascii(const char* at, Py_ssize_t size) noexcept nogil:
    cdef uint8_t all = 0
    cdef Py_ssize_t i
    for i in range(size):
        all |= <uint8_t>at[i]
    return all < 0x80


cdef inline bint is_end(const char* at, const char* end, Leaf* root) noexcept nogil:
    """Tell whether there is nothing more than the tag that closes the root."""
    if (end - at < root.name_size + 3 or at[0] != c'<' or at[1] != c'/'
            or memcmp(at + 2, root.name, root.name_size) or at[2 + root.name_size] != c'>'):
        return False
    return past_space(at + root.name_size + 3, end) == end


cdef dict read_flat(const char* at, const char* end):
    """The fields of a root that holds nothing but leaves, each of another name; else None.

    Raises UnicodeDecodeError where one of them is not UTF-8; the root's own name is ASCII.
    """
    cdef Leaf root, leaf
    cdef dict fields = {}
    cdef str name
    at = past_root(at, end, &root)
    if not is_ascii(root.name, root.name_size):
        return None
    while at is not NULL:
        at = past_space(at, end)
        if is_end(at, end, &root):
            return fields
        at = past_leaf(at, end, &leaf)
        if at is not NULL:
            name = name_of(leaf.name, leaf.name_size)
            if PyDict_GetItem(fields, name) is not NULL:
                return None
            PyDict_SetItem(fields, name, PyUnicode_DecodeUTF8(leaf.text, leaf.text_size, NULL))
    return None


cdef int find_flat(const char* at, const char* end, const char* name, Py_ssize_t size,
                   Leaf* found) noexcept nogil:
    """Find the leaf of a name in a root that holds nothing but leaves; how many there are, or -1
    where the document is not as simple."""
    cdef Leaf root, leaf
    cdef int count = 0
    at = past_root(at, end, &root)
    while at is not NULL:
        at = past_space(at, end)
        if is_end(at, end, &root):
            return count
        at = past_leaf(at, end, &leaf)
        if at is not NULL and leaf.name_size == size and memcmp(leaf.name, name, size) == 0:
            found[0] = leaf
            count += 1
    return -1


cdef inline bint is_blank(char letter) noexcept nogil:
    return letter == c' ' or 9 <= letter <= 13


def extract(document: bytes) -> dict:
    cdef const char* at = PyBytes_AS_STRING(document)
    cdef Py_ssize_t size = PyBytes_GET_SIZE(document)
    cdef bytes normal
    cdef dict fields
    cdef Reader reader
    if size > SIZE:
        raise ValueError("xml")
    if memchr(at, c'\r', size) is not NULL:
        normal = document.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        at = PyBytes_AS_STRING(normal)
        size = PyBytes_GET_SIZE(normal)
    if size >= 3 and memcmp(at, b"\xef\xbb\xbf", 3) == 0:
        at += 3
        size -= 3
    try:
        fields = read_flat(at, at + size)
    except UnicodeDecodeError:
        fields = None
    if fields is not None:
        return fields
    if not is_utf8(<const uint8_t*>at, <const uint8_t*>at + size):
        raise ValueError("xml")
    reader = Reader.__new__(Reader)
    return reader.read(at, at + size)


def text_of(document: bytes, name: str) -> bytes:
    cdef const char* at = PyBytes_AS_STRING(document)
    cdef Py_ssize_t size = PyBytes_GET_SIZE(document)
    cdef Py_ssize_t name_size = 0
    cdef const char* wanted = PyUnicode_AsUTF8AndSize(name, &name_size)
    cdef Leaf found
    cdef int count = -1
    found.text = at
    found.text_size = 0
    if size <= SIZE and memchr(at, c'\r', size) is NULL:
        if is_utf8(<const uint8_t*>at, <const uint8_t*>at + size):
            count = find_flat(at, at + size, wanted, name_size, &found)
    if count == 1:
        while found.text_size and is_blank(found.text[0]):
            found.text += 1
            found.text_size -= 1
        while found.text_size and is_blank(found.text[found.text_size - 1]):
            found.text_size -= 1
        return PyBytes_FromStringAndSize(found.text, found.text_size)
    value = extract(document).get(name)
    if type(value) is not str:
        raise ValueError("absent")
    return value.encode().strip()
