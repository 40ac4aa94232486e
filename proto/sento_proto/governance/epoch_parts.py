"""An epoch that officers began, and the gap that a recovery left in what stands below it, as values."""

from __future__ import annotations

from typing import NamedTuple


class Epoch(NamedTuple):
    """A life of the ordering log that the act at position `act_at` began: `fork_size` records and the blocks through `block_base` of epoch `parent` stay, and
    the new log's block 1 is the ledger's block `block_base` + 1. `plan`: SHA-256 of the plan that the officers signed.

    `agreed_size`: the first records of it that a quorum of `parent` is known to have cosigned. The rest up to the fork is what one survivor's copy ended with:
    others of the parent epoch may have come to other records there, so that what its sites vouched for proves nothing about these by itself."""

    number: int
    parent: int
    fork_size: int
    fork_root: bytes
    act_at: int
    block_base: int
    plan: bytes
    reason: str
    agreed_size: int


class Gap(NamedTuple):
    """What the recovery that began `epoch` may have lost, by the officers' newest word on it: entries between `as_of_ms` (ms since 1970) and the recovery.

    `known_missing`: records known as acknowledged that do not stand; `open`: whether it is still being closed; `from_size`: size of the epoch's fork. What
    stands below it was found by the recovery, and may have been followed by what is missing."""

    epoch: int
    as_of_ms: int
    known_missing: int
    open: bool
    from_size: int
