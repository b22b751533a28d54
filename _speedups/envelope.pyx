# The compiled twin of gateway/kernels/_envelope_py.py, whose docstrings are the contract.
#
# The AES is pycryptodome's: its compiled functions, called by address where they are found and
# proved right, else its public interface. Sealing is CBC as the library has it; its state cannot be
# reset, so the chain is put back to the IV the way gateway/kernels/_aes.py does it: what CBC adds to
# a first block is the last block of ciphertext it saw, which is known. Opening lets ECB decrypt all
# blocks in one call, many at a time in the processor, and adds to each the ciphertext ahead of it,
# which is what CBC means. The GIL is held throughout, so calls do not interleave.
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport uint8_t, uint32_t, uint64_t, uintptr_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset

from padding cimport PAD_BLOCK, pad_length, unpadded_length

from gateway.kernels._aes import AesCbc, find_raw_functions

cdef enum:
    AES_BLOCK = 16
    KEY = 32
    HEAD = 20
    ON_STACK = 4096

# What can be wrong with a sealed text, by the numbers that open_text returns.
cdef enum:
    BASE64 = 1
    BLOCK = 2
    PADDING = 3
    LENGTH = 4

ctypedef int (*aes_start_t)(const uint8_t* key, size_t size, void** state)
ctypedef int (*cbc_start_t)(void* aes, const uint8_t* iv, size_t size, void** state)
ctypedef int (*ecb_start_t)(void* aes, void** state)
ctypedef int (*run_t)(void* state, const uint8_t* data, uint8_t* out, size_t size)
ctypedef int (*stop_t)(void* state)

cdef aes_start_t aes_start = NULL
cdef cbc_start_t cbc_start = NULL
cdef run_t cbc_encrypt = NULL
cdef stop_t cbc_stop = NULL
cdef ecb_start_t ecb_start = NULL
cdef run_t ecb_decrypt = NULL
cdef stop_t ecb_stop = NULL
cdef object raw_name = None
cdef bint raw_sought = False

cdef const char* ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
# For each place of a group of four the value of a letter where it stands in the group; WRONG for any
# other byte, which no three values add up to.
cdef uint32_t[4][256] VALUE
# The two letters of each 12 bits.
cdef uint8_t[4096][2] PAIR

cdef enum:
    WRONG = 1 << 24

cdef void fill_tables() noexcept:
    cdef int i, place
    for place in range(4):
        for i in range(256):
            VALUE[place][i] = WRONG
        for i in range(64):
            VALUE[place][<uint8_t>ALPHABET[i]] = <uint32_t>i << 6 * (3 - place)
    for i in range(4096):
        PAIR[i][0] = <uint8_t>ALPHABET[i >> 6]
        PAIR[i][1] = <uint8_t>ALPHABET[i & 63]

fill_tables()


cdef inline uint32_t group_of(const uint8_t* text) noexcept nogil:
    """The 24 bits of four letters; WRONG among them where one is none."""
    return VALUE[0][text[0]] | VALUE[1][text[1]] | VALUE[2][text[2]] | VALUE[3][text[3]]


cdef Py_ssize_t decode_base64(const uint8_t* text, Py_ssize_t size, uint8_t* out) noexcept nogil:
    """Decode a text whose size is a multiple of 4 and not 0; the bytes written, or -1."""
    cdef Py_ssize_t i, written = 0, last = size - 4, more = 3
    cdef uint32_t group, wrong = 0
    cdef uint8_t[4] ending
    for i in range(0, last, 4):
        group = group_of(text + i)
        wrong |= group
        out[written] = <uint8_t>(group >> 16)
        out[written + 1] = <uint8_t>(group >> 8)
        out[written + 2] = <uint8_t>group
        written += 3
    memcpy(ending, text + last, 4)
    if ending[3] == c'=':
        more = 1 if ending[2] == c'=' else 2
        ending[3] = c'A'
        if more == 1:
            ending[2] = c'A'
    group = group_of(ending)
    wrong |= group
    out[written] = <uint8_t>(group >> 16)
    if more > 1:
        out[written + 1] = <uint8_t>(group >> 8)
    if more > 2:
        out[written + 2] = <uint8_t>group
    return -1 if wrong & WRONG else written + more


cdef void encode_base64(const uint8_t* data, Py_ssize_t size, uint8_t* out) noexcept nogil:
    cdef Py_ssize_t i
    cdef uint32_t three
    cdef Py_ssize_t whole = size - size % 3
    for i in range(0, whole, 3):
        three = <uint32_t>data[i] << 16 | <uint32_t>data[i + 1] << 8 | data[i + 2]
        memcpy(out, PAIR[three >> 12], 2)
        memcpy(out + 2, PAIR[three & 4095], 2)
        out += 4
    if size - whole == 1:
        memcpy(out, PAIR[<uint32_t>data[whole] << 4], 2)
        out[2] = out[3] = c'='
    elif size - whole == 2:
        three = <uint32_t>data[whole] << 8 | data[whole + 1]
        memcpy(out, PAIR[three >> 4], 2)
        out[2] = ALPHABET[three << 2 & 63]
        out[3] = c'='


cdef inline void add(uint8_t* to, const uint8_t* what, Py_ssize_t size) noexcept nogil:
    """Exclusive or, over a multiple of 8 bytes."""
    cdef uint64_t here, there
    cdef Py_ssize_t i
    for i in range(0, size, 8):
        memcpy(&here, to + i, 8)
        memcpy(&there, what + i, 8)
        here ^= there
        memcpy(to + i, &here, 8)


cdef class EnvelopeCipher:
    # Not __init__, which could be left out, and with it the states.
    def __cinit__(self, key: bytes) -> None:
        self.encrypt_state = NULL
        self.decrypt_state = NULL
        if PyBytes_GET_SIZE(key) != KEY:
            raise ValueError("key")
        memcpy(self.iv, PyBytes_AS_STRING(key), AES_BLOCK)
        memcpy(self.encrypt_chain, self.iv, AES_BLOCK)
        if not (find_raw() and self.start_raw(key)):
            self.public_aes = AesCbc(key)

    cdef bint start_raw(self, bytes key):
        """Set the raw states up and prove them; False leaves none behind."""
        self.encrypt_state = new_cbc(key, self.iv)
        self.decrypt_state = new_ecb(key)
        if (self.encrypt_state is not NULL and self.decrypt_state is not NULL
                and proved(self, AesCbc(key))):
            return True
        self.stop_raw()
        return False

    cdef void stop_raw(self) noexcept:
        if self.encrypt_state is not NULL:
            cbc_stop(self.encrypt_state)
        if self.decrypt_state is not NULL:
            ecb_stop(self.decrypt_state)
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
        if ecb_decrypt(self.decrypt_state, data, out, size):
            raise RuntimeError("pycryptodome refused to decrypt")
        add(out, self.iv, AES_BLOCK)
        add(out + AES_BLOCK, data, size - AES_BLOCK)
        return 0

    cdef int encrypt(self, uint8_t* data, uint8_t* out, Py_ssize_t size) except -1:
        """Encrypt ``data``, whose first block is used up, into ``out``."""
        cdef bytes sealed
        if self.public_aes is not None:
            sealed = self.public_aes.encrypt(PyBytes_FromStringAndSize(<const char*>data, size))
            memcpy(out, PyBytes_AS_STRING(sealed), size)
            return 0
        add(data, self.encrypt_chain, AES_BLOCK)
        add(data, self.iv, AES_BLOCK)
        if cbc_encrypt(self.encrypt_state, data, out, size):
            raise RuntimeError("pycryptodome refused to encrypt")
        memcpy(self.encrypt_chain, out + size - AES_BLOCK, AES_BLOCK)
        return 0

    def open(self, encrypt: bytes) -> tuple[bytes, bytes]:
        cdef Py_ssize_t size = PyBytes_GET_SIZE(encrypt)
        cdef uint8_t[2 * ON_STACK] stack
        cdef uint8_t* space = stack
        cdef Frame opened
        cdef int wrong
        if size > ON_STACK:
            space = <uint8_t*>malloc(2 * size)
            if space is NULL:
                raise MemoryError()
        try:
            wrong = self.open_text(<const uint8_t*>PyBytes_AS_STRING(encrypt), size, space, &opened)
            if wrong:
                raise refusal(wrong)
            return (PyBytes_FromStringAndSize(<const char*>opened.message, opened.size),
                    PyBytes_FromStringAndSize(<const char*>opened.receiver_id,
                                              opened.receiver_id_size))
        finally:
            if space is not stack:
                free(space)

    cdef int open_text(self, const uint8_t* text, Py_ssize_t size, uint8_t* space,
                       Frame* opened) except -1:
        cdef uint8_t* frame = space + size
        cdef uint32_t length
        if size % 4:
            return BASE64
        if size == 0:
            return BLOCK
        size = decode_base64(text, size, space)
        if size < 0:
            return BASE64
        if size % AES_BLOCK:
            return BLOCK
        self.decrypt(space, frame, size)
        size = unpadded_length(frame, size)
        if size < 0:
            return PADDING
        if size < HEAD:
            return LENGTH
        size -= HEAD
        length = (<uint32_t>frame[16] << 24 | <uint32_t>frame[17] << 16
                  | <uint32_t>frame[18] << 8 | frame[19])
        if length > size:
            return LENGTH
        opened.message = frame + HEAD
        opened.size = length
        opened.receiver_id = frame + HEAD + length
        opened.receiver_id_size = size - length
        return 0

    def seal(self, random: bytes, message: bytes, receiver_id: bytes) -> bytes:
        cdef Py_ssize_t length = PyBytes_GET_SIZE(message)
        cdef Py_ssize_t tail = PyBytes_GET_SIZE(receiver_id)
        cdef Py_ssize_t size = HEAD + length + tail
        cdef uint8_t[2 * ON_STACK] stack
        cdef uint8_t* space = stack
        cdef bytes text
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
            memcpy(space + HEAD + length, PyBytes_AS_STRING(receiver_id), tail)
            text = PyBytes_FromStringAndSize(NULL, sealed_size(size))
            self.seal_frame(space, size, <uint8_t*>PyBytes_AS_STRING(text))
            return text
        finally:
            if space is not stack:
                free(space)

    cdef int seal_frame(self, uint8_t* space, Py_ssize_t size, uint8_t* out) except -1:
        cdef Py_ssize_t count = pad_length(size)
        memset(space + size, <int>count, count)
        size += count
        self.encrypt(space, space + size, size)
        encode_base64(space + size, size, out)
        return 0


cdef object refusal(int number):
    """The error that says what is wrong with a sealed text."""
    return ValueError(("", "base64", "block", "padding", "length")[number])


cdef Py_ssize_t sealed_size(Py_ssize_t frame_size) noexcept nogil:
    """The length of the text that seals a frame."""
    return (frame_size + pad_length(frame_size) + 2) // 3 * 4


cdef void write_head(uint8_t* frame, const char* random, Py_ssize_t length) noexcept nogil:
    """Write what a frame begins with: 16 random bytes, the message's length."""
    memcpy(frame, random, AES_BLOCK)
    frame[16] = <uint8_t>(length >> 24)
    frame[17] = <uint8_t>(length >> 16)
    frame[18] = <uint8_t>(length >> 8)
    frame[19] = <uint8_t>length


cdef bint find_raw():
    """Look the raw functions up, once; tell whether they are there."""
    global aes_start, cbc_start, cbc_encrypt, cbc_stop, ecb_start, ecb_decrypt, ecb_stop
    global raw_name, raw_sought
    if not raw_sought:
        raw_sought = True
        found = find_raw_functions()
        if found is not None:
            aes_start = <aes_start_t><uintptr_t>found.aes_start
            cbc_start = <cbc_start_t><uintptr_t>found.cbc_start
            cbc_encrypt = <run_t><uintptr_t>found.cbc_encrypt
            cbc_stop = <stop_t><uintptr_t>found.cbc_stop
            ecb_start = <ecb_start_t><uintptr_t>found.ecb_start
            ecb_decrypt = <run_t><uintptr_t>found.ecb_decrypt
            ecb_stop = <stop_t><uintptr_t>found.ecb_stop
            raw_name = found.name
    return raw_name is not None


cdef void* new_aes(bytes key) noexcept:
    """Return an AES under a key, or NULL; the state that is made of it ends it with itself."""
    cdef void* aes = NULL
    if aes_start(<const uint8_t*>PyBytes_AS_STRING(key), KEY, &aes):
        return NULL
    return aes


cdef void* new_cbc(bytes key, const uint8_t* iv) noexcept:
    cdef void* aes = new_aes(key)
    cdef void* state = NULL
    if aes is NULL or cbc_start(aes, iv, AES_BLOCK, &state):
        return NULL
    return state


cdef void* new_ecb(bytes key) noexcept:
    cdef void* aes = new_aes(key)
    cdef void* state = NULL
    if aes is NULL or ecb_start(aes, &state):
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
