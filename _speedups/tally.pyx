# The compiled twin of gateway/kernels/_tally_py.py, whose docstrings are the contract.
from cpython.dict cimport PyDict_GetItem
from cpython.object cimport PyObject

cdef extern from "Python.h":
    Py_ssize_t PyLong_AsSsize_t(object number) except? -1


cdef class Tally:
    cdef double[::1] cells
    cdef double[::1] bounds
    cdef Py_ssize_t sum
    cdef dict kinds
    cdef dict outcomes
    cdef object kind_row
    cdef object outcome_row

    def __init__(self, cells, bounds, kind_row, outcome_row):
        self.cells = cells
        self.bounds = bounds
        self.sum = self.bounds.shape[0] + 1
        self.kinds = {}
        self.outcomes = {}
        self.kind_row = kind_row
        self.outcome_row = outcome_row

    cdef Py_ssize_t found(self, dict rows, object what, object find, Py_ssize_t more) except -1:
        """Return the row of what was never counted before, all of whose cells there are."""
        cdef Py_ssize_t row = find(what)
        if row < 0 or row + more > self.cells.shape[0]:
            raise ValueError("row")
        rows[what] = row
        return row

    def count(self, object kind, object outcome, double value):
        cdef PyObject* known = PyDict_GetItem(self.kinds, kind)
        cdef Py_ssize_t told, row, low = 0, middle, high = self.sum - 1
        if known is NULL:
            told = self.found(self.kinds, kind, self.kind_row, 1)
        else:
            told = PyLong_AsSsize_t(<object>known)
        known = PyDict_GetItem(self.outcomes, outcome)
        if known is NULL:
            row = self.found(self.outcomes, outcome, self.outcome_row, self.sum + 1)
        else:
            row = PyLong_AsSsize_t(<object>known)
        # As bisect_left.
        while low < high:
            middle = (low + high) // 2
            if self.bounds[middle] < value:
                low = middle + 1
            else:
                high = middle
        self.cells[told] += 1.0
        self.cells[row + low] += 1.0
        self.cells[row + self.sum] += value
