"""Checkpoints of several sites that talk to each other in one process: no ledgers, no network, one clock that the test moves.

A site that is `away` is asked nothing and hears nothing. What each keeps is what its shell would: the checkpoints of a quorum, with late lines merged in.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from fresh_checkpoints import fresh_checkpoints
from genesis_builder import TestWorld
from sento_node.ledger.results import BlockResult
from sento_node.quorum.checkpoints import Checkpoints
from sento_node.quorum.effects import (
    AnswerCosign,
    AskCosign,
    CheckpointEffect,
    LateCosigned,
    QuorumReached,
    WriteCosigned,
)
from sento_proto.checkpoint import Checkpoint, cosigners, merge_signatures
from sento_proto.errors import Code
from sento_proto.governance.state import from_genesis

ROOT, OTHER_ROOT = bytes([7]) * 32, bytes([9]) * 32
TICK_MS = 20


class CosigningSites:
    """`kept[site][size]` is the checkpoint on that site's disk; `refusals` is what was answered instead of a cosignature."""

    def __init__(self, world: TestWorld) -> None:
        self.world = world
        self.governance = from_genesis(world.genesis)
        self.sites: dict[str, Checkpoints] = {
            site.name: fresh_checkpoints(world, site.name) for site in world.genesis.sites if site.ledger
        }
        self.kept: dict[str, dict[int, Checkpoint]] = {name: {} for name in self.sites}
        self.away: set[str] = set()
        self.refusals: list[tuple[str, Code]] = []
        self.published_again: list[int] = []
        self.asked: list[tuple[str, str, int]] = []
        """Who asked whom for a cosignature at which size, also those that were away."""
        self.block = 0
        self.now_ms = 0
        self._asked: dict[int, tuple[str, int]] = {}
        self._todo: deque[tuple[str, CheckpointEffect]] = deque()

    def applied(self, block: int, size: int, *, roots: dict[str, bytes] | None = None) -> None:
        """Every site that is there applies a block and flushes it; `roots`: whose tree is another one."""
        self.block = block
        for name, site in self._present():
            root = (roots or {}).get(name, ROOT)
            # A tree's size is all that is looked at here: no records stand behind it.
            site.applied(
                BlockResult(block, block, "lane", block, name, size, None, (), (), root), self.governance
            )
            self._put(name, site.flushed(block, self.now_ms, self.now_ms // 1000))
        self._work()

    def comes_back(self, name: str, size: int, *, root: bytes = ROOT) -> None:
        """A site that was away is there again and has read the blocks that it missed."""
        self.away.discard(name)
        self._catch_up(name, size, root)

    def _catch_up(self, name: str, size: int, root: bytes) -> None:
        site = self.sites[name]
        site.applied(
            BlockResult(self.block, self.block, "lane", self.block, name, size, None, (), (), root),
            self.governance,
        )
        self._put(name, site.flushed(self.block, self.now_ms, self.now_ms // 1000))
        self._work()

    def lead(self, name: str) -> None:
        """This site proposes from now on."""
        for other, site in self.sites.items():
            site.is_lead = other == name

    def passes(self, ms: int) -> None:
        """Time goes by; sites that are there hear from each other every second."""
        for _ in range(0, ms, TICK_MS):
            self.now_ms += TICK_MS
            for name, site in self._present():
                if self.now_ms % 1_000 == 0:
                    for other, _ in self._present():
                        site.heard(other, self.block, self.now_ms, 0)
                self._put(name, site.tick(self.now_ms, self.now_ms // 1000))
            self._work()

    def cosigners(self, at: str, size: int) -> set[str]:
        """Whose cosignatures hold in the checkpoint that a site keeps; empty when it keeps none of that size."""
        note = self.kept[at].get(size)
        return set() if note is None else set(cosigners(note, self.governance.site_keys))

    def _present(self) -> list[tuple[str, Checkpoints]]:
        return [(name, site) for name, site in self.sites.items() if name not in self.away]

    def _put(self, name: str, effects: Iterable[CheckpointEffect]) -> None:
        self._todo.extend((name, effect) for effect in effects)

    def _work(self) -> None:
        while self._todo:
            name, effect = self._todo.popleft()
            if name not in self.away:
                self._do(name, self.sites[name], effect)

    def _do(self, name: str, site: Checkpoints, effect: CheckpointEffect) -> None:
        match effect:
            case WriteCosigned(cosigned):
                self._put(name, site.cosigned_written(cosigned, self.now_ms // 1000))
            case AskCosign(asked, checkpoint, block):
                ticket = len(self._asked)
                self._asked[ticket] = name, checkpoint.size
                self.asked.append((name, asked, checkpoint.size))
                if asked not in self.away:
                    answer = self.sites[asked].cosign_request(ticket, name, checkpoint, block, self.now_ms)
                    self._put(asked, answer)
            case AnswerCosign(ticket, lines, code):
                asker, size = self._asked[ticket]
                if code is not None:
                    self.refusals.append((name, code))
                elif asker not in self.away:
                    self._put(asker, self.sites[asker].cosign_reply(name, size, lines, self.now_ms // 1000))
            case QuorumReached(checkpoint, block, publish_to):
                self.kept[name][checkpoint.size] = checkpoint
                self._publish(checkpoint, block, publish_to)
            case LateCosigned(checkpoint, block, publish_to):
                kept = self.kept[name][checkpoint.size]
                self.kept[name][checkpoint.size] = merge_signatures(kept, checkpoint.signatures)
                if publish_to:
                    self.published_again.append(checkpoint.size)
                self._publish(checkpoint, block, publish_to)
            case _:
                pass

    def _publish(self, checkpoint: Checkpoint, block: int, publish_to: tuple[str, ...]) -> None:
        for other in publish_to:
            if other not in self.away:
                self._put(other, self.sites[other].published(checkpoint, block, self.now_ms))
