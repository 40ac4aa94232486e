"""The ledger's Merkle tree: RFC 6962 hashes, inclusion and consistency proofs, and the frontier that grows it record by record.

Leaves are given as leaf hashes (a record hash already is SHA-256(0x00 || body)). Functions that make proofs read subtree hashes through a
callback, so that the same code serves a list in a test and tiles in a store. Verification needs no store.

Source: RFC 6962 section 2.1 (tree hash, audit path, consistency proof); RFC 9162 section 2.1.3.2 and 2.1.4.2 (verification algorithms).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence

HASH_BYTES = 32
EMPTY_ROOT = hashlib.sha256(b"").digest()

SubtreeHash = Callable[[int, int], bytes]
"""(level, index) -> hash of the complete subtree over leaves [index << level, (index + 1) << level)."""


def leaf_hash(data: bytes) -> bytes:
    """SHA-256(0x00 || data)."""
    return hashlib.sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """SHA-256(0x01 || left || right)."""
    return hashlib.sha256(b"\x01" + left + right).digest()


class Frontier:
    """The complete subtrees at the tree's right edge: all that appending and the root need.

    `hashes[i]` belongs to the i-th set bit of `size`, from the largest subtree to the smallest."""

    __slots__ = ("hashes", "size")

    def __init__(self, size: int = 0, hashes: Sequence[bytes] = ()) -> None:
        if len(hashes) != size.bit_count():
            raise ValueError("a frontier has one hash for each set bit of its size")
        self.size = size
        self.hashes = list(hashes)

    def append(self, leaf: bytes) -> None:
        """Add one leaf hash."""
        carry, size = leaf, self.size
        while size & 1:
            carry = node_hash(self.hashes.pop(), carry)
            size >>= 1
        self.hashes.append(carry)
        self.size += 1

    def extend(self, leaves: Sequence[bytes]) -> None:
        """Add leaf hashes in order: the same as appending each, level by level and so in half the time."""
        sha256 = hashlib.sha256
        size, nodes, lower = self.size, list(leaves), []
        while nodes or size:
            if size & 1:
                nodes.insert(0, self.hashes.pop())
            if len(nodes) & 1:
                lower.append(nodes.pop())
            pairs = iter(nodes)
            nodes = [
                sha256(b"\x01" + left + right).digest() for left, right in zip(pairs, pairs, strict=True)
            ]
            size >>= 1
            if not nodes:
                break
        self.hashes += reversed(lower)
        self.size += len(leaves)

    def root(self) -> bytes:
        """The tree hash of all leaves appended."""
        if not self.hashes:
            return EMPTY_ROOT
        accumulated = self.hashes[-1]
        for left in reversed(self.hashes[:-1]):
            accumulated = node_hash(left, accumulated)
        return accumulated

    def copy(self) -> Frontier:
        """An independent frontier of the same tree."""
        return Frontier(self.size, self.hashes)


def root_of(leaves: Iterable[bytes]) -> bytes:
    """Tree hash over leaf hashes in order."""
    frontier = Frontier()
    frontier.extend(list(leaves))
    return frontier.root()


def subtree_reader(leaves: Sequence[bytes]) -> SubtreeHash:
    """A SubtreeHash over a list of leaf hashes: for tests and for small trees such as a submission."""

    def read(level: int, index: int) -> bytes:
        return root_of(leaves[index << level : (index + 1) << level])

    return read


def range_root(read: SubtreeHash, start: int, end: int) -> bytes:
    """Tree hash over leaves [start, end), where `start` is a multiple of the range's enclosing power of two (as in RFC 6962 recursion)."""
    if end - start < 1:
        return EMPTY_ROOT
    pieces: list[bytes] = []
    at = start
    while at < end:
        level = (end - at).bit_length() - 1
        pieces.append(read(level, at >> level))
        at += 1 << level
    accumulated = pieces[-1]
    for left in reversed(pieces[:-1]):
        accumulated = node_hash(left, accumulated)
    return accumulated


def _split(size: int) -> int:
    return 1 << (size - 1).bit_length() - 1


def inclusion_proof(read: SubtreeHash, index: int, size: int) -> list[bytes]:
    """PATH(index, D[size]), from the leaf's sibling up. Raises ValueError unless 0 <= index < size."""
    if not 0 <= index < size:
        raise ValueError("the position is outside of the tree")
    path: list[bytes] = []
    start, end = 0, size
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            path.append(range_root(read, middle, end))
            end = middle
        else:
            path.append(range_root(read, start, middle))
            start = middle
    path.reverse()
    return path


def consistency_proof(read: SubtreeHash, old_size: int, new_size: int) -> list[bytes]:
    """PROOF(old_size, D[new_size]). Raises ValueError unless 0 <= old_size <= new_size."""
    if not 0 <= old_size <= new_size:
        raise ValueError("the older size is not within the newer tree")
    if old_size in (0, new_size):
        return []
    path: list[bytes] = []
    start, end, whole = 0, new_size, True
    while end > old_size:
        middle = start + _split(end - start)
        if old_size <= middle:
            path.append(range_root(read, middle, end))
            end = middle
        else:
            path.append(range_root(read, start, middle))
            start, whole = middle, False
    if not whole:
        path.append(range_root(read, start, end))
    path.reverse()
    return path


def root_of_path(leaf: bytes, index: int, count: int, path: Sequence[bytes]) -> bytes | None:
    """The root that an inclusion path leads to; None when the path does not fit a tree of `count` leaves."""
    if not 0 <= index < count:
        return None
    node, last, accumulated = index, count - 1, leaf
    for sibling in path:
        if last == 0:
            return None
        if node & 1 or node == last:
            accumulated = node_hash(sibling, accumulated)
            while not node & 1 and node:
                node >>= 1
                last >>= 1
        else:
            accumulated = node_hash(accumulated, sibling)
        node >>= 1
        last >>= 1
    return accumulated if last == 0 else None


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> bool:
    """Whether `proof` shows `leaf` at `index` of the tree (size, root)."""
    return root_of_path(leaf, index, size, proof) == root


def verify_run(
    leaves: Sequence[bytes],
    start: int,
    size: int,
    first_proof: Sequence[bytes],
    last_proof: Sequence[bytes],
    root: bytes,
) -> bool:
    """Whether `leaves` stand one after the other from `start` on in the tree (size, root), by the inclusion proofs of the first and the last of them.

    What lies left of the run stands in the first one's proof, what lies right of it in the last one's, and all between follows from the leaves: so two
    proofs show any number of neighbours."""
    return run_paths(leaves, start, size, first_proof, last_proof, root) is not None


def run_paths(
    leaves: Sequence[bytes],
    start: int,
    size: int,
    first_proof: Sequence[bytes],
    last_proof: Sequence[bytes],
    root: bytes,
) -> list[tuple[bytes, ...]] | None:
    """The inclusion proof of each leaf of a run, from those of the first and the last; None unless the run is shown to stand there, as `verify_run` says.

    Each is the proof that `inclusion_proof` makes: hashes inside of the run come from the leaves, so nothing that was not verified gets into them."""
    end = start + len(leaves)
    if not leaves or not 0 <= start < end <= size:
        return None
    first, last = list(first_proof), list(last_proof)
    paths: list[list[bytes]] = [[] for _ in leaves]

    def node(low: int, high: int) -> bytes:
        if high - low == 1:
            return leaves[low - start]
        middle = low + _split(high - low)
        outside = low < start or end < high
        beside_first = first.pop() if outside and low <= start < high else b""
        beside_last = last.pop() if outside and low < end <= high else b""
        left = node(low, middle) if start < middle else beside_first
        right = node(middle, high) if middle < end else beside_last
        for path in paths[max(low - start, 0) : max(middle - start, 0)]:
            path.append(right)
        for path in paths[max(middle - start, 0) : max(high - start, 0)]:
            path.append(left)
        return node_hash(left, right)

    try:
        if node(0, size) != root:
            return None
    except IndexError:
        return None
    return [tuple(path) for path in paths]


def verify_consistency(
    old_size: int, old_root: bytes, new_size: int, new_root: bytes, proof: Sequence[bytes]
) -> bool:
    """Whether `proof` shows that the tree (new_size, new_root) extends (old_size, old_root)."""
    if not 0 <= old_size <= new_size:
        return False
    if old_size == new_size:
        return not proof and old_root == new_root
    if old_size == 0:
        return not proof and old_root == EMPTY_ROOT
    path = list(proof)
    if old_size & (old_size - 1) == 0:
        path.insert(0, old_root)
    if not path:
        return False
    node, last = old_size - 1, new_size - 1
    while node & 1:
        node >>= 1
        last >>= 1
    from_old = from_new = path[0]
    for sibling in path[1:]:
        if last == 0:
            return False
        if node & 1 or node == last:
            from_old = node_hash(sibling, from_old)
            from_new = node_hash(sibling, from_new)
            while not node & 1 and node:
                node >>= 1
                last >>= 1
        else:
            from_new = node_hash(from_new, sibling)
        node >>= 1
        last >>= 1
    return last == 0 and from_old == old_root and from_new == new_root
