# The compiled twin of gateway/kernels/_envelope_py.py, whose docstrings are the contract.
#
# The AES is pycryptodome's: its compiled functions, called by address where they are found and
# proved right, else its public interface. A CBC state cannot be reset, so the chain is put back to
# the IV the way gateway/kernels/_aes.py does it: what CBC adds to a first block is the last block
# of ciphertext it saw, which is known. The GIL is held throughout, so calls do not interleave.
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport uint8_t, uint32_t, uintptr_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset

from padding cimport pad_length, unpadded_length

from gateway.kernels._aes import AesCbc, find_raw_functions

cdef enum:
    AES_BLOCK = 16
    KEY = 32
    HEAD = 20
    ON_STACK = 4096

ctypedef int (*aes_start_t)(const uint8_t* key, size_t size, void** state)
ctypedef int (*cbc_start_t)(void* aes, const uint8_t* iv, size_t size, void** state)
ctypedef int (*cbc_run_t)(void* state, const uint8_t* data, uint8_t* out, size_t size)
ctypedef int (*cbc_stop_t)(void* state)

cdef aes_start_t aes_start = NULL
cdef cbc_start_t cbc_start = NULL
cdef cbc_run_t cbc_encrypt = NULL
cdef cbc_run_t cbc_decrypt = NULL
cdef cbc_stop_t cbc_stop = NULL
cdef object raw_name = None
cdef bint raw_sought = False

cdef char* ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
cdef uint8_t[256] VALUE

cdef void fill_value() noexcept:
    cdef int i
    memset(VALUE, 0xFF, 256)
    for i in range(64):
        VALUE[<uint8_t>ALPHABET[i]] = <uint8_t>i

fill_value()


cdef Py_ssize_t decode_base64(const uint8_t* text, Py_ssize_t size, uint8_t* out) noexcept nogil:
    """Decode a text whose size is a multiple of 4 and not 0; the bytes written, or -1."""
    cdef Py_ssize_t i, written = 0, last = size - 4
    cdef uint8_t a, b, c, d
    cdef uint8_t wrong = 0
    for i in range(0, last, 4):
        a = VALUE[text[i]]
        b = VALUE[text[i + 1]]
        c = VALUE[text[i + 2]]
        d = VALUE[text[i + 3]]
        wrong |= a | b | c | d
        out[written] = <uint8_t>(a << 2 | b >> 4)
        out[written + 1] = <uint8_t>(b << 4 | c >> 2)
        out[written + 2] = <uint8_t>(c << 6 | d)
        written += 3
    a = VALUE[text[last]]
    b = VALUE[text[last + 1]]
    wrong |= a | b
    out[written] = <uint8_t>(a << 2 | b >> 4)
    written += 1
    if text[last + 3] == c'=':
        if text[last + 2] != c'=':
            c = VALUE[text[last + 2]]
            wrong |= c
            out[written] = <uint8_t>(b << 4 | c >> 2)
            written += 1
    else:
        c = VALUE[text[last + 2]]
        d = VALUE[text[last + 3]]
        wrong |= c | d
        out[written] = <uint8_t>(b << 4 | c >> 2)
        out[written + 1] = <uint8_t>(c << 6 | d)
        written += 2
    return -1 if wrong & 0xC0 else written


cdef void encode_base64(const uint8_t* data, Py_ssize_t size, uint8_t* out) noexcept nogil:
    cdef Py_ssize_t i
    cdef uint32_t three
    cdef Py_ssize_t whole = size - size % 3
    for i in range(0, whole, 3):
        three = <uint32_t>data[i] << 16 | <uint32_t>data[i + 1] << 8 | data[i + 2]
        out[0] = ALPHABET[three >> 18]
        out[1] = ALPHABET[three >> 12 & 63]
        out[2] = ALPHABET[three >> 6 & 63]
        out[3] = ALPHABET[three & 63]
        out += 4
    if size - whole == 1:
        out[0] = ALPHABET[data[whole] >> 2]
        out[1] = ALPHABET[data[whole] << 4 & 63]
        out[2] = out[3] = c'='
    elif size - whole == 2:
        out[0] = ALPHABET[data[whole] >> 2]
        out[1] = ALPHABET[(data[whole] << 4 | data[whole + 1] >> 4) & 63]
        out[2] = ALPHABET[data[whole + 1] << 2 & 63]
        out[3] = c'='


cdef inline void add_block(uint8_t* to, const uint8_t* what) noexcept nogil:
    cdef int i
    for i in range(AES_BLOCK):
        to[i] ^= what[i]


cdef class EnvelopeCipher:
    cdef uint8_t[AES_BLOCK] iv
    cdef uint8_t[AES_BLOCK] encrypt_chain
    cdef uint8_t[AES_BLOCK] decrypt_chain
    cdef void* encrypt_state
    cdef void* decrypt_state
    cdef object public_aes

    # Not __init__, which could be left out, and with it the states.
    def __cinit__(self, key: bytes) -> None:
        self.encrypt_state = NULL
        self.decrypt_state = NULL
        if PyBytes_GET_SIZE(key) != KEY:
            raise ValueError("key")
        memcpy(self.iv, PyBytes_AS_STRING(key), AES_BLOCK)
        memcpy(self.encrypt_chain, self.iv, AES_BLOCK)
        memcpy(self.decrypt_chain, self.iv, AES_BLOCK)
        if not (find_raw() and self.start_raw(key)):
            self.public_aes = AesCbc(key)

    cdef bint start_raw(self, bytes key):
        """Set the raw states up and prove them; False leaves none behind."""
        self.encrypt_state = new_state(key, self.iv)
        self.decrypt_state = new_state(key, self.iv)
        if (self.encrypt_state is not NULL and self.decrypt_state is not NULL
                and proved(self, AesCbc(key))):
            return True
        self.stop_raw()
        return False

    cdef void stop_raw(self) noexcept:
        if self.encrypt_state is not NULL:
            cbc_stop(self.encrypt_state)
        if self.decrypt_state is not NULL:
            cbc_stop(self.decrypt_state)
        self.encrypt_state = self.decrypt_state = NULL

    def __dealloc__(self):
        self.stop_raw()

    @property
    def backend(self) -> str:
        return "pycryptodome, public interface" if self.public_aes is not None else raw_name

    cdef int decrypt(self, const uint8_t* data, uint8_t* out, Py_ssize_t size) except -1:
        cdef bytes plain
        if self.public_aes is not None:
            plain = self.public_aes.decrypt(PyBytes_FromStringAndSize(<const char*>data, size))
            memcpy(out, PyBytes_AS_STRING(plain), size)
            return 0
        if cbc_decrypt(self.decrypt_state, data, out, size):
            raise RuntimeError("pycryptodome refused to decrypt")
        add_block(out, self.decrypt_chain)
        add_block(out, self.iv)
        memcpy(self.decrypt_chain, data + size - AES_BLOCK, AES_BLOCK)
        return 0

    cdef int encrypt(self, uint8_t* data, uint8_t* out, Py_ssize_t size) except -1:
        """Encrypt ``data``, whose first block is used up, into ``out``."""
        cdef bytes sealed
        if self.public_aes is not None:
            sealed = self.public_aes.encrypt(PyBytes_FromStringAndSize(<const char*>data, size))
            memcpy(out, PyBytes_AS_STRING(sealed), size)
            return 0
        add_block(data, self.encrypt_chain)
        add_block(data, self.iv)
        if cbc_encrypt(self.encrypt_state, data, out, size):
            raise RuntimeError("pycryptodome refused to encrypt")
        memcpy(self.encrypt_chain, out + size - AES_BLOCK, AES_BLOCK)
        return 0

    def open(self, encrypt: bytes) -> tuple[bytes, bytes]:
        cdef const uint8_t* text = <const uint8_t*>PyBytes_AS_STRING(encrypt)
        cdef Py_ssize_t size = PyBytes_GET_SIZE(encrypt)
        cdef uint8_t[2 * ON_STACK] stack
        cdef uint8_t* sealed = stack
        if size % 4:
            raise ValueError("base64")
        if size == 0:
            raise ValueError("block")
        if size > ON_STACK:
            sealed = <uint8_t*>malloc(2 * size)
            if sealed is NULL:
                raise MemoryError()
        try:
            return self.open_into(text, size, sealed, sealed + size)
        finally:
            if sealed is not stack:
                free(sealed)

    cdef tuple open_into(self, const uint8_t* text, Py_ssize_t size, uint8_t* sealed,
                         uint8_t* frame):
        cdef uint32_t length
        cdef const char* message = <const char*>frame + HEAD
        size = decode_base64(text, size, sealed)
        if size < 0:
            raise ValueError("base64")
        if size % AES_BLOCK:
            raise ValueError("block")
        self.decrypt(sealed, frame, size)
        size = unpadded_length(frame, size)
        if size < 0:
            raise ValueError("padding")
        if size < HEAD:
            raise ValueError("length")
        size -= HEAD
        length = (<uint32_t>frame[16] << 24 | <uint32_t>frame[17] << 16
                  | <uint32_t>frame[18] << 8 | frame[19])
        if length > size:
            raise ValueError("length")
        return (PyBytes_FromStringAndSize(message, length),
                PyBytes_FromStringAndSize(message + length, size - length))

    def seal(self, random: bytes, message: bytes, receiver_id: bytes) -> bytes:
        cdef Py_ssize_t length = PyBytes_GET_SIZE(message)
        cdef Py_ssize_t tail = PyBytes_GET_SIZE(receiver_id)
        cdef Py_ssize_t size = HEAD + length + tail
        cdef Py_ssize_t count = pad_length(size)
        cdef uint8_t[2 * ON_STACK] stack
        cdef uint8_t* frame = stack
        cdef bytes text
        if PyBytes_GET_SIZE(random) != AES_BLOCK:
            raise ValueError("random")
        if length > 0xFFFFFFFF:
            raise OverflowError("int too big to convert")
        if size + count > ON_STACK:
            frame = <uint8_t*>malloc(2 * (size + count))
            if frame is NULL:
                raise MemoryError()
        try:
            memcpy(frame, PyBytes_AS_STRING(random), AES_BLOCK)
            frame[16] = <uint8_t>(length >> 24)
            frame[17] = <uint8_t>(length >> 16)
            frame[18] = <uint8_t>(length >> 8)
            frame[19] = <uint8_t>length
            memcpy(frame + HEAD, PyBytes_AS_STRING(message), length)
            memcpy(frame + HEAD + length, PyBytes_AS_STRING(receiver_id), tail)
            memset(frame + size, <int>count, count)
            size += count
            self.encrypt(frame, frame + size, size)
            text = PyBytes_FromStringAndSize(NULL, (size + 2) // 3 * 4)
            encode_base64(frame + size, size, <uint8_t*>PyBytes_AS_STRING(text))
            return text
        finally:
            if frame is not stack:
                free(frame)


cdef bint find_raw():
    """Look the raw functions up, once; tell whether they are there."""
    global aes_start, cbc_start, cbc_encrypt, cbc_decrypt, cbc_stop, raw_name, raw_sought
    if not raw_sought:
        raw_sought = True
        found = find_raw_functions()
        if found is not None:
            aes_start = <aes_start_t><uintptr_t>found.aes_start
            cbc_start = <cbc_start_t><uintptr_t>found.cbc_start
            cbc_encrypt = <cbc_run_t><uintptr_t>found.cbc_encrypt
            cbc_decrypt = <cbc_run_t><uintptr_t>found.cbc_decrypt
            cbc_stop = <cbc_stop_t><uintptr_t>found.cbc_stop
            raw_name = found.name
    return raw_name is not None


cdef void* new_state(bytes key, const uint8_t* iv) noexcept:
    cdef void* aes = NULL
    cdef void* state = NULL
    if aes_start(<const uint8_t*>PyBytes_AS_STRING(key), KEY, &aes) or aes is NULL:
        return NULL
    # A state owns its AES, and ends it with itself.
    if cbc_start(aes, iv, AES_BLOCK, &state):
        return NULL
    return state


cdef bint proved(EnvelopeCipher cipher, object public_aes):
    """Tell whether two messages, one after the other, come out as the public interface has them."""
    cdef uint8_t[48] data
    cdef uint8_t[48] out
    cdef bytes sample
    for sample in (bytes(range(48)), bytes(range(200, 248))):
        memcpy(data, PyBytes_AS_STRING(sample), 48)
        cipher.encrypt(data, out, 48)
        if PyBytes_FromStringAndSize(<char*>out, 48) != public_aes.encrypt(sample):
            return False
        cipher.decrypt(out, data, 48)
        if PyBytes_FromStringAndSize(<char*>data, 48) != sample:
            return False
    return True
