# The compiled twin of gateway/kernels/_padding_py.py, whose docstrings are the contract.
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.string cimport memcpy, memset

from padding cimport PAD_BLOCK, pad_length, unpadded_length

BLOCK = PAD_BLOCK


def pad(data: bytes) -> bytes:
    cdef Py_ssize_t size = PyBytes_GET_SIZE(data)
    cdef Py_ssize_t count = pad_length(size)
    cdef bytes padded = PyBytes_FromStringAndSize(NULL, size + count)
    cdef char* out = PyBytes_AS_STRING(padded)
    memcpy(out, PyBytes_AS_STRING(data), size)
    memset(out + size, <int>count, count)
    return padded


def unpad(data: bytes) -> bytes:
    cdef const char* start = PyBytes_AS_STRING(data)
    cdef Py_ssize_t size = unpadded_length(<const unsigned char*>start, PyBytes_GET_SIZE(data))
    if size < 0:
        raise ValueError("padding")
    return PyBytes_FromStringAndSize(start, size)
