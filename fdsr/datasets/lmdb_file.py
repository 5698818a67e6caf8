"""Reader of LMDB files that may be damaged.

The package ``lmdb`` maps a file into memory and trusts its content, so that a truncated
or damaged file ends the process with SIGBUS or SIGSEGV. This reader checks every offset
and reads with ``pread``. The format is that of LMDB 0.9 on 64-bit little-endian
machines, see ``lmdb.h`` and ``mdb.c`` of OpenLDAP.
"""
from __future__ import annotations

import errno
import os
import struct
from bisect import bisect_left, bisect_right
from pathlib import Path
from typing import NamedTuple

_MAGIC, _VERSION = 0xBEEFC0DE, 1
_BRANCH, _LEAF, _OVERFLOW, _META = 1, 2, 4, 8
_KINDS = 15  # of the flags above
_BIG = 1  # flag of a node whose value is in pages of its own
_NONE = 2**64 - 1  # root of an empty database
_HEADER = 16
_MAX_DEPTH = 32  # of the tree, as in LMDB


class _Page(NamedTuple):
    """A page of the tree: its kind, its bytes and the number of its nodes."""

    kind: int
    data: bytes
    nodes: int

    def node(self, index: int) -> tuple[int, int, bytes]:
        """Returns the offset of a node, its flags and its key."""
        start, = struct.unpack_from('<H', self.data, _HEADER + 2 * index)
        flags, length = struct.unpack_from('<HH', self.data, start + 4)
        return start, flags, self.data[start + 8:start + 8 + length]

    def key(self, index: int) -> bytes:
        """Returns the key of a node."""
        return self.node(index)[2]


class LmdbFile:
    """An LMDB file opened for reading, safe against damage and forks.

    Args:
        path: the file.

    Raises:
        OSError: the file is missing, is not an LMDB, or is damaged; the error names it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = os.open(path, os.O_RDONLY | getattr(os, 'O_CLOEXEC', 0))
        try:
            # both meta pages of a file have the size of its pages
            *_, self._page_size = self._meta(0)
            if (not 256 <= self._page_size <= 65536
                    or self._page_size & (self._page_size - 1)):
                raise self._damaged(f'a page size of {self._page_size} bytes')
            _, self._root, _ = max(self._meta(0), self._meta(self._page_size))
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Closes the file."""
        if self._file >= 0:
            os.close(self._file)
        self._file = -1

    def __del__(self) -> None:
        if hasattr(self, '_file'):
            self.close()

    def get(self, key: bytes) -> bytes | None:
        """Returns the value of a key, or None.

        Raises:
            OSError: the file is damaged.
        """
        if self._root == _NONE:
            return None
        try:
            return self._find(key)
        except struct.error as error:
            raise self._damaged(f'an offset outside of its page ({error})') from error

    def _find(self, key: bytes) -> bytes | None:
        page = self._page(self._root)
        for _ in range(_MAX_DEPTH):
            if page.kind == _LEAF:
                index = bisect_left(range(page.nodes), key, key=page.key)
                if index == page.nodes or page.key(index) != key:
                    return None
                return self._value(page, index)
            # the first key of a branch is empty and stands for all smaller keys
            index = bisect_right(range(page.nodes), key, lo=1, key=page.key) - 1
            low, high, top = struct.unpack_from('<HHH', page.data, page.node(index)[0])
            page = self._page(low | high << 16 | top << 32)
        raise self._damaged(f'a tree of more than {_MAX_DEPTH} levels')

    def _value(self, page: _Page, index: int) -> bytes:
        start, flags, key = page.node(index)
        low, high = struct.unpack_from('<HH', page.data, start)
        size, start = low | high << 16, start + 8 + len(key)
        if flags not in (0, _BIG):
            raise self._damaged(f'an image with the flags {flags}')
        if flags == 0:
            value = page.data[start:start + size]
        else:
            number, = struct.unpack_from('<Q', page.data, start)
            offset = number * self._page_size
            found, kind, pages = struct.unpack('<QxxHI', self._read(offset, _HEADER))
            if (found != number or kind & _KINDS != _OVERFLOW
                    or size > pages * self._page_size - _HEADER):
                raise self._damaged(f'page {number} is not that of an image')
            value = self._read(offset + _HEADER, size)
        if len(value) != size:
            raise self._damaged('an image outside of its page')
        return value

    def _page(self, number: int) -> _Page:
        data = self._read(number * self._page_size, self._page_size)
        found, kind, lower, upper = struct.unpack_from('<QxxHHH', data)
        kind &= _KINDS
        nodes = (lower - _HEADER) // 2
        if (found != number or kind not in (_BRANCH, _LEAF)
                or not _HEADER <= lower <= upper <= self._page_size
                or nodes < (1 if kind == _BRANCH else 0)):
            raise self._damaged(f'page {number} is not a page of the index')
        return _Page(kind, data, nodes)

    def _meta(self, offset: int) -> tuple[int, int, int]:
        """Returns transaction, root page and page size of a meta page."""
        data = self._read(offset, _HEADER + 136)
        kind, = struct.unpack_from('<H', data, 10)
        magic, version = struct.unpack_from('<II', data, _HEADER)
        if not kind & _META or magic != _MAGIC or version != _VERSION:
            raise self._damaged('no header of an LMDB')
        page_size, = struct.unpack_from('<I', data, _HEADER + 24)
        root, = struct.unpack_from('<Q', data, _HEADER + 112)
        transaction, = struct.unpack_from('<Q', data, _HEADER + 128)
        return transaction, root, page_size

    def _read(self, offset: int, size: int) -> bytes:
        """Returns bytes of the file.

        Raises:
            OSError: the file ends before them.
        """
        end = os.fstat(self._file).st_size
        if offset + size > end:
            raise self._damaged(f'{end} bytes, expected at least {offset + size}')
        return os.pread(self._file, size, offset)

    def _damaged(self, found: str) -> OSError:
        return OSError(errno.EIO, f'the LMDB is damaged or truncated: found {found}. '
                       'Copy the file again, or prepare the faces again',
                       str(self.path))
