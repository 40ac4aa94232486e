"""The tree in tiles: whatever the batches, tiles, frontier and subtrees are those of the plain tree."""

from __future__ import annotations

import hashlib
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from properties import PROPERTY
from sento_node.ledger.tiles import NotInTiles, TileEdge, fold, subtree, tiles_of
from sento_proto.merkle import Frontier, root_of, subtree_reader

LEAVES = [hashlib.sha256(b"leaf %d" % at).digest() for at in range(70_000)]
Tiles = dict[tuple[int, int], bytes]


def grown(ends: list[int]) -> tuple[Tiles, TileEdge]:
    """Tiles after batches that end at these sizes."""
    tiles: Tiles = {}
    edge = TileEdge()
    for start, end in pairwise([0, *ends]):
        tiles.update(edge.append(LEAVES[start:end]))
    return tiles, edge


@PROPERTY
@given(st.lists(st.integers(0, 2_000), max_size=8).map(sorted))
@example([256])
@example([255, 256, 257])
@example([65_535, 65_536, 65_537])
def test_batches_of_any_size_give_the_same_tiles_and_frontier(ends: list[int]) -> None:
    size = max(ends, default=0)
    tiles, edge = grown(ends)
    frontier = Frontier()
    for leaf in LEAVES[:size]:
        frontier.append(leaf)
    assert edge.frontier() == frontier.hashes
    assert tiles == grown([size])[0]
    assert {key: len(tile) // 32 for key, tile in tiles.items()} == {
        (level, index): count for level, index, count in tiles_of(size)
    }


@PROPERTY
@given(st.integers(0, 2_000), st.integers(1, 600))
@example(65_536, 1)
@example(65_535, 2)
def test_an_edge_read_back_from_tiles_goes_on_as_if_it_had_never_stopped(size: int, more: int) -> None:
    tiles, edge = grown([size])
    again = TileEdge(size, lambda level, index: tiles.get((level, index), b""))
    assert again.frontier() == edge.frontier()
    assert again.append(LEAVES[size : size + more]) == edge.append(LEAVES[size : size + more])


def test_every_subtree_is_that_of_the_plain_tree() -> None:
    size = 1_300
    tiles, _ = grown([size])
    reference = subtree_reader(LEAVES[:size])
    for level in range(11):
        for index in range(size >> level):
            assert subtree(lambda *at: tiles.get(at, b""), level, index) == reference(level, index)


def test_subtrees_above_tiles_of_tiles() -> None:
    tiles, _ = grown([65_792])
    assert subtree(lambda *at: tiles.get(at, b""), 16, 0) == root_of(LEAVES[:65_536])
    assert subtree(lambda *at: tiles.get(at, b""), 8, 256) == root_of(LEAVES[65_536:65_792])


@pytest.mark.parametrize(("level", "index"), [(0, 300), (8, 1), (3, 37), (9, 0)])
def test_a_subtree_that_is_not_whole_is_refused(level: int, index: int) -> None:
    tiles, _ = grown([300])
    with pytest.raises(NotInTiles):
        subtree(lambda *at: tiles.get(at, b""), level, index)


def test_an_edge_over_tiles_of_another_size_is_refused() -> None:
    tiles, _ = grown([300])
    for size in (299, 301, 600):
        with pytest.raises(NotInTiles):
            TileEdge(size, lambda level, index: tiles.get((level, index), b"\0" * 32))


def test_folding_is_the_tree_hash() -> None:
    for height in range(9):
        assert fold(b"".join(LEAVES[: 1 << height])) == root_of(LEAVES[: 1 << height])
