# The C types of record_walk.py, for its compiled copy; see hatch_build.py.
#
# A zig-zag code fills 64 bits without a sign. A position is checked against the size of the data by
# Cython (boundscheck) whenever it is used.
cimport cython

ctypedef unsigned long long code_t
ctypedef const unsigned char[::1] bytes_t


@cython.locals(
    has_null_key=bint,
    is_dense=bint,
    is_first=bint,
    lowest="long long",
    highest="long long",
    last_timestamp=code_t,
    highest_offset=code_t,
    expected_offset="long long",
    length=code_t,
    end=Py_ssize_t,
    timestamp=code_t,
    offset=code_t,
    size=code_t,
    delta="long long",
)
cpdef walk(bytes_t data, Py_ssize_t position, Py_ssize_t index, Py_ssize_t stop)

@cython.locals(count=code_t, _=code_t, size=code_t)
cdef Py_ssize_t skip_headers(bytes_t data, Py_ssize_t position) except -1

cdef long long decoded(code_t code) noexcept

@cython.locals(byte=code_t, value=code_t, shift=int)
cdef (code_t, Py_ssize_t) read_unsigned(bytes_t data, Py_ssize_t position, int bits=*) except *
