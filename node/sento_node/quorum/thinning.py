"""Thinning: which of the newest quorum checkpoints need not be kept once a newer one is.

A checkpoint comes every second, and with ML-DSA-44 lines it has some 10 KB: kept for ever they would be 0.9 GB a day. What they are kept for bears gaps:

 * whoever catches up from this ledger takes it in chunks that end at a checkpoint and are adopted whole: a gap is memory there
 * a reader's proof goes to the first checkpoint behind its record, and the newest is always there
 * a site that comes back is told the newest size it cosigned, which betrays a disk that was rolled back

So one between two others goes when the gap that it leaves is below `GAP_RECORDS`, `GAP_BLOCKS` and `GAP_S`, and each site that cosigned it cosigned a newer
one as well. Records bound a chunk (30 KiB of payload each, so some 30 MiB, which 1,000 new records between two checkpoints always could be), blocks
bound what refusals add to it. Times are sites' clocks: one that goes back by a minute ends the gap too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from sento_node.ledger.store import KeptCheckpoint
from sento_proto.checkpoint import SiteKeys, cosigners, decode_checkpoint

GAP_RECORDS = 1_000
GAP_BLOCKS = 1_000
GAP_S = 60
LOOKED_AT = 8
"""So many of the newest are looked at. One that a silent site alone holds here stays for good when it is older: one for each such silence."""


class Told(NamedTuple):
    """What a kept checkpoint says: its size, the block it ends, the newest time in it in seconds, and the sites whose cosignatures in it verify."""

    size: int
    block: int
    time_s: int
    sites: frozenset[str]


def superseded(kept: Sequence[Told], new: Told) -> tuple[int, ...]:
    """The sizes that may go when `new` is put. `kept`: the newest kept, rising; its first always stays, and so does all if `new` is not the newest."""
    if not kept or kept[-1].size >= new.size:
        return ()
    row = [*kept, new]
    newer_sites = [frozenset[str]()]
    for told in row[:0:-1]:
        newer_sites.append(newer_sites[-1] | told.sites)
    newer_sites.reverse()
    before, gone = row[0], []
    for at in range(1, len(row) - 1):
        if row[at].sites <= newer_sites[at] and _gap_is_small(before, row[at + 1]):
            gone.append(row[at].size)
        else:
            before = row[at]
    return tuple(gone)


def _gap_is_small(before: Told, after: Told) -> bool:
    return (
        after.size - before.size < GAP_RECORDS
        and after.block - before.block < GAP_BLOCKS
        and abs(after.time_s - before.time_s) < GAP_S
    )


class Thinning:
    """`superseded` over notes. It remembers what the newest notes told, so that no cosignature is verified twice in one life."""

    def __init__(self) -> None:
        self._told: dict[bytes, Told] = {}

    def superseded(
        self, newest: Sequence[KeptCheckpoint], new: KeptCheckpoint, keys: Mapping[str, SiteKeys]
    ) -> tuple[int, ...]:
        """The sizes that may go when `new` is put. `newest`: up to LOOKED_AT kept ones, newest first; `keys`: of all sites."""
        row = [*reversed(newest), new]
        self._told = {kept.note: self._told.get(kept.note) or _told(kept, keys) for kept in row}
        *kept_told, new_told = (self._told[kept.note] for kept in row)
        return superseded(kept_told, new_told)


def _told(kept: KeptCheckpoint, keys: Mapping[str, SiteKeys]) -> Told:
    times_s = cosigners(decode_checkpoint(kept.note), keys)
    return Told(kept.size, kept.block, max(times_s.values(), default=0), frozenset(times_s))
