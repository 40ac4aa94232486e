"""What is due of the erasure orders, and in which order: payloads, then the ordering log, then the certificate. Pure.

    payloads      every payload that an order covers is off this site's segments
    ordering log  no block up to the act that carried the order out is left in it: trimmed, its history forgotten, the write-ahead files of that moment gone,
                  the database written anew
    certificate   signed, with the volumes outside of the site that still hold one of the payloads

Nothing is certified before both are done. All of it can be begun again from the start: what is kept between lives are the certificates and a count, and
after a crash the facts are looked at anew. So a site that was away, or died at any step, erases when it is back. One pass through the ordering log
serves all orders whose payloads are gone when it begins; an order that comes later waits for the next.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from sento_proto.erasure_certificate import Volume
from sento_proto.governance.state import ErasureOrder

FILL_AFTER_MS: Final = 2_000
"""How long the site with the lead waits before it writes filler, so that one filling serves all sites."""
FILL_AFTER_OTHERS_MS: Final = 12_000
"""How long the others wait for that before they write their own."""


@dataclass(frozen=True, slots=True)
class LogPass:
    """One pass through the ordering log's files for `orders`, whose blocks all lie at or below `through_block`."""

    orders: tuple[int, ...]
    through_block: int
    through_revision: int
    trimmed: bool = False
    forgotten: bool = False
    noted_files: frozenset[str] = frozenset()
    noted_ms: int = 0
    filler_rounds: int = 0
    rewritten: bool = False


@dataclass(frozen=True, slots=True)
class Facts:
    """How a site stands. `due`: positions of carried-out orders that the flushed ledger holds and that have no certificate, rising; `payloads_left`: those,
    certified or not, whose payloads are not known to be off the segments; `files`: the write-ahead files now; `log_writes_files`: False for a log without
    files."""

    due: tuple[int, ...]
    payloads_left: tuple[int, ...]
    log: LogPass | None
    files: frozenset[str]
    is_lead: bool
    now_ms: int
    log_writes_files: bool = True


@dataclass(frozen=True, slots=True)
class ErasePayloads:
    """One bounded step of `LedgerStore.erase` for this order."""

    order: int


@dataclass(frozen=True, slots=True)
class BeginLogPass:
    """Begin a pass through the ordering log for these orders."""

    orders: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class TrimThrough:
    """Look whether blocks are left, and have them trimmed as soon as the quorum's checkpoints allow it."""

    block: int


@dataclass(frozen=True, slots=True)
class ForgetHistory:
    """Compact, and note the write-ahead files that there are then."""


@dataclass(frozen=True, slots=True)
class WriteFiller:
    """A round of filler, then remove what was given free."""


@dataclass(frozen=True, slots=True)
class RemoveReleased:
    """Remove what was given free: another site writes the filler."""


@dataclass(frozen=True, slots=True)
class RewriteDatabase:
    """Write the member's database anew."""


@dataclass(frozen=True, slots=True)
class Certify:
    """Sign a certificate for each of these orders; the pass is over."""

    orders: tuple[int, ...]


Step = (
    ErasePayloads | BeginLogPass | TrimThrough | ForgetHistory | WriteFiller | RemoveReleased | RewriteDatabase
    | Certify
)  # fmt: skip


def due_orders(
    orders: Iterable[ErasureOrder], certified: Collection[int], flushed_size: int
) -> tuple[int, ...]:
    """Positions of the orders to be carried out here, rising: their second act stands in the flushed ledger, and no certificate was signed."""
    return tuple(
        sorted(
            order.position
            for order in orders
            if order.carried_out_at is not None
            and order.carried_out_at < flushed_size
            and order.position not in certified
        )
    )


def payloads_left(
    orders: Iterable[ErasureOrder], clear: Collection[int], flushed_size: int
) -> tuple[int, ...]:
    """Positions of the orders to be looked through for payloads, rising: all that were carried out in the flushed ledger, but for those in `clear`, looked
    through in this life. Also those with a certificate: a ledger made anew since may have copied a payload from a site that did not know of the order yet."""
    return tuple(position for position in due_orders(orders, (), flushed_size) if position not in clear)


def next_step(facts: Facts) -> Step | None:
    """What to do now; None when nothing is due."""
    if facts.payloads_left:
        return ErasePayloads(facts.payloads_left[0])
    if not facts.due:
        return None
    if not facts.log_writes_files:
        return Certify(facts.due)
    log = facts.log
    if log is None:
        return BeginLogPass(facts.due)
    if not log.trimmed:
        return TrimThrough(log.through_block)
    if not log.forgotten:
        return ForgetHistory()
    if log.noted_files & facts.files:
        waited_ms = facts.now_ms - log.noted_ms
        fills = waited_ms >= (FILL_AFTER_MS if facts.is_lead else FILL_AFTER_OTHERS_MS)
        return WriteFiller() if fills else RemoveReleased()
    if not log.rewritten:
        return RewriteDatabase()
    return Certify(log.orders)


def still_holding(volumes: Sequence[Volume], lowest_position: int | None) -> tuple[Volume, ...]:
    """The volumes that hold a payload of an order whose lowest record stands there, until they are destroyed or brought back in."""
    if lowest_position is None:
        return ()
    return tuple(volume for volume in volumes if volume.state == "made" and volume.size > lowest_position)


def with_volume(volumes: Sequence[Volume], noted: Volume) -> tuple[Volume, ...]:
    """The list after a note: a number stands once, in the order in which numbers were first noted. A size of 0 in a later note keeps the size known before."""
    known = {volume.number: volume for volume in volumes}
    before = known.get(noted.number)
    if before is not None and noted.size == 0:
        noted = noted._replace(size=before.size)
    known[noted.number] = noted
    return tuple(known.values())
