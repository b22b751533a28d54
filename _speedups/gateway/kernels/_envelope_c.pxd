# What envelope.pyx shares with signed.pyx.
from libc.stdint cimport uint8_t


cdef struct Frame:
    const uint8_t* message
    Py_ssize_t size
    const uint8_t* receiver_id
    Py_ssize_t receiver_id_size


cdef class EnvelopeCipher:
    cdef uint8_t[16] iv
    cdef uint8_t[16] encrypt_chain
    cdef void* encrypt_state
    cdef void* decrypt_state
    cdef object public_aes

    cdef bint start_raw(self, bytes key)
    cdef void stop_raw(self) noexcept
    cdef int decrypt(self, const uint8_t* data, uint8_t* out, Py_ssize_t size) except -1
    cdef int encrypt(self, uint8_t* data, uint8_t* out, Py_ssize_t size) except -1
    # The message and receiver id of a sealed text, in ``space``, which has room for twice the text;
    # 0, or the number of what is wrong with it.
    cdef int open_text(self, const uint8_t* text, Py_ssize_t size, uint8_t* space,
                       Frame* opened) except -1
    # Seal a frame of ``size`` bytes that ``space`` begins with, which has room for twice as many and
    # 2 paddings, and write its text; sealed_size() tells how long that is.
    cdef int seal_frame(self, uint8_t* space, Py_ssize_t size, uint8_t* out) except -1


cdef object refusal(int number)
cdef Py_ssize_t sealed_size(Py_ssize_t frame_size) noexcept nogil
cdef void write_head(uint8_t* frame, const char* random, Py_ssize_t length) noexcept nogil
