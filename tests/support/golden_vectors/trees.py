"""Vectors of the Merkle tree: the Certificate Transparency reference tree, a larger one, proofs that hold, and proofs that must not.

Source of the eight inputs and roots: the reference tests of RFC 6962's own implementation.
"""

from __future__ import annotations

from collections.abc import Sequence

from golden_vectors.ground import Group, Vector, digest
from sento_proto.merkle import (
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    root_of,
    subtree_reader,
)

REFERENCE_INPUTS = [
    bytes.fromhex(text)
    for text in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
REFERENCE_ROOTS = (
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
)
"""Roots of the first 0, 1, … 8 inputs."""


def numbered_leaf(n: int) -> bytes:
    """The n-th leaf hash of the larger tree."""
    return leaf_hash(n.to_bytes(4, "big"))


def trees() -> Group:
    """Inputs and the root at each size. The larger tree's inputs are 0, 1, 2, … as four bytes."""
    numbered = [numbered_leaf(n) for n in range(70)]
    reference: Vector = {
        "name": "certificate transparency reference",
        "inputs": [data.hex() for data in REFERENCE_INPUTS],
        "roots": list(REFERENCE_ROOTS),
    }
    larger: Vector = {
        "name": "numbers",
        "inputs": [n.to_bytes(4, "big").hex() for n in range(70)],
        "roots": [root_of(numbered[:size]).hex() for size in range(71)],
    }
    return [reference, larger]


def inclusion_vector(name: str, leaves: Sequence[bytes], index: int, size: int) -> Vector:
    """One inclusion proof."""
    proof = inclusion_proof(subtree_reader(leaves), index, size)
    return _inclusion(name, leaves[index], index, size, proof, root_of(leaves[:size]))


def _inclusion(name: str, leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> Vector:
    return {
        "name": name,
        "leaf": leaf.hex(),
        "index": index,
        "size": size,
        "proof": [step.hex() for step in proof],
        "root": root.hex(),
    }


def inclusions() -> Group:
    """Every inclusion proof of the reference tree and some of the larger one."""
    reference = [leaf_hash(data) for data in REFERENCE_INPUTS]
    numbered = [numbered_leaf(n) for n in range(70)]
    group = [
        inclusion_vector("reference", reference, index, size) for size in range(1, 9) for index in range(size)
    ]
    for index, size in ((0, 33), (31, 33), (32, 33), (63, 64), (64, 65), (37, 70), (69, 70)):
        group.append(inclusion_vector("numbers", numbered, index, size))
    return group


def _consistency(
    name: str, old_size: int, old_root: bytes, new_size: int, new_root: bytes, proof: Sequence[bytes]
) -> Vector:
    return {
        "name": name,
        "old_size": old_size,
        "old_root": old_root.hex(),
        "new_size": new_size,
        "new_root": new_root.hex(),
        "proof": [step.hex() for step in proof],
    }


def consistency_vector(name: str, leaves: Sequence[bytes], old_size: int, new_size: int) -> Vector:
    """One consistency proof."""
    proof = consistency_proof(subtree_reader(leaves), old_size, new_size)
    roots = root_of(leaves[:old_size]), root_of(leaves[:new_size])
    return _consistency(name, old_size, roots[0], new_size, roots[1], proof)


def consistencies() -> Group:
    """Every consistency proof of the reference tree, sizes 0 included, and some of the larger one."""
    reference = [leaf_hash(data) for data in REFERENCE_INPUTS]
    numbered = [numbered_leaf(n) for n in range(70)]
    group = [
        consistency_vector("reference", reference, old_size, new_size)
        for new_size in range(9)
        for old_size in range(new_size + 1)
    ]
    for old_size, new_size in ((1, 70), (32, 64), (33, 65), (63, 64), (64, 65), (69, 70)):
        group.append(consistency_vector("numbers", numbered, old_size, new_size))
    return group


def false_inclusions() -> Group:
    """Inclusion proofs that must not hold."""
    leaves = [numbered_leaf(n) for n in range(13)]
    proof = inclusion_proof(subtree_reader(leaves), 5, 13)
    root, leaf = root_of(leaves), leaves[5]
    first_bit = bytes((proof[0][0] ^ 1,)) + proof[0][1:]
    return [
        _inclusion("another leaf", leaves[6], 5, 13, proof, root),
        _inclusion("another index", leaf, 4, 13, proof, root),
        _inclusion("index equal to the size", leaf, 13, 13, proof, root),
        _inclusion("index below zero", leaf, -1, 13, proof, root),
        _inclusion("another root", leaf, 5, 13, proof, digest("root")),
        _inclusion("a longer path than the size has", leaf, 5, 6, proof, root),
        _inclusion("the size of a tree twice as large", leaf, 5, 26, proof, root),
        _inclusion("one bit of the path altered", leaf, 5, 13, [first_bit, *proof[1:]], root),
        _inclusion("last step missing", leaf, 5, 13, proof[:-1], root),
        _inclusion("first step missing", leaf, 5, 13, proof[1:], root),
        _inclusion("one step too many", leaf, 5, 13, [*proof, digest("step")], root),
        _inclusion("no steps", leaf, 5, 13, [], root),
        _inclusion("steps in reverse", leaf, 5, 13, proof[::-1], root),
        _inclusion("an empty tree", leaf, 0, 0, [], root),
        _inclusion("a tree of one with a step", leaf, 0, 1, [digest("step")], leaf),
        _inclusion("a tree of one with another root", leaf, 0, 1, [], root),
    ]


def false_consistencies() -> Group:
    """Consistency proofs that must not hold."""
    leaves = [numbered_leaf(n) for n in range(13)]
    proof = consistency_proof(subtree_reader(leaves), 6, 13)
    even = consistency_proof(subtree_reader(leaves), 8, 13)
    roots = [root_of(leaves[:size]) for size in range(14)]
    other = digest("root")
    first_bit = bytes((proof[0][0] ^ 1,)) + proof[0][1:]
    return [
        _consistency("another old root", 6, other, 13, roots[13], proof),
        _consistency("another new root", 6, roots[6], 13, other, proof),
        _consistency("roots exchanged", 6, roots[13], 13, roots[6], proof),
        _consistency("another old size", 5, roots[6], 13, roots[13], proof),
        _consistency("another new size", 6, roots[6], 26, roots[13], proof),
        _consistency("a ledger that became smaller", 13, roots[13], 6, roots[6], proof),
        _consistency("size below zero", -1, roots[0], 13, roots[13], []),
        _consistency("same size, other root", 13, roots[13], 13, other, []),
        _consistency("same size with a step", 13, roots[13], 13, roots[13], [digest("step")]),
        _consistency("from empty with a step", 0, roots[0], 13, roots[13], [digest("step")]),
        _consistency("from empty with a wrong empty root", 0, other, 13, roots[13], []),
        _consistency("one bit of the path altered", 6, roots[6], 13, roots[13], [first_bit, *proof[1:]]),
        _consistency("last step missing", 6, roots[6], 13, roots[13], proof[:-1]),
        _consistency("first step missing", 6, roots[6], 13, roots[13], proof[1:]),
        _consistency("one step too many", 6, roots[6], 13, roots[13], [*proof, digest("step")]),
        _consistency("no steps", 6, roots[6], 13, roots[13], []),
        _consistency("no steps from a power of two", 8, roots[8], 13, roots[13], []),
        _consistency("another old root from a power of two", 8, other, 13, roots[13], even),
        _consistency("the old root repeated as a step", 8, roots[8], 13, roots[13], [roots[8], *even]),
    ]
