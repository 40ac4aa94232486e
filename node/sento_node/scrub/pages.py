"""The database's pages looked at from outside, without the engine: whether each page that the newest commit reaches is one that the engine may trust.

The engine follows page numbers and offsets as they stand on the disk, and one that is wrong ends the process that follows it. So the file is read here page
by page, and nothing is followed that was not checked: a page's own number and kind, the account of its free space, each node within its page and its place
in the order of keys, overflow runs, and the list of free pages, which may name no page that is in use. `lmdb.verify` asks the same of a file at rest; here the
file grows meanwhile, so a walk goes in slices: each looks at the tree of one commit, pinned by the caller, and the next goes on behind the last key.

Free space within pages, and a padding byte behind a node of odd length, mean nothing to anybody and are not looked at.

Source: the layout of LMDB 0.9 data files (mdb.c, MDB_page, MDB_node, MDB_meta), little-endian, 64 bits.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

PAGE_HEADER_BYTES = 16
NODE_HEADER_BYTES = 8
METAS = 2
NO_PAGE = (1 << 64) - 1
DEPTH_MAX = 32
_MAGIC, _VERSION = 0xBEEFC0DE, 1
_BRANCH, _LEAF, _OVERFLOW, _META = 1, 2, 4, 8
_BIG_DATA, _SUB_DATABASE = 1, 2
_PAGE = struct.Struct("<QHHHH")
_NODE = struct.Struct("<HHHH")
_DATABASE = struct.Struct("<IHHQQQQQ")
_META_HEAD = struct.Struct("<IIQQ")
_U64 = struct.Struct("<Q")


class PageDamaged(Exception):
    """A page is not one that the engine may follow. The text names it."""


class Tree(NamedTuple):
    """One table's tree as its row of the main table, or a meta page, names it."""

    flags: int
    depth: int
    branch_pages: int
    leaf_pages: int
    overflow_pages: int
    entries: int
    root: int


class Meta(NamedTuple):
    """A meta page: what one commit ended with."""

    page_bytes: int
    free: Tree
    main: Tree
    last_page: int
    txnid: int


class Node(NamedTuple):
    """A node of a leaf: its key, what it holds, and on which overflow page (0: none) so many bytes lie."""

    key: bytes
    flags: int
    data: bytes
    overflow: int
    data_bytes: int


class Counted(NamedTuple):
    """What a slice of a walk saw: pages by kind, entries, and the key behind which the next slice goes on (None: the end)."""

    branch_pages: int
    leaf_pages: int
    overflow_pages: int
    entries: int
    last_key: bytes | None


def _tree(data: bytes, at: int) -> Tree:
    pad_and_rest = _DATABASE.unpack_from(data, at)
    return Tree._make(pad_and_rest[1:])


def read_metas(fd: int) -> tuple[Meta, Meta]:
    """Both meta pages. Raises PageDamaged unless they are those of two commits one after the other."""
    first = _read_meta(fd, 0, 4_096)
    metas = (first, _read_meta(fd, 1, first.page_bytes))
    for number, meta in enumerate(metas):
        if meta.page_bytes != first.page_bytes or not 512 <= meta.page_bytes <= 32_768:
            raise PageDamaged(f"Meta page {number} names an impossible size of pages.")
        if meta.txnid and meta.txnid % METAS != number:
            raise PageDamaged(f"Meta page {number} is of a commit that the other one keeps.")
    if abs(metas[0].txnid - metas[1].txnid) > 1:
        raise PageDamaged("The two meta pages are not those of two commits one after the other.")
    return metas


def _read_meta(fd: int, number: int, page_bytes: int) -> Meta:
    data = os.pread(fd, 512, number * page_bytes)
    if len(data) < 512:
        raise PageDamaged(f"Meta page {number} is not there.")
    page, _, flags, _, _ = _PAGE.unpack_from(data)
    magic, version, _, _ = _META_HEAD.unpack_from(data, PAGE_HEADER_BYTES)
    if (page, flags, magic, version) != (number, _META, _MAGIC, _VERSION):
        raise PageDamaged(f"Meta page {number} does not begin as one must.")
    at = PAGE_HEADER_BYTES + _META_HEAD.size
    (page_size,) = struct.unpack_from("<I", data, at)
    free, main = _tree(data, at), _tree(data, at + _DATABASE.size)
    last_page, txnid = struct.unpack_from("<QQ", data, at + 2 * _DATABASE.size)
    return Meta(page_size, free, main, last_page, txnid)


class Pages:
    """The pages of one commit, as it lies in the file now. Valid while its reader is pinned."""

    def __init__(self, fd: int, meta: Meta) -> None:
        self._fd = fd
        self.meta = meta
        self._bytes = meta.page_bytes
        self.bytes_read = 0
        self._free: frozenset[int] = frozenset()
        self._free = self._free_pages()

    # -- the free list ------------------------------------------------------------------------------------------------

    def _free_pages(self) -> frozenset[int]:
        free: set[int] = set()
        tree = self.meta.free
        if tree.flags != 8:
            raise PageDamaged("The free list's own flags are not those of one.")
        before = 0
        for _, node in self._walk(tree, b"", "the free list"):
            txnid = int.from_bytes(node.key, "little")
            if len(node.key) != 8 or not before < txnid <= self.meta.txnid:
                raise PageDamaged("The free list has an entry of no commit.")
            before = txnid
            data = self._data_of(node)
            (count,) = _U64.unpack_from(data) if len(data) >= 8 else (-1,)
            if count < 0 or len(data) < 8 * (count + 1):
                raise PageDamaged("The free list has an entry that does not hold what it says.")
            pages = struct.unpack_from(f"<{count}Q", data, 8)
            if any(not METAS <= page <= self.meta.last_page for page in pages) or not all(
                later < earlier for earlier, later in pairwise(pages)
            ):
                raise PageDamaged("The free list names pages that are none, or out of order.")
            if not free.isdisjoint(pages):
                raise PageDamaged("The free list names a page twice.")
            free.update(pages)
        return frozenset(free)

    def _data_of(self, node: Node) -> bytes:
        """What a node holds, wherever it lies."""
        if not node.overflow:
            return node.data
        self.bytes_read += node.data_bytes
        return os.pread(self._fd, node.data_bytes, node.overflow * self._bytes + PAGE_HEADER_BYTES)

    # -- tables -------------------------------------------------------------------------------------------------------

    def tables(self) -> dict[str, Tree]:
        """Every table of the main one. Raises PageDamaged."""
        found: dict[str, Tree] = {}
        counted = [0, 0, 0, 0]
        if self.meta.main.flags:
            raise PageDamaged("The main table's own flags are not those of one.")
        for _, node in self._walk(self.meta.main, b"", "the main table", counted):
            if node.flags != _SUB_DATABASE or node.data_bytes != _DATABASE.size:
                raise PageDamaged("The main table has an entry that is no table.")
            tree = found[node.key.decode("ascii", "replace")] = _tree(node.data, 0)
            if tree.flags:
                raise PageDamaged("The main table has a table of a kind that the ledger does not use.")
        _check_counts(self.meta.main, counted, "the main table")
        return found

    def slice(self, tree: Tree, after: bytes, name: str, pages_max: int) -> Counted:
        """Walk a table's pages from behind the key `after` (b"": from its first) over about `pages_max` pages. Raises PageDamaged."""
        counted = [0, 0, 0, 0]
        last: bytes | None = None
        began = counted[1]
        for leaf_ended, node in self._walk(tree, after, name, counted):
            if node.flags & _SUB_DATABASE:
                raise PageDamaged(f"The table {name} has an entry that is a table.")
            last = node.key
            if leaf_ended and counted[1] - began >= pages_max:
                return Counted(counted[0], counted[1], counted[2], counted[3], last)
        if not after:
            _check_counts(tree, counted, name)
        return Counted(counted[0], counted[1], counted[2], counted[3], None)

    def _walk(
        self, tree: Tree, after: bytes, name: str, counted: list[int] | None = None
    ) -> Iterator[tuple[bool, Node]]:
        """(whether it is its leaf's last, node) of all leaves that hold a key behind `after`; whole leaves, so a first few may lie before it."""
        counts = counted if counted is not None else [0, 0, 0, 0]
        if tree.root == NO_PAGE:
            if (tree.depth, tree.entries) != (0, 0):
                raise PageDamaged(f"The table {name} has entries and no first page.")
            return
        if not 0 < tree.depth <= DEPTH_MAX:
            raise PageDamaged(f"The table {name} has an impossible depth.")
        stack: list[tuple[int, int, bytes, bytes | None]] = [(tree.root, 1, b"", None)]
        while stack:
            number, depth, low, high = stack.pop()
            page = self._page(number, name)
            kind = int.from_bytes(page[10:12], "little")
            if kind != (_LEAF if depth == tree.depth else _BRANCH):
                raise PageDamaged(
                    f"Page {number} of the table {name} is not of the kind that its place needs."
                )
            offsets = _offsets(page, number, name)
            if kind == _LEAF:
                counts[1] += 1
                nodes = self._leaf(page, offsets, number, name)
                counts[3] += len(nodes)
                counts[2] += sum(self._overflow(node, name) for node in nodes if node.overflow)
                _check_order([node.key for node in nodes], low, high, name, number, tree.flags)
                last = len(nodes) - 1
                yield from ((at == last, node) for at, node in enumerate(nodes))
                continue
            counts[0] += 1
            children = _branch(page, offsets, number, name)
            _check_order([key for key, _ in children[1:]], low, high, name, number, tree.flags)
            bounds = [low, *(key for key, _ in children[1:]), high]
            for at in range(len(children) - 1, -1, -1):
                end = bounds[at + 1]
                if end is None or not after or _sorts(end, tree.flags) > _sorts(after, tree.flags):
                    stack.append((children[at][1], depth + 1, bounds[at] or b"", end))

    def _page(self, number: int, name: str) -> bytes:
        if not METAS <= number <= self.meta.last_page:
            raise PageDamaged(f"The table {name} names page {number}, which is none of its pages.")
        if number in self._free:
            raise PageDamaged(f"Page {number} of the table {name} is in the free list too.")
        page = os.pread(self._fd, self._bytes, number * self._bytes)
        self.bytes_read += len(page)
        if len(page) < self._bytes or _U64.unpack_from(page)[0] != number:
            raise PageDamaged(
                f"Page {number} of the table {name} is not there, or another stands in its place."
            )
        return page

    def _leaf(self, page: bytes, offsets: list[int], number: int, name: str) -> list[Node]:
        nodes = []
        spans = []
        for at in offsets:
            low, high, flags, key_bytes = _NODE.unpack_from(page, at)
            data_bytes = low | high << 16
            begin = at + NODE_HEADER_BYTES + key_bytes
            if flags & ~(_BIG_DATA | _SUB_DATABASE) or not 0 < key_bytes <= 511:
                raise PageDamaged(f"Page {number} of the table {name} has a node of no kind.")
            held = 8 if flags & _BIG_DATA else data_bytes
            if begin + held > self._bytes:
                raise PageDamaged(f"Page {number} of the table {name} has a node that leaves it.")
            data = page[begin : begin + held]
            overflow = _U64.unpack(data)[0] if flags & _BIG_DATA else 0
            if flags & _BIG_DATA and not METAS <= overflow <= self.meta.last_page:
                raise PageDamaged(f"The table {name} names page {overflow}, which is none of its pages.")
            nodes.append(Node(page[at + NODE_HEADER_BYTES : begin], flags, data, overflow, data_bytes))
            spans.append((at, _even(begin + held)))
        _check_spans(spans, page, number, name)
        return nodes

    def _overflow(self, node: Node, name: str) -> int:
        """How many pages a node's overflow run has."""
        needed = (PAGE_HEADER_BYTES - 1 + node.data_bytes) // self._bytes + 1
        head = os.pread(self._fd, PAGE_HEADER_BYTES, node.overflow * self._bytes)
        self.bytes_read += self._bytes
        last = node.overflow + needed - 1
        if len(head) < PAGE_HEADER_BYTES or last > self.meta.last_page:
            raise PageDamaged(f"A run of pages of the table {name} leaves the file.")
        page, _, flags, low, high = _PAGE.unpack(head)
        if (page, flags, low | high << 16) != (node.overflow, _OVERFLOW, needed):
            raise PageDamaged(f"Page {node.overflow} of the table {name} does not begin a run as it must.")
        if not self._free.isdisjoint(range(node.overflow, last + 1)):
            raise PageDamaged(f"A run of pages of the table {name} is in the free list too.")
        return needed


def _even(number: int) -> int:
    return number + (number & 1)


def _sorts(key: bytes, flags: int) -> bytes:
    """The key as its table orders it: numbers of the free list are in the machine's order of bytes."""
    return key[::-1] if flags & 8 else key


def _offsets(page: bytes, number: int, name: str) -> list[int]:
    _, _, _, lower, upper = _PAGE.unpack_from(page)
    if not PAGE_HEADER_BYTES <= lower <= upper <= len(page) or lower % 2:
        raise PageDamaged(f"Page {number} of the table {name} has no right account of its space.")
    count = (lower - PAGE_HEADER_BYTES) // 2
    offsets = list(struct.unpack_from(f"<{count}H", page, PAGE_HEADER_BYTES))
    if not offsets or any(not upper <= at <= len(page) - NODE_HEADER_BYTES or at % 2 for at in offsets):
        raise PageDamaged(f"Page {number} of the table {name} has a node outside of its place.")
    return offsets


def _branch(page: bytes, offsets: list[int], number: int, name: str) -> list[tuple[bytes, int]]:
    """(separating key, page) of each child; the first one's key says nothing."""
    children = []
    spans = []
    for at in offsets:
        low, high, top, key_bytes = _NODE.unpack_from(page, at)
        end = at + NODE_HEADER_BYTES + key_bytes
        if end > len(page) or key_bytes > 511:
            raise PageDamaged(f"Page {number} of the table {name} has a node that leaves it.")
        children.append((page[at + NODE_HEADER_BYTES : end], low | high << 16 | top << 32))
        spans.append((at, _even(end)))
    _check_spans(spans, page, number, name)
    return children


def _check_spans(spans: list[tuple[int, int]], page: bytes, number: int, name: str) -> None:
    """Nodes lie one behind the other, from the end of the free space to the end of the page."""
    expected: int = _PAGE.unpack_from(page)[4]
    for begin, end in sorted(spans):
        if begin != expected:
            raise PageDamaged(
                f"Page {number} of the table {name} has nodes that overlap, or a hole between them."
            )
        expected = end
    if expected != len(page):
        raise PageDamaged(f"Page {number} of the table {name} has nodes that do not fill their place.")


def _check_order(
    keys: list[bytes], low: bytes, high: bytes | None, name: str, number: int, flags: int
) -> None:
    """Keys rise, and none lies outside of what the page above says that this one holds."""
    if flags & 8:
        keys, low, high = [key[::-1] for key in keys], low[::-1], None if high is None else high[::-1]
    in_order = all(one < other for one, other in pairwise(keys))
    if not in_order or (keys and (keys[0] < low or (high is not None and keys[-1] >= high))):
        raise PageDamaged(f"Page {number} of the table {name} has keys out of their order.")


def _check_counts(tree: Tree, counted: list[int], name: str) -> None:
    told = [tree.branch_pages, tree.leaf_pages, tree.overflow_pages, tree.entries]
    if told != counted:
        raise PageDamaged(f"The table {name} does not have as many pages and entries as it says.")
