"""Which checkpoints are kept: gaps stay small, the newest is always there, and no site's newest cosignature is forgotten."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from genesis_builder import SITES, TestWorld, build_genesis
from sento_node.ledger.memory_store import MemoryDisk, MemoryStore
from sento_node.ledger.store import KeptCheckpoint
from sento_node.quorum.thinning import (
    GAP_BLOCKS,
    GAP_RECORDS,
    GAP_S,
    LOOKED_AT,
    Thinning,
    Told,
    superseded,
)
from sento_proto.checkpoint import Checkpoint, cosign, encode_checkpoint, sign_note
from sento_proto.governance.state import from_genesis

ALL = frozenset({"a", "b", "c"})


def told(size: int, time_s: int = 0, sites: frozenset[str] = ALL, block: int = 0) -> Told:
    return Told(size, block, time_s, sites)


def test_the_one_between_two_close_ones_goes_and_never_the_first_or_the_newest() -> None:
    assert superseded([], told(1)) == ()
    assert superseded([told(1)], told(2)) == ()
    assert superseded([told(1), told(2)], told(3)) == (2,)


def test_it_stays_where_the_gap_would_be_too_many_records_too_many_blocks_or_too_long() -> None:
    kept = [told(10), told(20)]
    assert superseded(kept, told(9 + GAP_RECORDS)) == (20,)
    assert superseded(kept, told(10 + GAP_RECORDS)) == ()
    assert superseded(kept, told(30, time_s=GAP_S - 1)) == (20,)
    assert superseded(kept, told(30, time_s=GAP_S)) == ()
    assert superseded(kept, told(30, block=GAP_BLOCKS)) == ()


def test_a_clock_that_goes_back_by_a_minute_keeps_it() -> None:
    assert superseded([told(1, 1_000), told(2, 1_000)], told(3, 1_000 - GAP_S)) == ()


def test_nothing_goes_for_a_checkpoint_of_a_size_that_stands_or_was_passed() -> None:
    assert superseded([told(1), told(2), told(3)], told(3)) == ()
    assert superseded([told(1), told(2), told(3)], told(2)) == ()


def test_a_site_that_only_an_older_one_names_keeps_it_until_the_site_cosigned_again() -> None:
    ab, ac = frozenset({"a", "b"}), frozenset({"a", "c"})
    assert superseded([told(1), told(2, sites=ac)], told(3, sites=ab)) == ()
    assert superseded([told(1), told(2, sites=ac), told(3, sites=ab)], told(4, sites=ab)) == (3,)
    assert superseded([told(1), told(2, sites=ac), told(4, sites=ab)], told(5, sites=ac)) == (2,)


_steps = st.lists(
    st.tuples(st.integers(1, 400), st.integers(1, 50), st.integers(0, 20), st.sets(st.sampled_from("abc"))),
    max_size=120,
)


@given(_steps)
def test_whatever_comes_gaps_are_bounded_and_every_sites_newest_cosignature_is_kept(
    steps: list[tuple[int, int, int, set[str]]],
) -> None:
    size, block, time_s = 0, 0, 0
    kept: list[Told] = []
    came: list[Told] = []
    for records, blocks, seconds, sites in steps:
        size, block, time_s = size + records, block + blocks, time_s + seconds
        new = Told(size, block, time_s, frozenset(sites))
        gone = superseded(kept[-LOOKED_AT:], new)
        kept = [one for one in kept if one.size not in gone] + [new]
        came.append(new)
        assert kept[-1] == new
        for site in "abc":
            newest = max((one.size for one in came if site in one.sites), default=0)
            assert newest == max((one.size for one in kept if site in one.sites), default=0)
    for before, after in pairwise(kept):
        close = (
            after.size - before.size < GAP_RECORDS
            and after.block - before.block < GAP_BLOCKS
            and after.time_s - before.time_s < GAP_S
        )
        assert close or came.index(after) == came.index(before) + 1


def test_a_quiet_hour_of_three_sites_of_which_two_cosign_by_turns_keeps_about_one_a_minute() -> None:
    kept: list[Told] = []
    for second in range(3_600):
        sites = frozenset({"a", "b" if second % 3 else "c"})
        new = Told(second + 1, second + 1, second, sites)
        gone = superseded(kept[-LOOKED_AT:], new)
        kept = [one for one in kept if one.size not in gone] + [new]
    assert 60 <= len(kept) <= 66


def _note(
    world: TestWorld, size: int, time_s: int, sites: tuple[str, ...], forged: str = ""
) -> KeptCheckpoint:
    bare = Checkpoint(world.ledger_id, 1, size, bytes(32))
    lines = [sign_note(bare, SITES[0], world.site_signers[SITES[0]])]
    lines += [cosign(bare, site, world.site_signers[site], time_s) for site in sites]
    if forged:
        lines.append(cosign(bare, forged, world.site_signers[SITES[0]], time_s))
    return KeptCheckpoint(size, size, encode_checkpoint(bare._replace(signatures=tuple(lines))))


def test_over_notes_only_a_cosignature_that_verifies_stands_for_its_site() -> None:
    world = build_genesis()
    first, second, third = SITES[:3]
    keys = from_genesis(world.genesis).site_keys
    store = MemoryStore(MemoryDisk(world.ledger_id))
    thinning = Thinning()

    def put(kept: KeptCheckpoint) -> list[int]:
        gone = thinning.superseded(store.newest_checkpoints(LOOKED_AT), kept, keys)
        store.put_checkpoint(kept, gone)
        return [one.size for one in store.newest_checkpoints(10)]

    assert put(_note(world, 1, 100, (first, second))) == [1]
    assert put(_note(world, 2, 101, (first, third))) == [2, 1]
    assert put(_note(world, 3, 102, (first, second), forged=third)) == [3, 2, 1]
    assert put(_note(world, 4, 103, (first, third))) == [4, 3, 1]
