"""Catching up from other sites' ledgers when the log no longer holds what is next: one chunk after the other, each proven by `adopt`, each flushed.

Blocks travel in the sync service's own form, encoded and decoded by product code; a chunk ends at a checkpoint that the giving site keeps.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import TYPE_CHECKING

from tests.simulation.checkers import Violation
from tests.simulation.erasing import governance_at

from sento_node.ledger.adopt import NotProven
from sento_node.ledger.apply import UnknownRules
from sento_node.rebuild.deciding import Rebuild
from sento_node.sync.entries import decode_block_entry, encode_block_entry
from sento_proto.checkpoint import decode_checkpoint
from sento_proto.v1 import sync_pb2

if TYPE_CHECKING:
    from tests.simulation.site_host import SiteHost

ANSWER_WITHIN_MS = 1_500
PAUSE_MS = 300
FLUSH_LOOK_MS = 10


class CatchUp:
    """One site's catching up. It ends when the log can be followed, or (as a new disk) when the ledger has `until_size`."""

    def __init__(self, host: SiteHost) -> None:
        self._host = host
        self._givers: Iterator[SiteHost] = iter(())
        self._question = 0
        self._oldest_revision = 0
        self._until_size: int | None = None
        self._to_the_end: Rebuild | None = None
        self._life = -1

    @property
    def busy(self) -> bool:
        """Whether this life is catching up now."""
        return self._life == self._host.life

    def begin(
        self, oldest_revision: int, until_size: int | None = None, to_the_end: Rebuild | None = None
    ) -> None:
        """Ask the other sites in turn. `to_the_end`: a ledger that is made anew takes all that one of them has."""
        self._life = self._host.life
        self._to_the_end = to_the_end
        self._oldest_revision, self._until_size = oldest_revision, until_size
        others = self._host.others
        self._host.heap.random.shuffle(others)
        self._givers = itertools.cycle(others)
        self._ask_next()

    def _ask_next(self) -> None:
        if self._enough():
            self._end()
            return
        self._ask(next(self._givers))

    def _ask(self, giver: SiteHost) -> None:
        host = self._host
        self._question += 1
        host.around.network.send(
            host.name, giver.name, _give, giver, host, self, host.life, self._question, host.site.state.block
        )
        host.later(ANSWER_WITHIN_MS, self._silent, self._question)

    def _silent(self, question: int) -> None:
        if question == self._question and self.busy:
            self._ask_next()

    def received(self, question: int, giver: SiteHost, chunk: sync_pb2.Chunk | None) -> None:
        """A chunk arrives, or the word that the giver has none."""
        if question != self._question or not self.busy:
            return
        self._question += 1
        host = self._host
        if chunk is None and self._to_the_end is not None:
            self._to_the_end.copied = True
            self._end()
            return
        if chunk is None:
            host.later(PAUSE_MS, self._ask_next)
            return
        checkpoint = decode_checkpoint(chunk.checkpoint)
        try:
            effects = host.site.adopt(
                [decode_block_entry(entry) for entry in chunk.blocks], checkpoint, host.heap.now_ms
            )
        except UnknownRules as unknown:
            host.needs_release(unknown)
            return
        except NotProven as error:
            raise Violation(
                "same-ledger", f"{host.name} was offered a chunk by {giver.name}: {error}"
            ) from error
        host.around.checkers.governed(host.name, host.site.state)
        host.heap.faults["chunks adopted"] += 1
        host.heap.note(f"{host.name} adopted through block {host.site.state.block} from {giver.name}")
        block = host.site.state.block
        host.carry_out(effects)
        host.later(0, self._flushed, giver, chunk.checkpoint, block)

    def _flushed(self, giver: SiteHost, note: bytes, block: int) -> None:
        host = self._host
        if host.site.flushed_head.number < block:
            host.carry_out(host.site.flush_now())
            host.later(FLUSH_LOOK_MS, self._flushed, giver, note, block)
            return
        host.carry_out(host.site.published(decode_checkpoint(note), block, host.heap.now_ms))
        if self._enough():
            self._end()
        else:
            self._ask(giver)

    def _enough(self) -> bool:
        state = self._host.site.state
        if self._to_the_end is not None:
            return False
        if self._until_size is not None:
            return self._host.site.flushed_size >= self._until_size
        return state.revision + 1 >= self._oldest_revision

    def _end(self) -> None:
        self._life = -1
        host = self._host
        if self._until_size is None:
            host.follow()
        else:
            host.crash()
            host.start()


def _give(
    giver: SiteHost, asker: SiteHost, catch_up: CatchUp, life: int, question: int, after_block: int
) -> None:
    """The giving site's side: the chunk after a block, from its flushed ledger."""
    if not giver.answers_peers or giver.state == "syncing" or giver.rebuilding.goes_on:
        return
    chunk = _chunk(giver, after_block)
    giver.around.network.send(
        giver.name, asker.name, asker.in_life, life, catch_up.received, question, giver, chunk
    )


def _chunk(giver: SiteHost, after_block: int) -> sync_pb2.Chunk | None:
    store = giver.disk.store
    kept = store.checkpoint_by_block(after_block + 1)
    if kept is None:
        return None
    blocks = (store.block(number) for number in range(after_block + 1, kept.block + 1))
    governance, given = governance_at(giver), giver.around.hooks.given
    applied = giver.site.state.block if giver.state == "running" else store.tip.block
    entries = []
    for block in blocks:
        kept_there = store.records(block.size_before, block.size_after)
        records = {record.position: given(governance, record) for record in kept_there}
        giver.around.checkers.destroyed.given(giver.name, applied, records.values())
        entries.append(encode_block_entry(block, records))
    return sync_pb2.Chunk(blocks=entries, checkpoint=kept.note)
