"""Planted bugs in what is kept and signed so that others can prove it: each is product code with one thing wrong."""

from __future__ import annotations

from collections.abc import Sequence

from tests.simulation.hooks import Hooks

from sento_client.outbox.keeping import Effect, Forget, Keeping, Run, StoreReceipts
from sento_node.ledger.store import LedgerStore
from sento_proto.head_statement import Head


class ForgottenBeforeTheReceipt(Hooks):
    """the outbox forgets a submission when it is proven, while its receipts are still on their way to the disk"""

    def keeping(self, keeping: Keeping) -> Keeping:
        keeping.__class__ = _Hurried
        return keeping


class _Hurried(Keeping):
    def proven(self, runs: Sequence[Run], held: Sequence[bool], now_ms: int) -> list[Effect]:
        effects = super().proven(runs, held, now_ms)
        stored = [run.kept for effect in effects if isinstance(effect, StoreReceipts) for run in effect.runs]
        return [*effects, *map(Forget, dict.fromkeys(stored))]


class HeadOfToday(Hooks):
    """a site signs a subject's newest record as the last in every tree, also in one that ended before it"""

    def head_in(self, store: LedgerStore, registry: str, subject: bytes, size: int) -> Head:
        return super().head_in(store, registry, subject, store.tip.size)
