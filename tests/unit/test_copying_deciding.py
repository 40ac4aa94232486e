"""What is fetched next, from whom, and when it is adopted: decided without a clock or a line of its own."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sento_node.sync.deciding import (
    PAYLOAD_CHUNKS_MAX,
    TOGETHER_MAX_BYTES,
    Adopt,
    Anchor,
    AskPlan,
    Copying,
    Effect,
    Fetch,
    Finished,
    LeaveSite,
    Mode,
    Plan,
    Planned,
    is_anchored,
    pays_to_wait,
)
from sento_node.sync.parts import Wanted
from sento_node.sync.payload_walk import MANY, STRETCH_RECORDS, Stretch, Walk, in_order, stretches_of
from sento_node.sync.sources import PATIENCE, REFUSED_MS, SLOW_LOOK_MS, Sources
from sento_proto.chunk import Kind
from sento_proto.merkle import root_of

MBIT_S = 125_000.0


def planned(start: int, count: int) -> tuple[Planned, ...]:
    """So many stretches of 10 blocks and 100 records each."""
    return tuple(Planned(10 * n, 10 * n + 10, 100 * n, 100 * n + 100) for n in range(start, start + count))


def begun(*names: str, mode: Mode = "together", stretches: int = 3, streams: int = 4) -> Copying:
    """A copying with the first site's plan in hand."""
    core = Copying(Sources(names or ("a",)), 0, 0, mode=mode, streams=streams)
    (ask,) = core.next(0)
    assert ask == AskPlan((names or ("a",))[0], 0)
    assert core.planned(ask.site, Plan(planned(0, stretches), False, 100 * stretches), 0) == []
    return core


def fetches(effects: list[Effect]) -> list[Wanted]:
    return [effect.wanted for effect in effects if isinstance(effect, Fetch)]


def test_spines_come_before_their_payloads_and_earlier_stretches_before_later_ones() -> None:
    wanted = fetches(begun(stretches=2, streams=9).next(0))
    assert [(one.kind, one.from_position) for one in wanted] == [
        (Kind.SPINE, 0),
        (Kind.PAYLOADS, 0),
        (Kind.SPINE, 100),
        (Kind.PAYLOADS, 100),
    ]


def test_payloads_that_end_early_are_gone_on_with_and_the_stretch_is_adopted_with_all_of_them() -> None:
    core = begun(stretches=1)
    spine, first = [effect for effect in core.next(0) if isinstance(effect, Fetch)]
    core.fetched("a", spine.stream, 100, 5_000, MBIT_S)
    core.fetched("a", first.stream, 70, 5_000, MBIT_S)
    (rest,) = [effect for effect in core.next(0) if isinstance(effect, Fetch)]
    assert (rest.wanted.from_position, rest.wanted.to_position) == (70, 100)
    core.fetched("a", rest.stream, 100, 5_000, MBIT_S)
    assert core.next(0) == [Adopt("a", planned(0, 1)[0], (first.wanted, rest.wanted))]
    assert core.next(0) == [], "one adoption at a time"
    core.adopted(10, 100)
    assert core.next(0) == [Finished()]


@pytest.mark.parametrize(
    ("size_bytes", "chunks"),
    [(TOGETHER_MAX_BYTES // 2 + 1, 2), (10, PAYLOAD_CHUNKS_MAX)],
    ids=["bytes", "chunks"],
)
def test_what_comes_beside_a_spine_is_bounded_and_the_spine_is_adopted_with_what_came(
    size_bytes: int, chunks: int
) -> None:
    core = begun(stretches=1)
    spine, payloads = [effect for effect in core.next(0) if isinstance(effect, Fetch)]
    core.fetched("a", spine.stream, 100, 5_000, MBIT_S)
    taken = []
    for at in range(1, chunks + 1):
        taken.append(payloads.wanted)
        core.fetched("a", payloads.stream, at, size_bytes, MBIT_S)
        effects = core.next(0)
        if at < chunks:
            (payloads,) = [effect for effect in effects if isinstance(effect, Fetch)]
    assert effects == [Adopt("a", planned(0, 1)[0], tuple(taken))]


def test_a_ledger_that_a_courier_brought_further_meanwhile_is_planned_for_anew() -> None:
    core = begun(mode="after", stretches=3)
    asked = [effect for effect in core.next(0) if isinstance(effect, Fetch)]
    for effect in asked[:1]:
        core.fetched("a", effect.stream, 100, 5_000, MBIT_S)
    assert any(isinstance(effect, Adopt) for effect in core.next(0))
    assert core.adopted(15, 150) == [LeaveSite("a")]
    assert core.next(0) == [AskPlan("a", 15)]


def test_after_means_the_spine_alone_and_no_payload_is_asked_for() -> None:
    core = begun(mode="after")
    asked = [effect for effect in core.next(0) if isinstance(effect, Fetch)]
    assert {effect.wanted.kind for effect in asked} == {Kind.SPINE}
    core.fetched("a", asked[1].stream, 200, 5_000, MBIT_S)
    assert not core.next(0), "the second stretch waits for the first"
    core.fetched("a", asked[0].stream, 100, 5_000, MBIT_S)
    assert core.next(0) == [Adopt("a", planned(0, 1)[0], ())]


@pytest.mark.parametrize(
    ("records", "rate", "waits"),
    [
        (67_000, 100 * MBIT_S, False),  # a fibre: all of it in seconds
        (67_000, 13.5 * MBIT_S, True),  # a minute and a half, and the spine in a quarter of that
        (67_000, 64_000 / 8, True),  # hours for the spine alone, and days with payloads
        (100_000_000, 1_000 * MBIT_S, False),  # minutes either way: each record is written once
        (100, 64_000 / 8, False),
        (5, 0, True),
    ],
)
def test_payloads_wait_for_the_whole_spine_where_that_makes_headers_stand_much_sooner(
    records: int, rate: float, waits: bool
) -> None:
    assert pays_to_wait(records, 330, rate) is waits


def test_auto_decides_with_the_first_spine_and_asks_for_no_payload_before() -> None:
    core = begun(mode="auto", stretches=3)
    asked = [effect for effect in core.next(0) if isinstance(effect, Fetch)]
    assert {effect.wanted.kind for effect in asked} == {Kind.SPINE}
    core.fetched("a", asked[0].stream, 100, 33_000, 100 * MBIT_S)
    assert core.mode == "together"
    assert {wanted.kind for wanted in fetches(core.next(0))} == {Kind.PAYLOADS}


def test_the_window_bounds_what_waits_on_the_disk() -> None:
    core = begun(mode="after", stretches=500, streams=2)
    seen = 0
    for _ in range(500):
        asked = [effect for effect in core.next(0) if isinstance(effect, Fetch)]
        if not asked:
            break
        for effect in asked:
            if effect.wanted.from_position:  # the first never comes: nothing can be adopted
                core.fetched("a", effect.stream, effect.wanted.to_position, 1, MBIT_S)
                seen = max(seen, effect.wanted.to_position)
    assert seen == 1_200


def test_a_stream_that_broke_rests_while_the_others_go_on_and_goes_on_itself_after_a_pause() -> None:
    core = begun(stretches=3, streams=2)
    first, second = [effect for effect in core.next(1_000) if isinstance(effect, Fetch)]
    assert core.broke("a", first.stream, 4_000, 1_000) == []
    assert first.wanted not in fetches(core.next(1_000))
    assert core.wakes_ms() == 1_500
    core.fetched("a", second.stream, 100, 1, MBIT_S)
    assert first.wanted in fetches(core.next(1_500))


def test_patience_ends_with_a_site_that_brings_nothing_and_the_next_one_is_asked() -> None:
    core, now_ms = begun("a", "b", streams=1), 0
    for _ in range(PATIENCE - 1):
        (fetch,) = [effect for effect in core.next(now_ms) if isinstance(effect, Fetch)]
        assert core.broke("a", fetch.stream, 0, now_ms) == []
        now_ms += 60_000
    (fetch,) = [effect for effect in core.next(now_ms) if isinstance(effect, Fetch)]
    assert core.broke("a", fetch.stream, 0, now_ms) == [LeaveSite("a")]
    assert core.next(now_ms) == [AskPlan("b", 0)]


def test_a_line_that_breaks_for_hours_and_brings_a_little_each_time_is_not_given_up() -> None:
    core, now_ms = begun("a", "b", streams=1), 0
    for kept in range(1, 200):
        (fetch,) = [effect for effect in core.next(now_ms) if isinstance(effect, Fetch)]
        assert (fetch.site, core.broke("a", fetch.stream, kept, now_ms)) == ("a", [])
        now_ms += 60_000


def test_a_false_site_is_refused_with_words_and_what_it_planned_is_forgotten() -> None:
    core = begun("a", "b")
    core.next(0)
    assert core.falsified("a", "it lies", 0) == [LeaveSite("a", "it lies")]
    assert core.next(0) == [AskPlan("b", 0)]
    core.planned("b", Plan(planned(0, 1), False, 100), 0)
    assert all(effect.site == "b" for effect in core.next(0) if isinstance(effect, Fetch))


def test_a_site_alone_that_was_refused_is_asked_again_only_after_ten_minutes() -> None:
    core = begun("a")
    core.falsified("a", "it lies", 0)
    assert core.next(REFUSED_MS - 1) == []
    assert core.wakes_ms() == REFUSED_MS
    assert core.next(REFUSED_MS) == [AskPlan("a", 0)]


def test_who_drips_is_left_when_there_is_another_and_kept_when_there_is_none() -> None:
    for names, left in ((("a", "b"), [LeaveSite("a")]), (("a",), [])):
        core = begun(*names, streams=1)
        core.next(0)
        core.came("a", 600)
        effects = core.next(SLOW_LOOK_MS)
        assert [effect for effect in effects if isinstance(effect, LeaveSite)] == left
    core = begun("a", "b", streams=1)
    core.next(0)
    core.came("a", 64_000 // 8 * 60)
    assert core.next(SLOW_LOOK_MS) == [], "64 kbit/s is a line and no drip"


def test_an_old_state_is_read_to_its_end_and_the_others_are_read_too() -> None:
    core = Copying(Sources(("old", "new")), 10, 100, mode="after")
    assert core.next(0) == [AskPlan("old", 10)]
    core.planned("old", Plan((), False, 100), 0)
    assert core.next(0) == [AskPlan("new", 10)]
    core.planned("new", Plan((), False, 100), 0)
    assert core.next(0) == [Finished()]


def test_it_is_not_finished_while_nobody_answered_or_one_was_not_asked() -> None:
    core = Copying(Sources(("a", "b")), 0, 0)
    assert core.next(0) == [AskPlan("a", 0)]
    core.no_plan("a", 0)
    assert core.next(0) == [AskPlan("b", 0)]
    core.no_plan("b", 0)
    assert core.next(0) == []
    assert core.next(core.wakes_ms()) == [AskPlan("a", 0)]
    core.planned("a", Plan((), False, 0), 500)
    effects = core.next(500)
    if effects == [AskPlan("b", 0)]:
        core.no_plan("b", 500)
        effects = core.next(500)
    assert effects == [Finished()]


def test_below_the_anchor_nothing_is_finished() -> None:
    anchor = Anchor(1, 150, bytes(32))
    core = Copying(Sources(("a",)), 10, 100, anchor=anchor)
    core.next(0)
    core.planned("a", Plan((), False, 149), 0)
    assert core.next(0) == []
    assert isinstance(core.next(core.wakes_ms())[0], AskPlan)


def test_a_tree_is_the_anchors_or_it_is_not() -> None:
    leaves = [bytes([n]) * 32 for n in range(7)]
    anchor = Anchor(1, 7, root_of(leaves))
    assert is_anchored(anchor, 7, anchor.root, ())
    assert not is_anchored(anchor, 7, bytes(32), ())
    assert not is_anchored(anchor, 6, root_of(leaves[:6]), ())
    assert not is_anchored(anchor, 8, root_of([*leaves, bytes(32)]), ())


# -- payloads in bulk -------------------------------------------------------------------------------------------------


def test_registries_of_first_need_come_first_each_from_the_beginning() -> None:
    registries = in_order(("residency", "health", "tax"), ["tax", "keys", "health", "residency", "births"])
    assert registries == ("residency", "health", "tax", "births", "keys")
    walk = Walk(registries[:2], [Stretch(0, 10), Stretch(10, 20)])
    seen = []
    while (wanted := walk.next()) is not None:
        seen.append((wanted.registry, wanted.from_position))
        walk.went_on(wanted, wanted.to_position)
    assert seen == [("residency", 0), ("residency", 10), ("health", 0), ("health", 10)]


def test_a_chunk_that_ended_early_is_gone_on_with_before_anything_else() -> None:
    walk = Walk(["tax"], [Stretch(0, 10), Stretch(10, 20)])
    first = walk.next()
    assert first is not None
    walk.went_on(first, 4)
    rest = walk.next()
    assert rest is not None
    assert (rest.from_position, rest.to_position) == (4, 10)


@given(st.sets(st.integers(0, 3 * STRETCH_RECORDS), max_size=400))
@settings(max_examples=40)
def test_stretches_are_where_many_are_awaited_and_hold_no_position_twice(awaited: set[int]) -> None:
    size, at = 3 * STRETCH_RECORDS + 1, sorted(awaited)

    def look(limit: int, start: int) -> list[int]:
        return [one for one in at if one >= start][:limit]

    found = list(stretches_of(size, look))
    for stretch in found:
        assert sum(stretch.start <= one < stretch.end for one in at) >= MANY
    assert all(one.end <= other.start for one, other in pairwise(found))
    covered = {one for one in at for stretch in found if stretch.start <= one < stretch.end}
    for number in range(4):
        rest = [one for one in at if one // STRETCH_RECORDS == number and one not in covered]
        assert len(rest) < MANY


# -- whatever happens -------------------------------------------------------------------------------------------------


class Happening(NamedTuple):
    """One thing that happens to whatever is under way. `what`: fetched, broke, false, silence."""

    what: str
    which: int


HAPPENINGS = st.lists(
    st.builds(
        Happening,
        st.sampled_from(["fetched"] * 6 + ["broke", "broke", "false", "time"]),
        st.integers(0, 7),
    ),
    max_size=60,
)


@given(HAPPENINGS, st.sampled_from(["together", "after"]), st.integers(1, 6))
@settings(max_examples=150, deadline=None)
def test_whatever_breaks_it_adopts_in_order_and_finishes_once_a_site_gives_well(
    happenings: list[Happening], mode: Mode, streams: int
) -> None:
    total = 6
    core = Copying(Sources(("a", "b")), 0, 0, mode=mode, streams=streams)
    under_way: dict[int, Fetch] = {}
    now_ms, adopted = 0, 0
    left = [*happenings]
    for _ in range(2_000):
        effects = core.next(now_ms)
        while effects:
            effect = effects.pop(0)
            match effect:
                case AskPlan():
                    rest = planned(effect.after_block // 10, total - effect.after_block // 10)
                    effects += core.planned(effect.site, Plan(rest, False, 100 * total), now_ms)
                case Fetch():
                    assert effect.stream not in under_way
                    assert effect.wanted not in [other.wanted for other in under_way.values()]
                    under_way[effect.stream] = effect
                case LeaveSite():
                    under_way = {at: one for at, one in under_way.items() if one.site != effect.site}
                case Adopt():
                    assert effect.planned.from_position == adopted
                    adopted = effect.planned.to_position
                    core.adopted(effect.planned.through_block, adopted)
                case Finished():
                    assert adopted == 100 * total
                    return
        happening = left.pop(0) if left else Happening("fetched", 0)
        now_ms += 50
        if happening.what == "time" or not under_way:
            now_ms = max(now_ms, core.wakes_ms())
            continue
        stream = sorted(under_way)[happening.which % len(under_way)]
        fetch = under_way[stream]
        if happening.what == "fetched":
            del under_way[stream]
            assert core.fetched(fetch.site, stream, fetch.wanted.to_position, 100, MBIT_S) == []
        elif happening.what == "broke":
            del under_way[stream]
            for leave in core.broke(fetch.site, stream, happening.which, now_ms):
                assert isinstance(leave, LeaveSite)
                under_way = {at: one for at, one in under_way.items() if one.site != leave.site}
        else:
            core.falsified(fetch.site, "false", now_ms)
            under_way = {at: one for at, one in under_way.items() if one.site != fetch.site}
    raise AssertionError("it never finished")
