"""Hurting the ledger of a stopped site: gone, cut short, overwritten, put back in time, or made into another one that is consistent in itself."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeAlias

import lmdb

from sento_node.compose import COSIGNED_NAME, encode_cosigned
from sento_node.ledger import rows, tiles
from sento_node.ledger.lmdb_files import META_TIP, Tables, database_directory, open_ledger, open_to_verify
from sento_node.ledger.rows import position_key
from sento_node.quorum.effects import Cosigned
from sento_proto import header as header_layout
from sento_proto.merkle import HASH_BYTES, Frontier
from sento_proto.record import record_hash_of

Txn: TypeAlias = "lmdb.Transaction[bytes]"


def database(ledger: Path) -> Path:
    """The database's file."""
    return database_directory(ledger) / "data.mdb"


def write_garbage(path: Path, *, share: float = 0.6) -> None:
    """Overwrite the part of a file behind its two meta pages with bytes that mean nothing, page by page, and keep its length."""
    size = path.stat().st_size
    with path.open("r+b") as file:
        for at in range(2 * 4096, int(size * share), 4096):
            file.seek(at)
            file.write(os.urandom(4096))


@contextmanager
def opened(ledger: Path) -> Iterator[tuple[Txn, Tables]]:
    """The tables of a ledger, to write."""
    env, tables = open_to_verify(ledger)
    with env, env.begin() as txn:
        ledger_id = txn.get(b"ledger id", b"", db=tables.meta)
    files = open_ledger(ledger, ledger_id)
    try:
        with files.env.begin(write=True) as txn:
            yield txn, files.tables
    finally:
        files.close()


def row_of(txn: Txn, table: lmdb._Database, key: bytes) -> bytes:
    """The row that stands under a key."""
    row = txn.get(key, db=table)
    assert row is not None
    return row


def alter_consistently(ledger: Path, position: int) -> None:
    """Make the record at `position` another one: its row, its hash in the tree, the tip, and the site's own note of what it cosigned all agree; checkpoints
    over it are gone.

    For a record in the tree's last, short tile."""
    with opened(ledger) as (txn, tables):
        row = rows.decode_record_row(position, row_of(txn, tables.rows, position_key(position)))
        header = header_layout.decode(row.header_bytes)
        altered = header_layout.encode(header._replace(time_ms=header.time_ms + 1))
        data = row_of(txn, tables.rows, position_key(position))
        at = data.index(row.header_bytes)
        txn.put(
            position_key(position),
            rows._checked(data[:at] + altered + data[at + len(altered) : -4]),
            db=tables.rows,
        )
        with txn.cursor(tables.checkpoints) as cursor:
            while cursor.set_range(position_key(position + 1)):
                cursor.delete()
        last = rows.tile_key(0, position >> tiles.TILE_BITS)
        tile, within = row_of(txn, tables.tiles, last), position % tiles.TILE_HASHES * HASH_BYTES
        assert len(tile) < tiles.TILE_BYTES
        leaf = record_hash_of(altered, row.payload_hash)
        txn.put(last, tile[:within] + leaf + tile[within + HASH_BYTES :], db=tables.tiles)

        def frontier(size: int) -> Frontier:
            return Frontier(size, frontier_over(txn, tables, size))

        txn.delete(tile_leaf(row.header_bytes, row.payload_hash), db=tables.hashes)
        txn.put(leaf, position_key(position), db=tables.hashes)
        tip = rows.decode_tip(row_of(txn, tables.meta, META_TIP))
        hashes = tuple(frontier(tip.size).hashes)
        txn.put(META_TIP, rows.encode_tip(tip._replace(frontier=hashes)), db=tables.meta)
        size = int.from_bytes(row_of(txn, tables.remembered, COSIGNED_NAME.encode())[4:12], "big")
        note = encode_cosigned(Cosigned(0, size, frontier(size).root()))
        name = COSIGNED_NAME.encode()
        txn.put(name, note, db=tables.remembered)
        if txn.get(rows.remembered_check_key(name), db=tables.remembered) is not None:
            txn.put(rows.remembered_check_key(name), rows.remembered_check(name, note), db=tables.remembered)


def tile_leaf(header_bytes: bytes, payload_hash: bytes) -> bytes:
    """The hash that the tree had for a record."""
    return record_hash_of(header_bytes, payload_hash)


def frontier_over(txn: Txn, tables: Tables, size: int) -> list[bytes]:
    """The frontier of the first `size` leaves, from the tiles."""

    def read(level: int, index: int) -> bytes:
        return bytes(txn.get(rows.tile_key(level, index), b"", db=tables.tiles))

    hashes, at = [], 0
    for level in range(size.bit_length() - 1, -1, -1):
        if size >> level & 1:
            hashes.append(tiles.subtree(read, level, at >> level))
            at += 1 << level
    return hashes
