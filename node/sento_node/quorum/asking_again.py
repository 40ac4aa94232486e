"""Asking for a cosignature again: a site that was away when a quorum agreed is asked once more when it is back, though nobody has written since. Pure.

Late cosignatures are gathered for three seconds (`late.py`), and the next checkpoint asks everybody anew. A ledger that nobody writes to has no next one:
the far copy that came back a minute later would hold the newest records and never say so, and a record that waits for its word would wait for the next writer.
So the site with the lead looks, at its newest quorum checkpoint, for sites whose line is missing although they answer and hold its block, and asks each of
them again: first after four seconds, then after twice as long, at most ten times under one checkpoint. A site that is silent is not asked at all.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

from sento_node.quorum.effects import AskCosign, TreeAt
from sento_node.quorum.late import LateCosignatures
from sento_node.quorum.trimming import LIVE_WITHIN_MS, SiteProgress
from sento_proto.checkpoint import Checkpoint, SiteKeys, SiteSigners, cosigners, merge_signatures, sign_note

FIRST_MS: Final = 4_000
ASKED_MAX: Final = 10


class AskingAgain:
    """Whom a proposer has still to hear under its newest quorum checkpoint."""

    def __init__(self) -> None:
        self._newest: tuple[Checkpoint, TreeAt] | None = None
        self._missing: dict[str, tuple[int, int]] = {}

    def reached(
        self,
        checkpoint: Checkpoint,
        tree: TreeAt,
        others: Collection[str],
        keys: Mapping[str, SiteKeys],
        now_ms: int,
    ) -> None:
        """A quorum stands behind `tree`. `others`: the other sites with ledgers."""
        lines = cosigners(checkpoint, keys)
        self._newest = checkpoint, tree
        self._missing = {name: (0, now_ms + FIRST_MS) for name in others if name not in lines}

    def came(self, checkpoint: Checkpoint, keys: Mapping[str, SiteKeys]) -> None:
        """More lines are known under a checkpoint: if it is the newest, those sites are not missing any more."""
        if self._newest is not None and self._newest[1].size == checkpoint.size:
            for name in cosigners(checkpoint, keys):
                self._missing.pop(name, None)

    def asks(
        self,
        site: str,
        signers: SiteSigners,
        late: LateCosignatures,
        progress: Mapping[str, SiteProgress],
        now_ms: int,
    ) -> list[AskCosign]:
        """Questions that are due, under the proposer's own signature; `late` gathers their answers. `progress`: when each site last said how far it is."""
        if self._newest is None or not self._missing:
            return []
        checkpoint, tree = self._newest
        names = [name for name in self._missing if self._is_due(name, tree, progress.get(name), now_ms)]
        if not names:
            return []
        for name in names:
            asked = self._missing[name][0] + 1
            self._missing[name] = asked, now_ms + (FIRST_MS << asked)
        late.begin(checkpoint, tree.block, names, now_ms)
        signed = merge_signatures(checkpoint, (sign_note(checkpoint, site, signers.ed25519),))
        return [AskCosign(name, signed, tree.block) for name in names]

    def _is_due(self, name: str, tree: TreeAt, said: SiteProgress | None, now_ms: int) -> bool:
        asked, due_ms = self._missing[name]
        if said is None or asked >= ASKED_MAX or now_ms < due_ms:
            return False
        return now_ms - said.heard_at_ms <= LIVE_WITHIN_MS and said.flushed_block >= tree.block
