"""Where a planted bug may put its hand. A world without one runs product code exactly as it is: every method here then changes nothing.

Bugs live in `planted.py` and nowhere in product code.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from sento_client.outbox.keeping import Keeping
from sento_node.erasure.deciding import payloads_left
from sento_node.importing.taking import fill_awaited
from sento_node.joining.deciding import MemberStep, Seen, member_step
from sento_node.joining.note import Note as JoiningNote
from sento_node.ledger.memory_store import MemoryDisk
from sento_node.ledger.store import LedgerStore
from sento_node.ordering.boot import Announcement, BootDecision
from sento_node.ordering.port import Head as LogHead
from sento_node.ordering.port import OrderedBlock
from sento_node.rebuild.deciding import AgreedAt, Damage, Rebuild, agreed_size
from sento_node.rebuild.preparing import floor_of
from sento_node.service.heads import head_in
from sento_node.site import Site
from sento_node.sync.making import payload_chunk
from sento_proto.chunk import Payload
from sento_proto.governance.state import ErasureOrder, Governance
from sento_proto.head_statement import Head
from sento_proto.record import Record


class Hooks:
    """Product code as it is."""

    def composed(self, site: Site) -> None:
        """A life's decisions were just put together from its store."""

    def unconfirmed(self, announcement: Announcement | None) -> Announcement | None:
        """What a former boot announced and nobody confirmed, as this boot reads it from disk."""
        return announcement

    def decided(self, decision: BootDecision, announced: int) -> BootDecision:
        """Whether the ordering member may start was just decided."""
        return decision

    def member_step(self, note: JoiningNote, seen: Seen) -> MemberStep:
        """What a site with a new disk does next about its ordering member."""
        return member_step(note, seen)

    def floor_of(self, remembered: Mapping[str, bytes]) -> int:
        """What a ledger that is set aside remembers of this site's cosignatures."""
        return floor_of(remembered)

    def agreed(
        self, kept: Iterable[AgreedAt], damage: Iterable[Damage], disputed_size: int | None
    ) -> AgreedAt | None:
        """From which size on a ledger is made anew."""
        return agreed_size(kept, damage, disputed_size)

    def copies_first(self) -> bool:
        """Whether a life behind a new ledger copies another site's before it follows the log."""
        return True

    def is_whole(
        self, rebuild: Rebuild, flushed_size: int, *, current: bool, others: Collection[str]
    ) -> bool:
        """Whether a ledger that is made anew may be vouched for."""
        return rebuild.is_whole(flushed_size, current=current, others=others)

    def payloads_left(
        self,
        orders: Sequence[ErasureOrder],
        due: Collection[int],
        clear: Collection[int],
        flushed_size: int,
        present_since: int | None,
    ) -> tuple[int, ...]:
        """Which orders are looked through for payloads. `due`: those without a certificate; `present_since`: the ledger's size when this life caught up."""
        return payloads_left(orders, clear, flushed_size)

    def payload_chunk(
        self, store: LedgerStore, governance: Governance, registry: str, from_position: int, to_position: int
    ) -> bytes:
        """Payloads as another site's ledger gets them."""
        return payload_chunk(store, governance, registry, from_position, to_position)

    def fill(self, store: LedgerStore, governance: Governance, payloads: Sequence[Payload]) -> int:
        """Awaited payloads came: how many were stored."""
        return fill_awaited(store, governance, payloads).stored

    def head_in(self, store: LedgerStore, registry: str, subject: bytes, size: int) -> Head:
        """What a site would sign of a subject's last record in the tree of that size."""
        return head_in(store, registry, subject, size)

    def resume_from(self, site: Site, head: LogHead, *, new_life: bool) -> LogHead:
        """From where the log is followed, at the start of a life or after a stream broke."""
        return head

    def keeping(self, keeping: Keeping) -> Keeping:
        """An office's outbox begins a life."""
        return keeping

    def holds(self) -> bool:
        """Whether what a quorum has is held on for a site abroad."""
        return True

    def tail(self, blocks: Sequence[OrderedBlock]) -> Sequence[OrderedBlock]:
        """What a survivor's own ordering log holds."""
        return blocks

    def begun(self, before: MemoryDisk, kept: MemoryDisk) -> MemoryDisk:
        """What a site's disk is when it begins an epoch."""
        return kept

    def acts_before_ingress(self, count: int) -> int:
        """How many of a plan's acts must stand before an epoch is open."""
        return count

    votes_late = True
    """Whether a site's member votes only once its ledger holds the fork."""

    def stops_when_shown(self, *, two: bool) -> bool:
        """Whether a site stops that is shown a later epoch, or (`two`) another plan of its own."""
        return True

    def chosen(self, best: str, survivors: Sequence[str]) -> str:
        """The survivor that a recovered epoch goes on from."""
        return best

    def late_entry(self, data: bytes) -> bytes:
        """An orphan's submission as it is offered again."""
        return data

    def resent(self, record: Record, reseal: Callable[[Record], Record]) -> Record:
        """An office is about to send a record again whose answer it did not get; `reseal` makes its content into another record."""
        return record
