"""The shell around a site's decisions, hurt from inside: a flush that fails, an order that does not answer, a ledger that nobody can complete."""

from __future__ import annotations

import asyncio

import pytest

from genesis_builder import make_record, make_submission
from lone_runner import SITE, LoneSite
from sento_drill.waiting import until
from sento_node import bounds
from sento_node.runner import Runner
from sento_proto.errors import Code, SentoError


def a_submission(lone: LoneSite) -> bytes:
    numbers = lone.world.numbers
    record = make_record(
        lone.world, "iizuka-city", "residency", "residence/entry", numbers.take(32), numbers.take(16)
    )
    return make_submission(lone.world, "iizuka-city", [record])


async def serving(lone: LoneSite) -> None:
    async def serves() -> bool:
        return lone.condition.state == "serving"

    await until(serves, deadline_s=10, poll_s=0.005, what="the runner does not serve")


async def refusal(runner: Runner, data: bytes) -> Code:
    with pytest.raises(SentoError) as refused:
        await runner.submit(data)
    return refused.value.code


async def test_a_failed_flush_halts_in_words_and_takes_nothing_after_it() -> None:
    lone = LoneSite()
    async with lone.running() as runner:
        await serving(lone)
        lone.flush_fails = True
        reply = await runner.submit(a_submission(lone))
        assert reply.outcomes[0].code is Code.ACCEPTED, "the order holds it: that is what acknowledged means"
        await asyncio.wait_for(runner.halted(), 10)
        assert (lone.condition.state, lone.store.tip.size) == ("stopped", 0)
        assert lone.condition.explanation.count(".") >= 2
        assert await refusal(runner, a_submission(lone)) is Code.STOPPED


async def test_a_submission_that_waits_when_the_node_halts_is_told_that_its_outcome_is_unknown() -> None:
    lone = LoneSite()
    async with lone.running() as runner:
        await serving(lone)
        lone.log.cut_off()
        waiting = asyncio.create_task(refusal(runner, a_submission(lone)))
        await asyncio.sleep(0)
        runner.halt("stopped", "The test said so.")
        assert await waiting is Code.NO_ORDERING


async def test_submissions_in_line_behind_one_that_is_not_ordered_are_answered_in_bounded_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bounds, "WRITE_ANSWER_TIMEOUT_MS", 300)
    lone = LoneSite()
    async with lone.running() as runner:
        await serving(lone)
        lone.log.cut_off()
        submissions = [a_submission(lone) for _ in range(5)]
        told = await asyncio.gather(*(refusal(runner, submission) for submission in submissions))
        assert set(told) == {Code.NO_ORDERING}
        lone.log.heal()
        for (
            submission
        ) in submissions:  # the same ids again: each stands once, wherever it was when it was told
            reply = await runner.submit(submission)
            assert reply.outcomes[0].code in (Code.ACCEPTED, Code.KNOWN)
    assert lone.store.tip.size == len(submissions)


async def test_a_node_that_stops_answers_what_it_took_and_takes_nothing_new() -> None:
    lone = LoneSite()
    async with lone.running() as runner:
        await serving(lone)
        lone.log.cut_off()
        taken = asyncio.create_task(runner.submit(a_submission(lone)))
        await asyncio.sleep(0)
        runner.begin_stop()
        assert await refusal(runner, a_submission(lone)) is Code.STOPPING
        lone.log.heal()
        await runner.drained(timeout_ms=10_000)
        assert (await taken).outcomes[0].code is Code.ACCEPTED
    assert lone.store.tip.size == 1


async def test_draining_that_takes_too_long_leaves_what_waits_alone() -> None:
    lone = LoneSite()
    async with lone.running() as runner:
        await serving(lone)
        lone.log.cut_off()
        taken = asyncio.create_task(refusal(runner, a_submission(lone)))
        await asyncio.sleep(0)
        await runner.drained(timeout_ms=20)
        assert not taken.done()
        await runner.stop()
        assert await taken is Code.NO_ORDERING


async def test_a_ledger_behind_a_trimmed_log_with_nobody_to_copy_from_stops_in_words() -> None:
    lone = LoneSite()
    for seq in (1, 2, 3):
        lone.order.engine.append(f"{SITE}/1/0", seq, b"gone")
    lone.order.engine.trim({f"{SITE}/1/0": 2}, lone.order.engine.head.revision)
    async with lone.running() as runner:
        await asyncio.wait_for(runner.halted(), 10)
    assert lone.condition.state == "stopped"
    assert "no other site to copy it from" in lone.condition.explanation


async def test_a_ledger_beyond_the_end_of_its_log_stops_with_the_logs_own_words() -> None:
    lone = LoneSite()
    async with lone.running() as runner:
        await serving(lone)
        await runner.submit(a_submission(lone))
    assert lone.store.tip.block == 1
    emptied = LoneSite(world=lone.world)
    emptied.store = lone.store
    async with emptied.running() as runner:
        await asyncio.wait_for(runner.halted(), 10)
    assert "beyond the end of this ordering log" in emptied.condition.explanation
