"""Planted bugs of copies: embassies, copied ledgers, new disks; each is product code with one thing wrong."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence

from tests.simulation.hooks import Hooks

from sento_node.ledger.store import LedgerStore
from sento_node.ordering.boot import BootDecision, Raise, Start
from sento_node.quorum.checkpoints import Checkpoints
from sento_node.quorum.effects import TreeAt
from sento_node.quorum.embassies import Caution
from sento_node.quorum.trimming import SiteProgress
from sento_node.site import PAYLOADS_AWAITED, Site
from sento_proto.chunk import Payload
from sento_proto.governance.state import Governance


class EmbassySignsAlone(Hooks):
    """an embassy cosigns what one site proposes, as sites with a vote do"""

    def composed(self, site: Site) -> None:
        site.checkpoints._caution.__class__ = _Careless


class _Careless(Caution):
    def allows(
        self,
        tree: TreeAt,
        others: Collection[str],
        progress: Mapping[str, SiteProgress],
        now_ms: int,
        *,
        by_quorum: bool,
    ) -> bool:
        return True


class BootsUnderAUsedNumber(Hooks):
    """a new or empty disk boots under the number that it would have, and not above what others remember"""

    def decided(self, decision: BootDecision, announced: int) -> BootDecision:
        return Start(announced) if isinstance(decision, Raise) else decision


class UnprovenPayloadStored(Hooks):
    """stores what it is given for an awaited payload, whatever the record's author signed"""

    def fill(self, store: LedgerStore, governance: Governance, payloads: Sequence[Payload]) -> int:
        for item in payloads:
            kept = store.record(item.position, with_payload=False) if item.position < store.tip.size else None
            if kept is not None and kept.awaited and hashlib.sha256(item.data).digest() != kept.payload_hash:
                store._disk.records[item.position] = kept._replace(payload=item.data)  # type: ignore[attr-defined]
        return super().fill(store, governance, payloads)


class CosignsWithoutPayloads(Hooks):
    """cosigns what it has only the headers of"""

    def composed(self, site: Site) -> None:
        site.checkpoints.__class__ = _HeadersAreEnough
        site.checkpoints.hold_back(PAYLOADS_AWAITED, on=False)


class _HeadersAreEnough(Checkpoints):
    def hold_back(self, reason: str, on: bool) -> None:
        super().hold_back(reason, on=on and reason != PAYLOADS_AWAITED)
