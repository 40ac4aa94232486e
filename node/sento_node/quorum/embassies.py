"""Whether a site without a vote may put its cosignature under a tree that it computed itself. Pure.

An embassy gets the order through one site that lends it. If that site shows it a false order, the embassy computes a tree that nobody else has, and its
cosignature under it would stand for ever. So it signs a tree only when that can be no private invention of its lender:

    a quorum has cosigned it                      (then this is a late cosignature)
    or two other sites with ledgers have signed   (the proposer's signature counts)
    or the one other site with a ledger that answers at all has signed

The last is for two data sites, an embassy and a tie-breaker when one data site is lost: nobody else is left to ask. What "answers" means is whom this site has
heard a short while ago; a site that has not listened for as long yet counts everybody as answering.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from sento_node.quorum.effects import TreeAt
from sento_node.quorum.trimming import LIVE_WITHIN_MS, SiteProgress
from sento_proto.checkpoint import Checkpoint, SiteKeys, cosigners

TREES_KEPT = 8
"""Trees that no quorum has cosigned yet, of which it is remembered who signed them."""


def may_cosign(
    *,
    by_quorum: bool,
    signers: Collection[str],
    others: Collection[str],
    answering: Collection[str],
    has_listened: bool,
) -> bool:
    """`by_quorum`: a quorum cosigned this very tree; `signers`: sites whose signature under it this site has verified; `others`: the other sites with
    ledgers; `answering`: sites heard a short while ago; `has_listened`: this site has run for that while."""
    if by_quorum:
        return True
    signed = set(signers) & set(others)
    if len(signed) >= 2:
        return True
    present = (set(answering) & set(others)) | signed if has_listened else set(others)
    return bool(signed) and present == signed


class Caution:
    """What an embassy has seen of others' signatures, and the question whether it may sign."""

    def __init__(self, now_ms: int) -> None:
        self._born_ms = now_ms
        self._signed_by: dict[tuple[int, bytes], set[str]] = {}

    def seen(self, proposer: str, checkpoint: Checkpoint, others: Mapping[str, SiteKeys]) -> None:
        """`proposer` signed this tree, and so did those of the others whose cosignatures it sent along."""
        key = (checkpoint.size, checkpoint.root)
        while key not in self._signed_by and len(self._signed_by) >= TREES_KEPT:
            del self._signed_by[next(iter(self._signed_by))]
        self._signed_by.setdefault(key, set()).update({proposer}, cosigners(checkpoint, others))

    def allows(
        self,
        tree: TreeAt,
        others: Collection[str],
        progress: Mapping[str, SiteProgress],
        now_ms: int,
        *,
        by_quorum: bool,
    ) -> bool:
        """Whether this tree, computed here, may be signed now. `progress`: when each site last said how far it is."""
        return may_cosign(
            by_quorum=by_quorum,
            signers=self._signed_by.get((tree.size, tree.root), ()),
            others=others,
            answering=[
                name for name, said in progress.items() if now_ms - said.heard_at_ms <= LIVE_WITHIN_MS
            ],
            has_listened=now_ms - self._born_ms > LIVE_WITHIN_MS,
        )
