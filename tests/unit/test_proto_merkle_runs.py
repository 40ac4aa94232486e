"""Runs of neighbouring leaves shown by two inclusion proofs: every run of every small tree, and nothing else than what stands there."""

from __future__ import annotations

import functools
from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st

from properties import PROPERTY
from sento_proto.merkle import (
    inclusion_proof,
    leaf_hash,
    root_of,
    run_paths,
    subtree_reader,
    verify_inclusion,
    verify_run,
)

MOST = 40
ALTERED_MOST = 18
LEAVES = [leaf_hash(b"leaf %d" % n) for n in range(MOST + 2)]
ROOTS = [root_of(LEAVES[:size]) for size in range(MOST + 3)]
OTHER = leaf_hash(b"in no tree")

Proof = tuple[bytes, ...]


@functools.cache
def path(index: int, size: int) -> Proof:
    return tuple(inclusion_proof(subtree_reader(LEAVES), index, size))


def left_siblings(index: int, size: int) -> list[bool]:
    """For each hash of the proof, from the leaf's sibling up, whether it stands left of the leaf."""
    sides: list[bool] = []
    while size > 1:
        middle = 1 << (size - 1).bit_length() - 1
        sides.append(index >= middle)
        index, size = (index - middle, size - middle) if index >= middle else (index, middle)
    return sides[::-1]


def runs(most: int) -> Iterator[tuple[int, int, int]]:
    """(first position, position behind the last, size of the tree), all of them."""
    for size in range(1, most + 1):
        for start in range(size):
            for end in range(start + 1, size + 1):
                yield start, end, size


def holds(start: int, end: int, size: int, first: Proof | None = None, last: Proof | None = None) -> bool:
    first = path(start, size) if first is None else first
    last = path(end - 1, size) if last is None else last
    return verify_run(LEAVES[start:end], start, size, first, last, ROOTS[size])


def needed(start: int, end: int, size: int) -> tuple[list[int], list[int]]:
    """Which hashes of the two proofs say something that the leaves do not: what stands left of the first, and right of the last."""
    first = [at for at, left in enumerate(left_siblings(start, size)) if left]
    last = [at for at, left in enumerate(left_siblings(end - 1, size)) if not left]
    return first, last


def changed(proof: Proof, at: int) -> Proof:
    return (*proof[:at], OTHER, *proof[at + 1 :])


def missing(proof: Proof, at: int) -> Proof:
    return (*proof[:at], *proof[at + 1 :])


def test_every_run_of_every_size_is_shown_by_the_proofs_of_its_two_ends() -> None:
    assert [run for run in runs(MOST) if not holds(*run)] == []


def test_a_run_of_one_leaf_is_an_inclusion_proof() -> None:
    for size in range(1, MOST + 1):
        for at in range(size):
            proof = path(at, size)
            assert verify_inclusion(LEAVES[at], at, size, proof, ROOTS[size])
            assert verify_run([LEAVES[at]], at, size, proof, proof, ROOTS[size])


def test_each_leafs_own_proof_follows_from_the_proofs_of_the_two_ends() -> None:
    for start, end, size in runs(MOST):
        paths = run_paths(LEAVES[start:end], start, size, path(start, size), path(end - 1, size), ROOTS[size])
        assert paths == [path(at, size) for at in range(start, end)], (start, end, size)


def test_no_hash_that_was_not_verified_gets_into_a_leafs_own_proof() -> None:
    """What a site adds to the two proofs beyond what is needed is replaced by what follows from the leaves."""
    for start, end, size in runs(ALTERED_MOST):
        first, last = path(start, size), path(end - 1, size)
        of_first, of_last = needed(start, end, size)
        spoilt_first = tuple(one if at in of_first else OTHER for at, one in enumerate(first))
        spoilt_last = tuple(one if at in of_last else OTHER for at, one in enumerate(last))
        paths = run_paths(LEAVES[start:end], start, size, spoilt_first, spoilt_last, ROOTS[size])
        assert paths == [path(at, size) for at in range(start, end)], (start, end, size)


def test_no_leaf_of_a_run_can_be_another_one() -> None:
    for start, end, size in runs(ALTERED_MOST):
        for at in range(start, end):
            leaves = [*LEAVES[start:at], OTHER, *LEAVES[at + 1 : end]]
            ends = path(start, size), path(end - 1, size)
            assert not verify_run(leaves, start, size, *ends, ROOTS[size]), (start, end, size, at)


def test_no_leaf_of_a_run_can_be_left_out_doubled_or_change_places() -> None:
    for start, end, size in runs(ALTERED_MOST):
        ends = path(start, size), path(end - 1, size)
        true = LEAVES[start:end]
        for false in (true[1:], true[:-1], [*true, true[-1]], true[::-1] if len(true) > 1 else []):
            assert not verify_run(false, start, size, *ends, ROOTS[size]), (start, end, size)


def test_a_hash_from_beside_the_run_cannot_be_another_one_nor_be_missing() -> None:
    for start, end, size in runs(ALTERED_MOST):
        first, last = path(start, size), path(end - 1, size)
        of_first, of_last = needed(start, end, size)
        for alter in (changed, missing):
            for at in of_first:
                assert not holds(start, end, size, first=alter(first, at)), (start, end, size, at)
            for at in of_last:
                assert not holds(start, end, size, last=alter(last, at)), (start, end, size, at)


def test_a_hash_from_within_the_run_follows_from_the_leaves_and_is_not_looked_at() -> None:
    for start, end, size in runs(ALTERED_MOST):
        first, last = path(start, size), path(end - 1, size)
        of_first, of_last = needed(start, end, size)
        for at in set(range(len(first))) - set(of_first):
            assert holds(start, end, size, first=changed(first, at))
        for at in set(range(len(last))) - set(of_last):
            assert holds(start, end, size, last=changed(last, at))


def test_a_run_is_not_shown_at_a_position_beside_its_own() -> None:
    for start, end, size in runs(ALTERED_MOST):
        ends = path(start, size), path(end - 1, size)
        for shifted in (start - 1, start + 1):
            assert not verify_run(LEAVES[start:end], shifted, size, *ends, ROOTS[size]), (start, end, size)


def test_proofs_for_one_size_show_nothing_under_the_root_of_another() -> None:
    for start, end, size in runs(ALTERED_MOST):
        ends = path(start, size), path(end - 1, size)
        # Of the last leaves of a tree nothing stands at the right, so what a larger tree's proof says too much of them is not looked at.
        for other in {size - 1, size + 1, 2 * size} - {end}:
            assert not verify_run(LEAVES[start:end], start, other, *ends, ROOTS[other]), (start, end, size)


def test_no_leaves_and_positions_outside_of_the_tree_show_nothing() -> None:
    proof = path(0, 4)
    assert not verify_run([], 0, 4, proof, proof, ROOTS[4])
    assert not verify_run([], 0, 0, (), (), ROOTS[0])
    assert not verify_run(LEAVES[:1], -1, 4, proof, proof, ROOTS[4])
    assert not verify_run(LEAVES[:5], 0, 4, proof, proof, ROOTS[4])
    assert not verify_run(LEAVES[:1], 4, 4, proof, proof, ROOTS[4])


@PROPERTY
@given(st.data())
def test_runs_of_large_trees_and_one_altered_leaf(data: st.DataObject) -> None:
    size = data.draw(st.integers(1, 600))
    start = data.draw(st.integers(0, size - 1))
    end = data.draw(st.integers(start + 1, size))
    leaves = [leaf_hash(b"%d" % n) for n in range(size)]
    read, root = subtree_reader(leaves), root_of(leaves)
    ends = inclusion_proof(read, start, size), inclusion_proof(read, end - 1, size)
    run = leaves[start:end]
    assert run_paths(run, start, size, *ends, root) == [
        tuple(inclusion_proof(read, at, size)) for at in range(start, end)
    ]
    run[data.draw(st.integers(0, len(run) - 1))] = OTHER
    assert not verify_run(run, start, size, *ends, root)
    assert run_paths(run, start, size, *ends, root) is None
