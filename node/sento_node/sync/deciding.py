"""What to fetch next while another site's ledger is copied: which chunk, from whom, over which stream, and when it is adopted. Pure: events in, effects out.

    AskPlan ─► planned ─► Fetch spines in order, several at once, and the payloads beside them ("together") or not yet ("after")
                            └► fetched ─► Adopt, strictly in order, one at a time ─► adopted ─► ... ─► the plan is used up ─► the next site ─► Finished

Spines of a stretch come before its payloads and earlier stretches before later ones, within a window that bounds what waits on the disk. Finished means: every
other site that answers was read to its end, so that one with an old state, however valid, holds nobody back; and the anchor, if there is one, is reached.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from sento_node.ledger.rows import POSITION_MAX
from sento_node.sync.parts import Wanted
from sento_node.sync.sources import Sources
from sento_proto.chunk import Kind
from sento_proto.merkle import verify_consistency

Mode = Literal["auto", "together", "after"]
WINDOW_STRETCHES = 12
"""So many stretches beyond the ledger's tip may lie on the disk or be under way, or twice as many as there are streams."""
TOGETHER_MAX_S = 60
PAYLOAD_GUESS_BYTES = 2_048
"""What a record's payload costs, before any came: the size of a residence record."""
THIN_BYTES_PER_S = 256 * 1024
TOGETHER_MAX_BYTES = 96 * 1024 * 1024
"""So many bytes of payloads at most come beside one spine, because they are in memory when it is adopted; what is left comes behind the spine. 2,000 records
with the largest payloads have 63 MiB."""
PLANNED_MAX = 1_024

PAYLOAD_CHUNKS_MAX = 64
"""So many chunks of payloads at most belong to one spine: an honest one ends with 4 MiB or 20,000 records, and who cuts them smaller only holds others up."""


class Anchor(NamedTuple):
    """What a bootstrap file says: the ledger's tree at this size, in this epoch. What is not consistent with it is not adopted."""

    epoch: int
    size: int
    root: bytes


class Planned(NamedTuple):
    """A spine that a site would give, and the proof that its end is consistent with the anchor."""

    after_block: int
    through_block: int
    from_position: int
    to_position: int
    consistency: tuple[bytes, ...] = ()


class Plan(NamedTuple):
    """A site's answer: spines, rising; whether there are more behind them; and what the site holds under its newest quorum checkpoint."""

    chunks: tuple[Planned, ...]
    more: bool
    size: int


class AskPlan(NamedTuple):
    """Ask the site what it would give after this block."""

    site: str
    after_block: int


class Fetch(NamedTuple):
    """Fetch a chunk from the site over one of its streams."""

    site: str
    stream: int
    wanted: Wanted


class Adopt(NamedTuple):
    """Prove and adopt a stretch, with the payloads that came in these chunks."""

    site: str
    planned: Planned
    payloads: tuple[Wanted, ...]


class LeaveSite(NamedTuple):
    """Give up what is under way from the site; with `words` what it gave was false, and nothing of it is kept."""

    site: str
    words: str = ""


class Finished(NamedTuple):
    """Every site that answers was read to its end."""


Effect = AskPlan | Fetch | Adopt | LeaveSite | Finished


def is_anchored(anchor: Anchor, size: int, root: bytes, proof: Sequence[bytes]) -> bool:
    """Whether the tree (size, root) is the anchor's, a part of it or its continuation."""
    if size <= anchor.size:
        return verify_consistency(size, root, anchor.size, anchor.root, proof)
    return verify_consistency(anchor.size, anchor.root, size, root, proof)


def pays_to_wait(left_records: int, spine_bytes_per_record: float, rate_bytes_per_s: float) -> bool:
    """Whether payloads come after the whole spine: because with them it would take over a minute, and the spine alone would not or the link is thin."""
    if rate_bytes_per_s <= 0:
        return True
    spine_s = left_records * spine_bytes_per_record / rate_bytes_per_s
    whole_s = left_records * (spine_bytes_per_record + PAYLOAD_GUESS_BYTES) / rate_bytes_per_s
    return whole_s > TOGETHER_MAX_S and (spine_s <= TOGETHER_MAX_S or rate_bytes_per_s < THIN_BYTES_PER_S)


@dataclass(slots=True)
class _Stretch:
    planned: Planned
    payload_at: int
    spine_here: bool = False
    payloads: list[Wanted] = field(default_factory=list)
    payload_bytes: int = 0

    @property
    def spine(self) -> Wanted:
        return Wanted(Kind.SPINE, *self.planned[:4])

    @property
    def rest_of_payloads(self) -> Wanted:
        return Wanted(Kind.PAYLOADS, 0, 0, self.payload_at, self.planned.to_position)

    @property
    def has_all_payloads(self) -> bool:
        is_enough = self.payload_bytes > TOGETHER_MAX_BYTES or len(self.payloads) >= PAYLOAD_CHUNKS_MAX
        return is_enough or self.payload_at >= self.planned.to_position


class Copying:
    """The copying of other sites' ledgers behind the tip (`block`, `size`)."""

    def __init__(
        self,
        sources: Sources,
        block: int,
        size: int,
        *,
        streams: int = 4,
        mode: Mode = "auto",
        anchor: Anchor | None = None,
    ) -> None:
        self.sources = sources
        self.block, self.size = block, size
        self.wanted_size = max(size, anchor.size if anchor else 0)
        self.mode: Mode = mode
        self._anchor = anchor
        self._streams = streams
        self._stretches: list[_Stretch] = []
        self._planned_at: str | None = None
        self._more = False
        self._asked = ""
        self._adopting = False
        self._under_way: dict[int, Wanted] = {}
        self._kept_bytes: dict[Wanted, int] = {}
        self._rests: dict[Wanted, int] = {}
        self._wakes_ms = 0

    # -- what to do -------------------------------------------------------------------------------------------------

    def next(self, now_ms: int) -> list[Effect]:
        """Everything that is to be begun now."""
        effects: list[Effect] = []
        left = self.sources.left_for_slowness(now_ms, waiting=bool(self._under_way))
        if left is not None:
            effects.append(self._leave(left))
        if self._adopting and self._planned_at is None:
            return effects
        while (site := self.sources.choose(now_ms)) is not None:
            if self._planned_at != site:
                if self._asked != site:
                    self._asked = site
                    effects.append(AskPlan(site, self.block))
                return effects
            if self._stretches:
                return effects + self._work(site, now_ms)
            if self._more:
                self._planned_at = None
                continue
            self._planned_at = None
            self._end(site, now_ms)
        if self._is_finished():
            effects.append(Finished())
        return effects

    def wakes_ms(self) -> int:
        """When there may be something to do though nothing happens; 0: not by time."""
        rests = [at for at in self._rests.values() if at] + [self.sources.wakes_ms or 0]
        return min((at for at in rests if at), default=0)

    def _end(self, site: str, now_ms: int) -> None:
        if self._anchor is not None and self.size < self._anchor.size:
            self.sources.old(site, now_ms)
        else:
            self.sources.ended(site)

    def _is_finished(self) -> bool:
        reached = self._anchor is None or self.size >= self._anchor.size
        return reached and self.sources.read_to_the_end and not self._under_way

    def _work(self, site: str, now_ms: int) -> list[Effect]:
        effects: list[Effect] = []
        head = self._stretches[0]
        if not self._adopting and head.spine_here and (self.mode == "after" or self._complete(head)):
            self._adopting = True
            payloads = tuple(head.payloads) if self.mode == "together" else ()
            effects.append(Adopt(site, head.planned, payloads))
        under_way = set(self._under_way.values())
        free = [number for number in range(self._streams) if number not in self._under_way]
        for wanted in self._queue():
            if not free:
                break
            if wanted in under_way or self._rests.get(wanted, 0) > now_ms:
                continue
            self._rests.pop(wanted, None)
            stream = free.pop(0)
            self._under_way[stream] = wanted
            effects.append(Fetch(site, stream, wanted))
        return effects

    def _complete(self, stretch: _Stretch) -> bool:
        return self.mode == "together" and stretch.has_all_payloads

    def _queue(self) -> Iterable[Wanted]:
        """What is still to be fetched within the window, the most urgent first."""
        for stretch in self._stretches[: max(WINDOW_STRETCHES, 2 * self._streams)]:
            if not stretch.spine_here:
                yield stretch.spine
            if self.mode == "together" and not stretch.has_all_payloads:
                yield stretch.rest_of_payloads

    # -- what happened ----------------------------------------------------------------------------------------------

    def planned(self, site: str, plan: Plan, now_ms: int) -> list[Effect]:
        """The site's plan. One that does not go on from here, gap for gap, is false."""
        self._asked = ""
        if site != self.sources.current:
            return []
        words = self._fault_of(plan)
        if words:
            return self.falsified(site, words, now_ms)
        held = max([plan.size, *(one.to_position for one in plan.chunks[-1:])])
        if self._anchor is not None and held < self._anchor.size:
            self.sources.old(site, now_ms)
            return []
        self.sources.progressed(site)
        self.wanted_size = max(self.wanted_size, min(held, POSITION_MAX))
        self._planned_at, self._more = site, plan.more and bool(plan.chunks)
        self._stretches = [_Stretch(one, one.from_position) for one in plan.chunks]
        return []

    def _fault_of(self, plan: Plan) -> str:
        block, size = self.block, self.size
        if len(plan.chunks) > PLANNED_MAX:
            return f"a plan of more than {PLANNED_MAX} chunks"
        for one in plan.chunks:
            follows = one.after_block == block < one.through_block and one.from_position == size
            if not follows or one.to_position < size:
                return f"a plan that does not go on from block {block} at size {size}"
            block, size = one.through_block, one.to_position
        return ""

    def no_plan(self, site: str, now_ms: int) -> None:
        """The site did not say what it has."""
        self._asked = ""
        if site == self.sources.current:
            self.sources.silent(site, now_ms)

    def came(self, site: str, size_bytes: int) -> None:
        """Bytes of a chunk arrived."""
        if site == self.sources.current:
            self.sources.came(size_bytes)

    def fetched(
        self, site: str, stream: int, to_position: int, size_bytes: int, rate_bytes_per_s: float
    ) -> list[Effect]:
        """A chunk is on disk, whole: it ends at `to_position`. `rate_bytes_per_s`: what the link gives."""
        wanted = self._under_way.pop(stream, None)
        stretch = None if wanted is None else self._stretch_of(wanted)
        if wanted is None or stretch is None or site != self._planned_at:
            return []
        self.sources.progressed(site)
        self._kept_bytes.pop(wanted, None)
        if wanted.kind is Kind.SPINE:
            stretch.spine_here = True
            self._decide_mode(stretch.planned, size_bytes, rate_bytes_per_s)
        else:
            stretch.payload_at = to_position
            stretch.payloads.append(wanted)
            stretch.payload_bytes += size_bytes
        return []

    def _decide_mode(self, planned: Planned, size_bytes: int, rate_bytes_per_s: float) -> None:
        if self.mode == "auto":
            records = max(1, planned.to_position - planned.from_position)
            left = max(0, self.wanted_size - self.size)
            after = pays_to_wait(left, size_bytes / records, rate_bytes_per_s)
            self.mode = "after" if after else "together"

    def _stretch_of(self, wanted: Wanted) -> _Stretch | None:
        return next((one for one in self._stretches if wanted in (one.spine, one.rest_of_payloads)), None)

    def broke(self, site: str, stream: int, kept_bytes: int, now_ms: int) -> list[Effect]:
        """A stream ended before its chunk; so many bytes of it are on disk. It goes on from there after a pause."""
        wanted = self._under_way.pop(stream, None)
        if wanted is None or site != self.sources.current:
            return []
        if kept_bytes > self._kept_bytes.get(wanted, 0):
            self._kept_bytes[wanted] = kept_bytes
            self.sources.progressed(site)
        rest_ms = self.sources.failed(site, now_ms)
        self._rests[wanted] = now_ms + rest_ms
        return [] if self.sources.current == site else [self._leave(site)]

    def falsified(self, site: str, words: str, now_ms: int) -> list[Effect]:
        """Something that the site gave is not what it said, or does not prove itself."""
        self.sources.refuse(site, now_ms)
        return [self._leave(site, words)]

    def adopted(self, block: int, size: int) -> list[Effect]:
        """The stretch that was to be adopted is part of the ledger now, which ends here: further on than the stretch, if somebody brought volumes meanwhile."""
        self._adopting = False
        self.block, self.size = block, size
        self.wanted_size = max(self.wanted_size, size)
        self._stretches = [one for one in self._stretches if one.planned.after_block >= block]
        site = self._planned_at
        if site is None or not self._stretches or self._stretches[0].planned.after_block == block:
            return []
        return [self._leave(site)]

    def not_adopted(self, planned: Planned) -> list[Effect]:
        """The stretch's chunks were of no use, by no site's fault or by one that is refused next: they are fetched once more."""
        self._adopting = False
        for number, stretch in enumerate(self._stretches):
            if stretch.planned == planned:
                self._stretches[number] = _Stretch(planned, planned.from_position)
        return []

    def _leave(self, site: str, words: str = "") -> LeaveSite:
        if self._planned_at == site:
            self._planned_at, self._more, self._stretches = None, False, []
        if self._asked == site:
            self._asked = ""
        self._under_way.clear()
        self._rests.clear()
        self._kept_bytes.clear()
        return LeaveSite(site, words)
