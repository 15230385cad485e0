"""The C library's allocator, set for a process whose memory is mostly large, short-lived buffers."""

from __future__ import annotations

import ctypes

_MIB = 1024 * 1024

# Names and numbers are those of glibc's <malloc.h>.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
_OPTIONS = {
    # By default each thread gets a heap of its own, in which buffers leave holes for nobody else:
    # downloads then need twice the memory, the more the more processors there are.
    _M_ARENA_MAX: 1,
    # By default the heap's end is given back and fetched again around nearly every buffer,
    # which can cost as much time as moving the bytes does.
    _M_MMAP_THRESHOLD: 4 * _MIB,
    _M_TRIM_THRESHOLD: 16 * _MIB,
}


def tune() -> None:
    """Sets the options, before any thread is started; does nothing where the C library has none."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        for option, value in _OPTIONS.items():
            mallopt(option, value)
