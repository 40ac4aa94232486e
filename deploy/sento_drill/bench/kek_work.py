"""The work on KEKs that the bench measures, in one process or several: sealing, opening, sealing again to a new reader, and opening with a recovery key.

It is the client's own code on seals like those in a ledger; no site takes part. HPKE holds the interpreter's lock, so further cores need processes.
"""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from statistics import median

from cryptography.hazmat.primitives.asymmetric import ec

from sento_client.kek_keeping.recipients import Recipient, Role
from sento_client.kek_keeping.seal_records import sealed_parts
from sento_client.kek_keeping.standing_kek import StandingKek, open_standing
from sento_client.recovery.kek_workers import try_all
from sento_client.recovery.keks import Wanted, gather
from sento_client.recovery.standing import CommittedSeal, KekScope
from sento_proto.kek_seal import KekName, kek_commit, open_kek, seal_kek, xwing_public
from sento_proto.seal import (
    XWING_SECRET_BYTES,
    P256Opener,
    SealOpener,
    XWingOpener,
    recipient_key_id,
    seal_suite_of,
)
from sento_proto.sealing import KEK_BYTES

LEDGER_ID = b"\x2a" * 32
PORTION = 500
ROUNDS, ROUND_S = 5, 1.0


def scope_of(number: int) -> KekScope:
    """The scope of the `number`-th KEK: one author each, as in a country."""
    return KekScope(f"institution-{number}", "health", "prescription", 1)


def rates_per_s(round_s: float = ROUND_S) -> dict[str, dict[str, float]]:
    """Seals and openings a second of one core, median of the rounds, by suite; and the bytes of a seal."""
    openers: dict[str, SealOpener] = {
        "x-wing": XWingOpener(os.urandom(XWING_SECRET_BYTES)),
        "p-256": P256Opener(ec.generate_private_key(ec.SECP256R1())),
    }
    return {name: _rates_of(opener, round_s) for name, opener in openers.items()}


def _rates_of(opener: SealOpener, round_s: float) -> dict[str, float]:
    kek, purpose = os.urandom(KEK_BYTES), KekName(LEDGER_ID, *scope_of(0))
    sealed = seal_kek(kek, purpose, opener.public_key)
    return {
        "seal_per_s": _rate(lambda: seal_kek(kek, purpose, opener.public_key), round_s),
        "open_per_s": _rate(lambda: open_kek(sealed, purpose, opener), round_s),
        "seal_bytes": len(sealed),
    }


def _rate(once: Callable[[], object], round_s: float) -> float:
    def one_round() -> float:
        count, start_s = 0, time.perf_counter()
        while time.perf_counter() - start_s < round_s:
            for _ in range(20):
                once()
            count += 20
        return count / (time.perf_counter() - start_s)

    one_round()
    return round(median(one_round() for _ in range(ROUNDS)))


def make_standing(numbers: Sequence[int], secret: bytes) -> list[StandingKek]:
    """KEKs with their author's seal, as the ledger has them. One key stands for all authors: opening costs the same."""
    public = xwing_public(secret)
    key_id = recipient_key_id(seal_suite_of(public), public)
    made = []
    for number in numbers:
        kek, scope = os.urandom(KEK_BYTES), scope_of(number)
        sealed = seal_kek(kek, KekName(LEDGER_ID, *scope), public)
        made.append(StandingKek(scope, kek_commit(kek), {key_id: (sealed,)}, 1))
    return made


def reseal(standing: Sequence[StandingKek], secret: bytes, reader_public: bytes) -> int:
    """Open each own seal, compare it with its commitment, seal to the reader; how many parts came of it."""
    opener = XWingOpener(secret)
    key_id = recipient_key_id(seal_suite_of(reader_public), reader_public)
    reader = Recipient(Role.READER, "new-reader", reader_public, key_id)
    count = 0
    for one in standing:
        opened = open_standing(LEDGER_ID, one, opener)
        if opened.kek is None:
            raise RuntimeError(f"a seal did not open: {opened.trouble}")
        count += len(sealed_parts(LEDGER_ID, one.scope, opened.kek, [reader], one.next_part))
    return count


def unlock(standing: Iterable[StandingKek], secret: bytes, processes: int) -> int:
    """Open all with the recovery key as `sento recovery unlock` does; how many KEKs came of it."""
    seals = (
        CommittedSeal(KekName(LEDGER_ID, *one.scope), one.commitment, sealed)
        for one in standing
        for each in one.seals.values()
        for sealed in each
    )
    opened = gather(try_all(seals, secret, processes), Wanted(), ())
    if opened.bad:
        raise RuntimeError(opened.bad[0].words)
    return len(opened.keks)


class Workers:
    """Processes that make and seal again, portion by portion; started before anything is measured."""

    def __init__(self, processes: int) -> None:
        self._pool = ProcessPoolExecutor(processes, multiprocessing.get_context("spawn"))
        list(self._pool.map(make_standing, [[]] * processes, [bytes(XWING_SECRET_BYTES)] * processes))

    def close(self) -> None:
        """End them."""
        self._pool.shutdown()

    def make(self, count: int, secret: bytes) -> Iterator[StandingKek]:
        """So many KEKs."""
        portions = [range(at, min(at + PORTION, count)) for at in range(0, count, PORTION)]
        for made in self._pool.map(make_standing, portions, [secret] * len(portions)):
            yield from made

    def reseal(self, standing: Sequence[StandingKek], secret: bytes, reader_public: bytes) -> int:
        """As `reseal`, spread over the processes."""
        portions = [standing[at : at + PORTION] for at in range(0, len(standing), PORTION)]
        count = len(portions)
        return sum(self._pool.map(reseal, portions, [secret] * count, [reader_public] * count))
