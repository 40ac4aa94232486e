"""The order of a site that is given a vote goes over from others' log to its own member's in the middle of a stream, without a gap and without a double."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from sento_drill.waiting import until
from sento_node.joining.gated import GatedLog
from sento_node.joining.switched import SwitchedLog
from sento_node.ordering.in_process import InProcessLog
from sento_node.ordering.port import FollowBroken, Head, OrderedBlock, OutcomeUnknown

LENDER, OWN = "a", "b"
LANE = "b/1/0"
CALL_MS = 1_000


async def test_who_follows_and_appends_goes_over_to_the_own_member_when_that_votes() -> None:
    order = InProcessLog((LENDER, OWN))
    gate = GatedLog(order.access(OWN))
    log = SwitchedLog(order.access(LENDER), gate)
    seen: list[OrderedBlock] = []
    breaks: list[str] = []

    async def follow() -> None:
        while True:
            last = Head(seen[-1].number, seen[-1].revision) if seen else Head(0, 0)
            try:
                async with contextlib.aclosing(log.follow(last)) as events:
                    async for event in events:
                        assert isinstance(event, OrderedBlock)
                        seen.append(event)
            except FollowBroken as broken:
                breaks.append(str(broken))

    async def come_to(count: int) -> None:
        async def there() -> bool:
            return len(seen) >= count

        await until(there, deadline_s=10, poll_s=0.01, what=f"{count} blocks are seen")

    following = asyncio.create_task(follow())
    try:
        for seq in (1, 2):
            await log.append(LANE, seq, b"block %d" % seq, timeout_ms=CALL_MS)
        await come_to(2)
        with pytest.raises(OutcomeUnknown, match="does not vote yet"):
            await gate.head(timeout_ms=CALL_MS)
        assert not breaks
        gate.open()
        again = await log.append(LANE, 2, b"block 2", timeout_ms=CALL_MS)
        assert again.repeated, "what was appended through another site is not ordered twice"
        await log.append(LANE, 3, b"block 3", timeout_ms=CALL_MS)
        await come_to(3)
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
    assert [(block.number, block.data) for block in seen] == [(n, b"block %d" % n) for n in (1, 2, 3)]
    assert len(breaks) == 1
    assert (await log.head(timeout_ms=CALL_MS)).number == 3
    assert (await log.status(timeout_ms=CALL_MS)).member_id == (
        await order.access(OWN).status(timeout_ms=CALL_MS)
    ).member_id
    await log.close()
