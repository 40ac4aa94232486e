"""Receipts without sites: what it takes a client to derive them from proofs, to put them on disk, and to give them out; and how large they are.

Deriving is what follows on a proof from a site: the records of a run are shown to stand under the checkpoint's root, and each one's own path comes of it. What
a checkpoint's cosignatures take is spent once a checkpoint, however many receipts stand on it.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Callable, Iterator
from itertools import count

from sento_client.outbox.shelf import Belongs
from sento_client.receipts.store import ProvenRun, ReceiptStore, look
from sento_drill.bench.calls import LoadFailed
from sento_drill.bench.proofs.made_ledger import MadeLedger
from sento_drill.bench.proofs.parts import Found, Place, Row
from sento_drill.bench.proofs.rates import rate_fields, rate_words, rounds_per_s
from sento_drill.bench.proofs.sizes import Sizes
from sento_drill.plan import IIZUKA_CITY
from sento_proto.checkpoint import cosigners
from sento_proto.merkle import run_paths
from sento_proto.receipt import Receipt, encode_receipt

RUN_RECORDS = 40
"""As many as a full submission of small records has: they stand side by side and are proven together."""
RUNS_A_FLUSH = 25
_NEWEST_EPOCH = 1_000_000
LARGER_LEDGERS = {"65,536": 16, "2^30": 30}
"""Records of a ledger, and the hashes of a path in it."""


async def measure_receipts(place: Place) -> Found:
    """All figures of receipts that need no site."""
    return await asyncio.to_thread(_measure, place)


def _measure(place: Place) -> Found:
    found, sizes = Found(), place.sizes
    place.tell("making a tree of 65,536 records")
    ledgers = {True: MadeLedger(with_ml_dsa=True), False: MadeLedger(with_ml_dsa=False)}
    _derive(found, ledgers[True], sizes)
    for with_ml_dsa, ledger in ledgers.items():
        _cosignatures(found, ledger, sizes, _keys_words(with_ml_dsa=with_ml_dsa))
    place.tell("storing receipts, flushed")
    _store(found, ledgers[True], place)
    for with_ml_dsa, ledger in ledgers.items():
        _file_sizes(found, ledger, _keys_words(with_ml_dsa=with_ml_dsa))
    return found


def _keys_words(*, with_ml_dsa: bool) -> str:
    return "Ed25519 and ML-DSA-44" if with_ml_dsa else "Ed25519 alone"


def _runs(ledger: MadeLedger, size: int, records: int) -> Iterator[ProvenRun]:
    """Runs of the ledger one after the other, each with its two paths; from the beginning again at the end."""
    while True:
        for position in range(0, size - records + 1, records):
            hashes = ledger.leaves[position : position + records]
            first, last = ledger.path(position, size), ledger.path(position + records - 1, size)
            yield ProvenRun(position, hashes, [os.urandom(16) for _ in hashes], first, last)


def _derive(found: Found, ledger: MadeLedger, sizes: Sizes) -> None:
    size = len(ledger.leaves) - 1
    checkpoint = ledger.checkpoint(size)
    for records in (RUN_RECORDS, 1):
        source = _runs(ledger, size, records)
        ready = [next(source) for _ in range(2_000 // records)]

        def once(ready: list[ProvenRun] = ready) -> int:
            made = 0
            for run in ready:
                paths = run_paths(run.hashes, run.position, size, run.first, run.last, checkpoint.root)
                if paths is None:
                    raise LoadFailed("a run that stands was not shown to stand")
                for place, path in enumerate(paths):
                    Receipt(checkpoint.ledger_id, run.position + place, run.hashes[place], path, checkpoint)
                    made += 1
            return made

        rates = rounds_per_s(once, sizes.rounds, sizes.round_s)
        words = f"derived and verified, {records} record{'s' if records > 1 else ''} side by side"
        found.add(
            f"derived_runs_of_{records}", rate_fields(rates), Row(words, *rate_words(rates, "receipts"))
        )


def _cosignatures(found: Found, ledger: MadeLedger, sizes: Sizes, keys: str) -> None:
    checkpoint = ledger.checkpoint(len(ledger.leaves))
    wanted = ledger.governance.receipt_quorum_at(checkpoint.size)

    def once() -> int:
        if len(cosigners(checkpoint, wanted.keys)) != len(ledger.genesis.sites):
            raise LoadFailed("a cosignature that was just made does not verify")
        return 1

    rates = rounds_per_s(once, sizes.rounds, sizes.round_s)
    figure, note = rate_words(rates, "checkpoints")
    row = Row(f"checkpoint verified, 3 sites, {keys}", figure, f"{note}; once for all receipts under it")
    name = f"checkpoints_{'with' if ledger.with_ml_dsa else 'without'}_ml_dsa_44"
    found.add(name, rate_fields(rates), row)


def _store(found: Found, ledger: MadeLedger, place: Place) -> None:
    sizes = place.sizes
    for runs, records in ((RUNS_A_FLUSH, RUN_RECORDS), (RUN_RECORDS, 1), (1, 1)):
        store = ReceiptStore.open(
            place.directory / f"{runs}x{records}", Belongs(ledger.genesis.ledger_id, IIZUKA_CITY.name)
        )
        try:
            stored = rounds_per_s(_putting(store, ledger, runs, records), sizes.rounds, sizes.round_s)
            given = rounds_per_s(_giving_out(store, ledger, records), sizes.rounds, sizes.round_s)
        finally:
            store.close()
        held = look(store.path)
        if held is None or held.trouble or not held.receipts:
            raise LoadFailed(f"the receipts that were stored cannot be read: {held}")
        each_bytes = held.size_bytes / held.receipts
        figures = {
            "stored": rate_fields(stored),
            "given_out": rate_fields(given),
            "receipts": held.receipts,
            "bytes_a_receipt": round(each_bytes, 1),
        }
        words = f"stored, a flush for each {runs * records} in runs of {records}"
        figure, _ = rate_words(stored, "receipts")
        found.add(
            f"stored_{runs}x{records}",
            figures,
            Row(words, figure, f"{each_bytes:,.0f} bytes each on disk, checkpoints among them"),
        )
        if runs != 1:
            words = f"read from there and made into a file's bytes, runs of {records}"
            found.rows.append(Row(words, *rate_words(given, "receipts")))


def _putting(store: ReceiptStore, ledger: MadeLedger, runs: int, records: int) -> Callable[[], int]:
    """Puts so many runs under a checkpoint of their own, as it comes in life; the ledger's records again and again, each time as another epoch's."""
    size = len(ledger.leaves)
    template, source = ledger.checkpoint(size), _runs(ledger, size, records)
    ready = [[next(source) for _ in range(runs)] for _ in range(max(1, size // (runs * records) // 4))]
    numbers = count()

    def once() -> int:
        number = next(numbers)
        checkpoint = template._replace(epoch=number // len(ready), size=size + number)
        try:
            store.put(checkpoint, ready[number % len(ready)])
        except sqlite3.Error as error:
            raise LoadFailed(f"receipts cannot be stored: {error}") from None
        return runs * records

    return once


def _giving_out(store: ReceiptStore, ledger: MadeLedger, records: int) -> Callable[[], int]:
    """Gives out receipts that verify: of a run that is put last, as the newest epoch's."""
    checkpoint = ledger.checkpoint(len(ledger.leaves))._replace(epoch=_NEWEST_EPOCH)
    source = _runs(ledger, checkpoint.size, records)
    store.put(checkpoint, [next(source) for _ in range(RUN_RECORDS // records)])

    def once() -> int:
        for position in range(RUN_RECORDS):
            receipt = store.at(position)
            if receipt is None or receipt.record_hash != ledger.leaves[position]:
                raise LoadFailed("a receipt that was stored is not there")
            encode_receipt(receipt)
        return RUN_RECORDS

    return once


def _file_sizes(found: Found, ledger: MadeLedger, keys: str) -> None:
    checkpoint = ledger.checkpoint(len(ledger.leaves))
    receipt = ledger.receipt(0, checkpoint)
    for records, hashes in LARGER_LEDGERS.items():
        path = tuple(os.urandom(32) for _ in range(hashes))
        size_bytes = len(encode_receipt(receipt._replace(path=path)))
        name = f"file_bytes_{'with' if ledger.with_ml_dsa else 'without'}_ml_dsa_44_path_{hashes}"
        row = Row(f"receipt file, 3 sites, {keys}, ledger of {records} records", f"{size_bytes:,} bytes")
        found.add(name, size_bytes, row)
