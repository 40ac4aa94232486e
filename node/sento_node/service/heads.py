"""Head statements: this site's signed word on a subject's last record, in the tree of a size that a quorum cosigned.

The word must be true, because a false one convicts the site for ever. So it comes from the flushed ledger alone, and what the disk says is looked at before it
is signed: the root must be the one that the quorum cosigned, the record must be about the subject, its link must follow from the one before it. What does not
fit is DAMAGED here and nothing is signed. A ledger that is made anew, or in which the background reading found a record, a block or an index entry that is not
healed, may show an older record as the newest: a site that knows of such a thing is NOT_READY. Payloads that are awaited change no head.

A size is named by the caller, so that the words of several sites can be compared. It is that of a quorum checkpoint: of one that is kept, or of one of the last
`RECENT_QUORUMS`, which thinning may have dropped since the caller heard of it. Walking back from the newest record is bounded, and so is how often the site
signs, by what its keys cost: signing takes the event loop that everything else here waits for.
"""

from __future__ import annotations

import asyncio

from sento_node import bounds
from sento_node.ledger import reading
from sento_node.ledger.results import NOWHERE
from sento_node.ledger.store import KeptRecord, LedgerDamaged, LedgerStore
from sento_node.quorum.effects import TreeAt
from sento_node.service.node_state import NodeState
from sento_node.site import PAYLOADS_AWAITED
from sento_proto import header as header_layout
from sento_proto.chain import FIRST_LINK, next_link
from sento_proto.checkpoint import decode_checkpoint
from sento_proto.errors import Code, SentoError
from sento_proto.head_statement import NO_HEAD, Head, HeadStatement, encode_statement, sign_head


class Pace:
    """How often something may be done: `burst_ms` worth of it at once; who would wait longer than `patience_ms` is refused."""

    def __init__(self, burst_ms: int, patience_ms: int) -> None:
        self._burst_ms, self._patience_ms = burst_ms, patience_ms
        self._taken_until_ms = 0

    def wait_ms(self, now_ms: int, every_ms: int) -> int:
        """Take the next place in line, the one after it comes `every_ms` later; how long to wait. Raises SentoError RATE_LIMITED, and takes none."""
        behind_ms = max(self._taken_until_ms - now_ms, 0)
        wait_ms = max(behind_ms - self._burst_ms, 0)
        if wait_ms > self._patience_ms:
            raise SentoError(
                Code.RATE_LIMITED,
                f"this site signs one head statement in {every_ms} ms; ask again in {wait_ms - self._patience_ms} ms, or ask another site",
            )
        self._taken_until_ms = now_ms + behind_ms + every_ms
        return wait_ms


class Heads:
    """Speaks for one node. What is asked for must have been permitted already."""

    def __init__(self, node: NodeState) -> None:
        self._node = node
        self._pace = Pace(bounds.HEAD_BURST_MS, bounds.HEAD_PATIENCE_MS)

    async def statement(self, registry: str, subject: bytes, size: int) -> bytes:
        """The signed statement; size 0: that of the newest quorum checkpoint here.

        Raises SentoError NOT_READY, NOT_FOUND, OUT_OF_RANGE, RATE_LIMITED; LedgerDamaged."""
        node = self._node
        if node.signers is None:
            raise SentoError(Code.NOT_READY, "this site has no signing key in hand yet")
        self._require_whole()
        tree, epoch = self._tree(size)
        every_ms = bounds.HEAD_EVERY_MS if node.signers.ml_dsa_44 is None else bounds.HEAD_ML_DSA_EVERY_MS
        wait_ms = self._pace.wait_ms(node.clock.now_ms(), every_ms)
        if wait_ms:
            await asyncio.sleep(wait_ms / 1000)
            self._require_whole()
        head = head_in(node.store, registry, subject, tree.size)
        word = HeadStatement(
            node.genesis.ledger_id, epoch, tree.size, tree.root, registry, subject, head, node.config.site
        )
        return encode_statement(sign_head(word, node.signers))

    def _require_whole(self) -> None:
        """Raises SentoError NOT_READY while it is known that what the disk says of heads may be wrong."""
        runner = self._node.runner
        held_back = frozenset[str]() if runner is None else runner.site.checkpoints.held_back_by
        if held_back - {PAYLOADS_AWAITED} or self._node.scrub.mending.index_in_doubt:
            raise SentoError(
                Code.NOT_READY, "this site's ledger is being mended, and it vouches for no head meanwhile"
            )

    def _tree(self, size: int) -> tuple[TreeAt, int]:
        """The quorum's tree of that size, as this site has it too, and its epoch."""
        store = self._node.store
        if size > store.tip.size:
            raise SentoError(Code.OUT_OF_RANGE, f"{store.tip.size} records are flushed here")
        kept = store.checkpoint(size)
        if kept is not None and (not size or kept.size == size):
            note = decode_checkpoint(kept.note)
            tree, epoch = TreeAt(kept.block, note.size, note.root), note.epoch
        else:
            runner = self._node.runner
            recent = () if runner is None else runner.site.checkpoints.recent_quorums
            found = next((tree for tree in recent if tree.size == size), None)
            if found is None:
                raise SentoError(Code.NOT_FOUND, "no quorum checkpoint of that size is known here")
            tree, epoch = found, store.tip.epoch
        if tree.size > store.tip.size or reading.root_at(store, tree.size) != tree.root:
            raise LedgerDamaged(
                f"The first {tree.size} records here do not make the tree that a quorum cosigned. Run sento-node verify."
            )
        return tree, epoch


def head_in(store: LedgerStore, registry: str, subject: bytes, size: int) -> Head:
    """The subject's last record among the ledger's first `size`, which must be flushed. Raises SentoError OUT_OF_RANGE, LedgerDamaged."""
    page = reading.subject_records(store, registry, subject, limit=1, as_of_size=size, with_payload=False)
    if page.records:
        last = page.records[0]
        _check(store, last, registry, subject)
        return Head(last.position, last.link)
    if page.next_before is not None:
        raise SentoError(
            Code.OUT_OF_RANGE,
            f"over {reading.STEPS_MAX} records about the subject stand behind that size: name a newer one",
        )
    return NO_HEAD


def _check(store: LedgerStore, last: KeptRecord, registry: str, subject: bytes) -> None:
    """What the disk says of the record must fit what it says of the one before it."""
    header = header_layout.decode(last.header_bytes)
    before = last.previous_of_subject
    link = FIRST_LINK if before == NOWHERE else store.record(before, with_payload=False).link
    if (header.registry, header.subject) != (registry, subject) or last.link != next_link(
        link, last.record_hash
    ):
        raise LedgerDamaged(
            f"The subject's list at position {last.position} does not fit together here. Run sento-node verify."
        )
