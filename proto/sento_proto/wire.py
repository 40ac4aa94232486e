"""Strict big-endian reading and writing: the one cursor that every decoder of ours is made of.

A decoder built on `Reader` accepts exactly one encoding of each value: lengths are checked before bytes are taken, every enumerated byte is
checked by its caller, and `end()` refuses what is left over. The only exception it raises is `Malformed`.
"""

from __future__ import annotations

import struct

_U16 = struct.Struct(">H")
_U32 = struct.Struct(">I")
_U64 = struct.Struct(">Q")


class Malformed(ValueError):
    """Bytes that are not in the one accepted form. The text names the field and what is wrong with it, never its content."""


class Reader:
    """Reads fields off `data` from the front. Every method raises Malformed when the bytes are not there."""

    __slots__ = ("_at", "_data", "_what")

    def __init__(self, data: bytes, what: str) -> None:
        self._data = data
        self._at = 0
        self._what = what

    def take(self, count: int, field: str) -> bytes:
        """The next `count` bytes."""
        end = self._at + count
        if end > len(self._data):
            raise Malformed(f"{self._what}: ends inside {field}")
        piece = self._data[self._at : end]
        self._at = end
        return piece

    def u8(self, field: str) -> int:
        """One unsigned byte."""
        return self.take(1, field)[0]

    def u16(self, field: str) -> int:
        """Two bytes, big-endian."""
        return int(_U16.unpack(self.take(2, field))[0])

    def u32(self, field: str) -> int:
        """Four bytes, big-endian."""
        return int(_U32.unpack(self.take(4, field))[0])

    def u64(self, field: str) -> int:
        """Eight bytes, big-endian."""
        return int(_U64.unpack(self.take(8, field))[0])

    def sized16(self, field: str, max_bytes: int) -> bytes:
        """u16 length, then that many bytes, at most `max_bytes`."""
        return self._sized(self.u16(f"{field} length"), field, max_bytes)

    def sized32(self, field: str, max_bytes: int) -> bytes:
        """u32 length, then that many bytes, at most `max_bytes`."""
        return self._sized(self.u32(f"{field} length"), field, max_bytes)

    def pair_sized32(
        self, first: str, first_max_bytes: int, second: str, second_max_bytes: int
    ) -> tuple[bytes, bytes]:
        """Two `sized32` fields in a row, in one step when both are there: the form in which records travel."""
        data, at = self._data, self._at
        start = at + 4
        middle = start + int.from_bytes(data[at:start], "big")
        begin = middle + 4
        end = begin + int.from_bytes(data[middle:begin], "big")
        if (
            middle - start > first_max_bytes
            or end - begin > second_max_bytes
            or end > len(data)
            or begin > len(data)
        ):
            return self.sized32(first, first_max_bytes), self.sized32(second, second_max_bytes)
        self._at = end
        return data[start:middle], data[begin:end]

    def _sized(self, size: int, field: str, max_bytes: int) -> bytes:
        if size > max_bytes:
            raise Malformed(f"{self._what}: {field} is {size} bytes, over the limit of {max_bytes}")
        return self.take(size, field)

    @property
    def what(self) -> str:
        """What is being read, as errors name it."""
        return self._what

    @property
    def at(self) -> int:
        """Offset of the next byte."""
        return self._at

    def end(self) -> None:
        """Refuse bytes that no field accounts for."""
        left = len(self._data) - self._at
        if left:
            raise Malformed(f"{self._what}: {left} bytes after the end")


def u8(value: int) -> bytes:
    """One unsigned byte."""
    return value.to_bytes(1, "big")


def u16(value: int) -> bytes:
    """Two bytes, big-endian."""
    return _U16.pack(value)


def u32(value: int) -> bytes:
    """Four bytes, big-endian."""
    return _U32.pack(value)


def u64(value: int) -> bytes:
    """Eight bytes, big-endian."""
    return _U64.pack(value)


def sized16(data: bytes) -> bytes:
    """`data` behind its length as u16."""
    return _U16.pack(len(data)) + data


def sized32(data: bytes) -> bytes:
    """`data` behind its length as u32."""
    return _U32.pack(len(data)) + data
