"""The process that looks at a ledger's files for a node: a bad page of LMDB can kill whoever reads it, so it kills this one.

    python -m sento_node.rebuild.child look LEDGER GENESIS       pages, segments against their account, what the ledger remembers; quick
    python -m sento_node.rebuild.child whole LEDGER GENESIS      everything derived anew from the genesis file, and the checkpoints that it keeps
    python -m sento_node.rebuild.child cut LEDGER GENESIS SIZE BLOCK   cut a copy back to an agreed size (`ledger/lmdb_cut.py`)

One JSON object a line: {"unbegun"}, {"problem"}, {"damage"}, {"remembered"}, {"checkpoint"}, {"sound"}, {"ends"}, {"in_use"}, and {"done": true} at the end.
Without the last line it died: what it had said until then holds, and the ledger is damaged.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import lmdb

from sento_node.ledger import rows
from sento_node.ledger.findings import Kind
from sento_node.ledger.lmdb_cut import cut_ledger
from sento_node.ledger.lmdb_files import (
    FORMAT,
    LedgerNotOpened,
    check_meta,
    database_directory,
    lock_directory,
    open_to_read,
    open_to_verify,
    payloads_directory,
)
from sento_node.ledger.segments import (
    HEADER_BYTES,
    positions_named,
    segment_header,
    segment_numbers,
    segment_path,
)
from sento_node.ledger.verify import Verification
from sento_node.ledger.verify_files import verify_pages
from sento_node.ledger.verify_image import Image
from sento_proto.genesis import Genesis, decode_genesis
from sento_proto.wire import Malformed

Line = dict[str, object]


def look(directory: Path, genesis: Genesis) -> Iterator[Line]:
    """Whether the ledger can be opened, and what it remembers. Raises LedgerNotOpened when it is in use."""
    lock_fd = lock_directory(directory)
    try:
        if _is_unbegun(directory):
            yield {"unbegun": True}
        damaged = list(verify_pages(directory))
        for finding in damaged[:1]:
            yield {"problem": finding.words}
        if not damaged:
            yield from _look_inside(directory, genesis)
    finally:
        os.close(lock_fd)


def _is_unbegun(directory: Path) -> bool:
    """Whether a node made the database's file and ended before its first commit: nothing is in it, and no payload lies beside it."""
    if segment_numbers(payloads_directory(directory)):
        return False
    if (database_directory(directory) / "data.mdb").stat().st_size == 0:
        return True
    try:
        with open_to_read(directory, beside_writer=False) as env:
            return int(env.stat()["entries"]) == 0
    except lmdb.Error:
        return False


def _look_inside(directory: Path, genesis: Genesis) -> Iterator[Line]:
    try:
        env, tables = open_to_verify(directory)
    except (lmdb.Error, LedgerNotOpened) as error:
        yield {"problem": f"The ledger's database cannot be opened ({error})."}
        return
    with env, env.begin() as txn:
        image = Image(txn, tables)
        form, ledger_id = image.meta()
        if form is None or (form == FORMAT and ledger_id is None):
            yield {"problem": "The ledger's database does not say what it is."}
        elif not _has_segment_of(payloads_directory(directory), genesis.ledger_id):
            # Nothing here says that it is ours: a wrong directory is a mistake of people, and no ledger to be made anew.
            check_meta(directory, form, ledger_id or b"", genesis.ledger_id)
        _, finding = image.tip()
        if finding is not None:
            yield {"problem": finding.words}
        named: set[int] = set()
        for key, row in image.scan(tables.segments):
            words = _segment_problem(payloads_directory(directory), genesis.ledger_id, key, row)
            if words:
                yield {"problem": words}
            named.add(int.from_bytes(key, "big"))
        for number in sorted(set(segment_numbers(payloads_directory(directory))) - named):
            if _is_lived_in(image, payloads_directory(directory), number):
                yield {
                    "problem": f"The database does not name payload segment {number} any more, and records lie in it."
                }
        yield from _remembered(image)


def _has_segment_of(payloads: Path, ledger_id: bytes) -> bool:
    for number in segment_numbers(payloads):
        with segment_path(payloads, number).open("rb") as file:
            if file.read(HEADER_BYTES) == segment_header(number, ledger_id):
                return True
    return False


def _is_lived_in(image: Image, payloads: Path, number: int) -> bool:
    """Whether a record's row leads into this segment, by what the segment's own entries name."""
    for position in positions_named(segment_path(payloads, number)):
        if position > rows.POSITION_MAX:
            continue
        row = image.get(image.tables.rows, rows.position_key(position))
        try:
            locator = None if row is None else rows.decode_record_row(position, row).locator
        except Malformed:
            continue
        if locator is not None and (locator.kind, locator.segment) == (rows.STORED, number):
            return True
    return False


def _segment_problem(payloads: Path, ledger_id: bytes, key: bytes, row: bytes) -> str:
    try:
        number, end = rows.decode_segment_row(key, row)
    except Malformed as error:
        return f"A segment's row cannot be read ({error})."
    path = segment_path(payloads, number)
    if not path.exists():
        return f"The file of payload segment {number} is missing."
    if path.stat().st_size < end:
        return f"The file of payload segment {number} ends at byte {path.stat().st_size} of {end}."
    with path.open("rb") as file:
        header = file.read(HEADER_BYTES)
    return (
        ""
        if header == segment_header(number, ledger_id)
        else f"The file of payload segment {number} does not begin as it must."
    )


def _remembered(image: Image) -> Iterator[Line]:
    for name, value in image.scan(image.tables.remembered):
        if name.startswith((rows.AWAITED_PREFIX, rows.REMEMBERED_CHECK_PREFIX)):
            continue
        check = image.get(image.tables.remembered, rows.REMEMBERED_CHECK_PREFIX + name)
        if check is not None and check != rows.remembered_check(name, value):
            continue
        yield {"remembered": name.decode("utf-8", "replace"), "value": value.hex()}


def whole(directory: Path, genesis: Genesis) -> Iterator[Line]:
    """Where something is wrong, what the ledger remembers, and the checkpoints that it keeps. Raises LedgerNotOpened when it is in use."""
    verification = Verification(directory, genesis)
    for finding in verification.findings():
        if finding.kind is not Kind.ERASED:
            yield {"damage": [finding.position, finding.block], "words": finding.words}
    if not verification.summary.blocks and verification.summary.wrong:
        return
    env, tables = open_to_verify(directory)
    with env, env.begin() as txn:
        image = Image(txn, tables)
        for key, row in image.scan(tables.checkpoints):
            try:
                kept = rows.decode_checkpoint_row(key, row)
            except Malformed:
                continue
            yield {"checkpoint": [kept.size, kept.block]}
        yield from _remembered(image)
    if verification.summary.sound:
        yield {"sound": verification.summary.size}


def cut(directory: Path, genesis: Genesis, size: int, block: int) -> Iterator[Line]:
    """Cut a copy back. Raises LedgerNotOpened, lmdb.Error, LedgerDamaged."""
    ends = cut_ledger(directory, size, block)
    yield {"ends": {str(number): end for number, end in ends.items()}}


def main(arguments: list[str]) -> int:
    """Say the lines of one question. Exit code 0: everything was looked at."""
    question, directory, genesis_path, *rest = arguments
    genesis = decode_genesis(Path(genesis_path).read_bytes())
    try:
        if question == "look":
            lines = look(Path(directory), genesis)
        elif question == "whole":
            lines = whole(Path(directory), genesis)
        else:
            lines = cut(Path(directory), genesis, int(rest[0]), int(rest[1]))
        for line in lines:
            print(json.dumps(line), flush=True)
    except LedgerNotOpened as error:
        print(json.dumps({"in_use": str(error)}), flush=True)
        return 2
    print(json.dumps({"done": True}), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
