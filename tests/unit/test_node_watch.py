"""Watching the log's head and the disk: ingress closes before anything is full and opens again by itself, a lost majority and a stalled stream are noticed,
and a site says that it was current only for what its flushed ledger held."""

from __future__ import annotations

import pytest

from genesis_builder import make_block
from lone_runner import SITE, LoneSite, ManualClock
from sento_node import watch
from sento_node.ledger.store import DiskSpace
from sento_node.ordering.in_process import InProcessLog
from sento_node.ordering.port import OrderedBlock, OrderingMember
from sento_node.watch import STALLED_MS, TwoOrders, Watch, members_in_words
from sento_proto.errors import Code

GIB = 1 << 30
DISK_BYTES = 10 * GIB
ROOMY, LOW, BETWEEN = (DiskSpace(free, DISK_BYTES) for free in (5 * GIB, GIB // 4, GIB * 6 // 10))


class Watched:
    """A watch over a lone site, looked through by hand."""

    def __init__(self) -> None:
        self.lone = LoneSite()
        self.site = self.lone.compose()
        self.clock = ManualClock()
        self.stalls = 0
        self.condition = self.lone.condition
        self.condition.state = "serving"
        self.watch = Watch(
            self.site, self.lone.store, self.lone.log, self.clock, self.condition, self._stalled
        )

    def _stalled(self) -> None:
        self.stalls += 1

    async def look_with(self, space: DiskSpace) -> Code | None:
        self.lone.store.set_space(space)
        await self.watch.look()
        return self.site.ingress_closed

    async def order(self, seq: int, size_bytes: int = 0) -> OrderedBlock:
        """A block that stands in the log and was not applied yet: without submissions, or of nothing that can be read."""
        data = bytes(size_bytes) or make_block(self.lone.world, SITE, [], seq, epoch=0)
        place = await self.lone.log.append(f"{SITE}/1/0", seq, data, timeout_ms=1_000)
        return OrderedBlock(place.number, place.revision, f"{SITE}/1/0", seq, data)

    def flush(self) -> None:
        self.lone.store.commit(self.site.flush_now()[0].batch)  # type: ignore[union-attr]
        self.site.flushed(self.clock.now_ms(), 0)
        self.watch.flushed()


async def test_ingress_closes_on_a_low_disk_and_opens_again_only_well_above_the_mark() -> None:
    watched = Watched()
    spaces = [ROOMY, LOW, BETWEEN, ROOMY, BETWEEN]
    seen = [await watched.look_with(space) for space in spaces]
    assert seen == [None, Code.DISK_LOW, Code.DISK_LOW, None, None]
    assert "disk-low" not in watched.condition.alarms


async def test_a_low_disk_stays_low_while_the_ordering_log_is_full_too() -> None:
    watched = Watched()
    watched.lone.order.engine.quota_bytes = 1_000
    await watched.order(1, size_bytes=600)
    assert await watched.look_with(LOW) is Code.ORDERING_FULL
    watched.lone.order.engine.quota_bytes = GIB
    assert await watched.look_with(BETWEEN) is Code.DISK_LOW


async def test_ingress_closes_at_half_of_the_ordering_logs_quota_and_opens_when_it_is_trimmed() -> None:
    watched = Watched()
    watched.lone.order.engine.quota_bytes = 1_000
    block = await watched.order(1, size_bytes=600)
    last = await watched.order(2, size_bytes=10)
    assert await watched.look_with(ROOMY) is Code.ORDERING_FULL
    await watched.lone.log.trim({block.lane: 1}, last.revision, timeout_ms=1_000)
    assert await watched.look_with(ROOMY) is None


async def test_a_lost_majority_is_said_and_taken_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "HEAD_TIMEOUT_MS", 10)
    watched = Watched()
    watched.lone.log.cut_off()
    await watched.watch.look()
    assert (watched.condition.state, watched.condition.takes_writes) == ("no-majority", True)
    watched.lone.log.heal()
    await watched.watch.look()
    assert watched.condition.state == "serving"


async def test_a_site_is_confirmed_current_as_of_the_question_and_only_once_that_is_flushed() -> None:
    watched = Watched()
    await watched.watch.look()
    first = watched.condition.confirmed_at_ms
    assert first == watched.clock.wall_ms()
    block = await watched.order(1)
    watched.clock.at_ms += 500
    asked_at_ms = watched.clock.wall_ms()
    await watched.watch.look()
    watched.site.ordered(block, watched.clock.now_ms())
    watched.clock.at_ms += 500
    await watched.watch.look()
    assert watched.condition.confirmed_at_ms == first
    watched.flush()
    assert watched.condition.confirmed_at_ms == asked_at_ms


async def test_a_stream_without_the_blocks_that_the_head_counts_is_opened_again() -> None:
    watched = Watched()
    await watched.order(1)
    for _ in range(2):
        await watched.watch.look()
        watched.clock.at_ms += STALLED_MS
    assert watched.stalls == 0
    watched.clock.at_ms += 1
    await watched.watch.look()
    await watched.watch.look()
    assert watched.stalls == 1


async def test_a_log_that_counts_other_blocks_at_the_same_revision_stops_the_site() -> None:
    watched = Watched()
    block = await watched.order(1)
    watched.site.ordered(block, 0)
    other = InProcessLog((SITE,))
    watched.lone.log.inner = other.access(SITE)
    other.engine.append("other/1/0", 1, b"a")
    other.engine.trim({"other/1/0": 1}, 0)
    other.engine.append("other/1/0", 2, b"b")
    watched.site.state.revision = other.engine.head.revision
    with pytest.raises(TwoOrders, match="counts 1 blocks and the ordering log 2"):
        await watched.watch.look()


@pytest.mark.parametrize(
    ("members", "said"),
    [
        (["a+", "b+", "c+"], ""),
        ([], ""),
        (["a+", "b+"], "c does not vote"),
        (["a+", "b+", "c-"], "c does not vote"),
        (["a+", "b+", "c+", "x+"], "a member named x votes"),
        (["a+", "b+", "c+", "c+"], "a member named c votes"),
        (["a+", "b+", "x+"], "c does not vote, a member named x votes"),
        (["a+", "b+", "c+", "d-"], ""),
    ],
    ids=["all", "a learner knows none", "one less", "one only learns", "a stranger", "twice", "exchanged", "one that learns"],
)  # fmt: skip
def test_other_voters_than_the_ledgers_are_told_by_name(members: list[str], said: str) -> None:
    listed = [OrderingMember(number, one[:-1], votes=one[-1] == "+") for number, one in enumerate(members)]
    words = members_in_words(listed, ("a", "b", "c"))
    assert said in words
    assert bool(words) == bool(said)
