"""The tree against RFC 6962's own recursive definitions, written out here, for every size up to 65."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from golden_vectors.trees import REFERENCE_INPUTS, REFERENCE_ROOTS
from properties import PROPERTY
from sento_proto import limits
from sento_proto.merkle import (
    EMPTY_ROOT,
    Frontier,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    node_hash,
    range_root,
    root_of,
    subtree_reader,
    verify_consistency,
    verify_inclusion,
)

MOST = 65
LEAVES = [leaf_hash(b"leaf %d" % n) for n in range(MOST)]
READ = subtree_reader(LEAVES)


def naive_split(size: int) -> int:
    """The largest power of two smaller than `size`."""
    power = 1
    while power * 2 < size:
        power *= 2
    return power


def naive_root(leaves: Sequence[bytes]) -> bytes:
    """MTH of RFC 6962 section 2.1."""
    if len(leaves) <= 1:
        return leaves[0] if leaves else hashlib.sha256().digest()
    middle = naive_split(len(leaves))
    both = naive_root(leaves[:middle]) + naive_root(leaves[middle:])
    return hashlib.sha256(b"\x01" + both).digest()


def naive_path(index: int, leaves: Sequence[bytes]) -> list[bytes]:
    """PATH of RFC 6962 section 2.1.1."""
    if len(leaves) == 1:
        return []
    middle = naive_split(len(leaves))
    if index < middle:
        return [*naive_path(index, leaves[:middle]), naive_root(leaves[middle:])]
    return [*naive_path(index - middle, leaves[middle:]), naive_root(leaves[:middle])]


def naive_subproof(old_size: int, leaves: Sequence[bytes], whole: bool) -> list[bytes]:
    """SUBPROOF of RFC 6962 section 2.1.2."""
    if old_size == len(leaves):
        return [] if whole else [naive_root(leaves)]
    middle = naive_split(len(leaves))
    if old_size <= middle:
        return [*naive_subproof(old_size, leaves[:middle], whole), naive_root(leaves[middle:])]
    return [*naive_subproof(old_size - middle, leaves[middle:], False), naive_root(leaves[:middle])]


ROOTS = [naive_root(LEAVES[:size]) for size in range(MOST + 1)]


def test_the_certificate_transparency_reference_roots() -> None:
    leaves = [leaf_hash(data) for data in REFERENCE_INPUTS]
    assert [root_of(leaves[:size]).hex() for size in range(9)] == list(REFERENCE_ROOTS)
    assert [naive_root(leaves[:size]).hex() for size in range(9)] == list(REFERENCE_ROOTS)


def test_roots_of_all_sizes_however_they_are_made() -> None:
    frontier = Frontier()
    for size in range(MOST + 1):
        assert frontier.root() == root_of(LEAVES[:size]) == range_root(READ, 0, size) == ROOTS[size]
        resumed = Frontier(frontier.size, frontier.hashes)
        assert resumed.root() == ROOTS[size]
        if size < MOST:
            before = frontier.copy()
            frontier.append(LEAVES[size])
            assert before.root() == ROOTS[size]


def test_inclusion_proofs_of_all_positions_in_all_sizes() -> None:
    for size in range(1, MOST + 1):
        for index in range(size):
            path = inclusion_proof(READ, index, size)
            assert path == naive_path(index, LEAVES[:size])
            assert verify_inclusion(LEAVES[index], index, size, path, ROOTS[size])
            assert len(path) <= limits.PROOF_MAX_HASHES


def test_consistency_proofs_between_all_sizes() -> None:
    for new_size in range(MOST + 1):
        for old_size in range(new_size + 1):
            path = consistency_proof(READ, old_size, new_size)
            if old_size > 0:
                assert path == naive_subproof(old_size, LEAVES[:new_size], True)
            assert verify_consistency(old_size, ROOTS[old_size], new_size, ROOTS[new_size], path)


def test_a_proof_of_one_position_holds_for_no_other() -> None:
    for size in (1, 2, 7, 8, 9, 33):
        for index in range(size):
            path = inclusion_proof(READ, index, size)
            others = [n for n in range(size) if n != index]
            assert not any(verify_inclusion(LEAVES[n], n, size, path, ROOTS[size]) for n in others)
            assert not any(verify_inclusion(LEAVES[n], index, size, path, ROOTS[size]) for n in others)
            assert not any(verify_inclusion(LEAVES[index], n, size, path, ROOTS[size]) for n in others)


@PROPERTY
@given(st.data())
def test_no_damaged_inclusion_proof_holds(data: st.DataObject) -> None:
    size = data.draw(st.integers(1, MOST))
    index = data.draw(st.integers(0, size - 1))
    path = inclusion_proof(READ, index, size)
    damaged = _damaged_path(data, path)
    assert damaged == path or not verify_inclusion(LEAVES[index], index, size, damaged, ROOTS[size])


@PROPERTY
@given(st.data())
def test_no_damaged_consistency_proof_holds(data: st.DataObject) -> None:
    new_size = data.draw(st.integers(1, MOST))
    old_size = data.draw(st.integers(0, new_size))
    path = consistency_proof(READ, old_size, new_size)
    damaged = _damaged_path(data, path)
    held = verify_consistency(old_size, ROOTS[old_size], new_size, ROOTS[new_size], damaged)
    assert damaged == path or not held


def _damaged_path(data: st.DataObject, path: list[bytes]) -> list[bytes]:
    damaged = list(path)
    at = data.draw(st.integers(0, len(path)))
    other = data.draw(st.sampled_from([*ROOTS, *LEAVES]))
    injury = data.draw(st.sampled_from(("put in", "take out", "replace", "turn around")))
    if injury == "put in":
        damaged.insert(at, other)
    elif injury == "take out":
        del damaged[at : at + 1]
    elif injury == "replace" and at < len(path):
        damaged[at] = other
    else:
        damaged.reverse()
    return damaged


@PROPERTY
@given(st.integers(0, MOST), st.integers(0, MOST), st.integers(0, MOST))
def test_two_histories_are_never_consistent(old_size: int, new_size: int, forked_at: int) -> None:
    forked = [*LEAVES[:forked_at], *(leaf_hash(b"other %d" % n) for n in range(forked_at, MOST))]
    if not forked_at < old_size <= new_size:
        return
    path = consistency_proof(subtree_reader(forked), old_size, new_size)
    assert not verify_consistency(old_size, ROOTS[old_size], new_size, root_of(forked[:new_size]), path)


@pytest.mark.parametrize(("index", "size"), [(0, 0), (1, 1), (-1, 3), (5, 3)])
def test_proofs_outside_of_the_tree_are_not_made(index: int, size: int) -> None:
    with pytest.raises(ValueError, match="outside"):
        inclusion_proof(READ, index, size)
    assert not verify_inclusion(LEAVES[0], index, size, [], LEAVES[0])


@pytest.mark.parametrize(("old_size", "new_size"), [(2, 1), (-1, 3)])
def test_consistency_backwards_is_not_made(old_size: int, new_size: int) -> None:
    with pytest.raises(ValueError, match="not within"):
        consistency_proof(READ, old_size, new_size)
    assert not verify_consistency(old_size, EMPTY_ROOT, new_size, ROOTS[new_size], [])


def test_a_frontier_has_as_many_hashes_as_its_size_has_bits() -> None:
    with pytest.raises(ValueError, match="one hash for each set bit"):
        Frontier(3, [LEAVES[0]])


def test_leaf_and_node_hashes_live_apart() -> None:
    assert leaf_hash(LEAVES[0] + LEAVES[1]) != node_hash(LEAVES[0], LEAVES[1])
    assert root_of([]) == EMPTY_ROOT
