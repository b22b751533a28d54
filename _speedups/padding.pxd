# PKCS#7 with WeChat's block of 32 bytes, for padding.pyx and envelope.pyx.

cdef enum:
    PAD_BLOCK = 32


cdef inline Py_ssize_t pad_length(Py_ssize_t size) noexcept nogil:
    return PAD_BLOCK - size % PAD_BLOCK


cdef inline Py_ssize_t unpadded_length(const unsigned char* data, Py_ssize_t size) noexcept nogil:
    """The length without the padding, or -1 where the padding is wrong."""
    cdef unsigned char count, differ = 0
    cdef Py_ssize_t i
    if size == 0:
        return -1
    count = data[size - 1]
    if count < 1 or count > PAD_BLOCK or count > size:
        return -1
    for i in range(size - count, size):
        differ |= data[i] ^ count
    return -1 if differ else size - count
