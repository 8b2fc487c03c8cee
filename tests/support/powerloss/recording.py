"""Reads the recorder's log (format.h): Record by Record, disk operations and marks in one order."""

import mmap
import struct
from typing import NamedTuple

MAGIC = 0xD7
HEADER = struct.Struct("<BBHIQQII")

OPEN, WRITE, TRUNCATE, ALLOCATE, RENAME, UNLINK, REMOVE_DIR, LINK, MAKE_DIR = range(1, 10)
SYNC_BEGIN, SYNC_END, CLOSE, UNCOVERED = range(10, 14)
MARK = 0  # not in the log's own numbers: a line of text

CREATED, TRUNCATED, DIRECTORY, ZEROS, DATA_ONLY, KEEP_SIZE = 1, 2, 4, 8, 16, 32

NAMES = "mark open write truncate allocate rename unlink rmdir link mkdir sync-begin sync-end close uncovered".split()


class Void(Exception):
    """The recording is not whole: nothing follows from it."""


class Record(NamedTuple):
    op: int
    flags: int
    handle: int
    offset: int
    length: int
    path: str  # of a mark: its line
    path2: str
    data_at: int  # where the data of a write lies in the log


class Recording:
    """All records of a log. A record that the end of the process cut off is left out."""

    def __init__(self, path):
        with open(path, "rb") as file:
            self.bytes = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self.records = list(self._read())
        for record in self.records:
            if record.op == UNCOVERED:
                raise Void(record.path)

    def data(self, record, start=0, end=None):
        """The bytes that a write wrote, or a piece of them."""
        end = record.length if end is None else end
        if record.flags & ZEROS:
            return bytes(end - start)
        return self.bytes[record.data_at + start : record.data_at + end]

    def _read(self):
        at, size = 0, len(self.bytes)
        while at < size:
            if self.bytes[at] != MAGIC:
                end = self.bytes.find(b"\n", at)
                if end < 0:
                    return
                yield Record(MARK, 0, 0, 0, 0, self.bytes[at:end].decode(), "", 0)
                at = end + 1
                continue
            if at + HEADER.size > size:
                return
            _, op, flags, handle, offset, length, path_size, path2_size = HEADER.unpack_from(self.bytes, at)
            at += HEADER.size
            path = self.bytes[at : at + path_size].decode()
            at += path_size
            path2 = self.bytes[at : at + path2_size].decode()
            at += path2_size
            data_at = at
            if op == WRITE and not flags & ZEROS:
                at += length
            if at > size:
                return
            yield Record(op, flags, handle, offset, length, path, path2, data_at)
