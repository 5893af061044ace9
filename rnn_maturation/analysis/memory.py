"""A bounded memory for arrays that several analyses need one after the other."""

import threading
from collections import OrderedDict


class ArrayMemory:
    """The arrays used last, up to a number of bytes."""

    def __init__(self, max_bytes):
        self.max_bytes, self.n_bytes = max_bytes, 0
        self._arrays, self._lock = OrderedDict(), threading.Lock()

    def get(self, key):
        with self._lock:
            if key in self._arrays:
                self._arrays.move_to_end(key)
            return self._arrays.get(key)

    def put(self, key, array):
        with self._lock:
            if key in self._arrays:
                self.n_bytes -= self._arrays.pop(key).nbytes
            self._arrays[key] = array
            self.n_bytes += array.nbytes
            while self.n_bytes > self.max_bytes and self._arrays:
                self.n_bytes -= self._arrays.popitem(last=False)[1].nbytes
