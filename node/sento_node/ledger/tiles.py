"""Tiles: the ledger's tree kept as runs of 256 hashes, so that appending writes a few rows and any subtree is a slice and a few hashes.

Tile (level t, index i) holds the hashes of the complete subtrees of 2^(8t) leaves with numbers 256 i to 256 i + 255: level 0 holds record hashes, an entry
of level 1 is the root over one full tile of level 0, and so on. Only the last tile of each level is short; it is written anew when it grows.
The tree's frontier is always made of the short tiles alone. Pure: where tiles are kept is the caller's business.

Source: RFC 6962 section 2.1 for the hashes; the tiling is that of C2SP tlog-tiles, with tiles of 2^8.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence

from sento_proto.merkle import HASH_BYTES

TILE_BITS = 8
TILE_HASHES = 1 << TILE_BITS
TILE_BYTES = TILE_HASHES * HASH_BYTES

ReadTile = Callable[[int, int], bytes]
"""(tile level, index) -> the tile's bytes, b"" when there is none."""


class NotInTiles(LookupError):
    """The tiles do not hold the whole subtree that was asked for."""


def fold(hashes: bytes) -> bytes:
    """Root over a power of two of hashes that lie one behind the other."""
    sha256 = hashlib.sha256
    while len(hashes) > HASH_BYTES:
        hashes = b"".join(
            [sha256(b"\x01" + hashes[at : at + 64]).digest() for at in range(0, len(hashes), 64)]
        )
    return hashes


def subtree(read_tile: ReadTile, level: int, index: int) -> bytes:
    """Hash of the complete subtree over leaves [index << level, (index + 1) << level), in at most 127 hashes. Raises NotInTiles."""
    tile_level, height = divmod(level, TILE_BITS)
    first = index << height
    at = first % TILE_HASHES * HASH_BYTES
    piece = read_tile(tile_level, first >> TILE_BITS)[at : at + (HASH_BYTES << height)]
    if len(piece) != HASH_BYTES << height:
        raise NotInTiles(f"the tiles do not hold subtree {index} of level {level}")
    return fold(piece)


def tiles_of(size: int) -> Iterator[tuple[int, int, int]]:
    """(tile level, index, number of hashes) of every tile of a tree of `size` leaves, level by level from the leaves up."""
    level, count = 0, size
    while count:
        for index in range(-(-count // TILE_HASHES)):
            yield level, index, min(TILE_HASHES, count - index * TILE_HASHES)
        level, count = level + 1, count >> TILE_BITS


class TileEdge:
    """The short tile of each level: all that appending needs. One writer owns it."""

    __slots__ = ("_edges", "size")

    def __init__(self, size: int = 0, read_tile: ReadTile = lambda level, index: b"") -> None:
        """The edge of a tree of `size` leaves that `read_tile` holds. Raises NotInTiles when it does not."""
        self.size = size
        self._edges: list[bytearray] = []
        level, count = 0, size
        while count:
            short = count % TILE_HASHES * HASH_BYTES
            tile = read_tile(level, count >> TILE_BITS) if short else b""
            if len(tile) != short:
                raise NotInTiles(f"the last tile of level {level} is not as long as the tree's size says")
            self._edges.append(bytearray(tile))
            level, count = level + 1, count >> TILE_BITS

    def append(self, leaves: Sequence[bytes]) -> dict[tuple[int, int], bytes]:
        """Add leaf hashes; returns the tiles that changed, (tile level, index) -> bytes."""
        changed: dict[tuple[int, int], bytes] = {}
        count, level = self.size, 0
        self.size += len(leaves)
        while leaves:
            if level == len(self._edges):
                self._edges.append(bytearray())
            leaves = self._append_at(level, count >> TILE_BITS, leaves, changed)
            level, count = level + 1, count >> TILE_BITS
        return changed

    def _append_at(
        self, level: int, index: int, hashes: Sequence[bytes], changed: dict[tuple[int, int], bytes]
    ) -> list[bytes]:
        """Add hashes to one level; returns the roots of the tiles that became full."""
        edge, full, at = self._edges[level], [], 0
        while at < len(hashes):
            room = TILE_HASHES - len(edge) // HASH_BYTES
            edge += b"".join(hashes[at : at + room])
            at += room
            changed[level, index] = tile = bytes(edge)
            if len(tile) == TILE_BYTES:
                full.append(fold(tile))
                edge.clear()
                index += 1
        return full

    def frontier(self) -> list[bytes]:
        """The tree's frontier as `merkle.Frontier` has it, from the largest subtree to the smallest."""
        hashes = []
        for edge in reversed(self._edges):
            count, at = len(edge) // HASH_BYTES, 0
            for height in range(TILE_BITS - 1, -1, -1):
                if count >> height & 1:
                    hashes.append(fold(bytes(edge[at : at + (HASH_BYTES << height)])))
                    at += HASH_BYTES << height
        return hashes
