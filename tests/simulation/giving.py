"""The giving side of a copy in this world: plans and pieces of chunks from a site's flushed ledger, made by product code; and sites that lie about them.

A liar gives noise, a chunk with another record or payload in it under a digest that fits, a plan that leaves blocks out, or a state that is valid and old.
What is given out is held against the erasure orders before it leaves (`destroyed-is-gone`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from tests.simulation.erasing import governance_at

from sento_node.sync.deciding import Fetch, Plan, Planned
from sento_node.sync.making import NotPlanned, plan, spine_chunk
from sento_proto.chunk import (
    Kind,
    chunk_id,
    decode_chunk,
    decode_entries,
    decode_payloads,
    encode_chunk,
    encode_entries,
    encode_payloads,
)
from sento_proto.v1 import sync_pb2

if TYPE_CHECKING:
    from tests.simulation.site_host import SiteHost

    from sento_node.sync.parts import Wanted

PLANNED_AT_ONCE = 6
PIECE_BYTES = 3_000
WAYS_OF_GIVING = ("noise", "altered", "altered", "gaps", "old")


class Piece(NamedTuple):
    """Bytes of a chunk from an offset on. `false`: the giver lies (told to checkers, not to who asked)."""

    chunk_id: bytes
    total_bytes: int
    offset: int
    data: bytes
    false: bool


def begin_lying(giver: SiteHost) -> None:
    """One site at a time lies to those who copy its ledger."""
    if any(host.false_giving for host in giver.peers.values()):
        return
    heap = giver.heap
    giver.way_of_giving = heap.one_of(list(WAYS_OF_GIVING))
    heap.fault("site gives a false ledger", f"{giver.name} {giver.way_of_giving}")
    giver.gives_false_until_ms = heap.now_ms + heap.between(1_000, 6_000)


def gives(giver: SiteHost) -> bool:
    """Whether a site answers questions about its ledger now."""
    return giver.answers_peers and not giver.rebuilding.goes_on


def give_plan(giver: SiteHost, asker: SiteHost, life: int, question: int, after_block: int) -> None:
    """What the site would give behind a block."""
    if not gives(giver):
        return
    store = giver.disk.store
    fork = giver.kept_fork
    chunks = [Planned(one.after_block, one.through_block, one.from_position, one.to_position) for one in
              plan(store, min(after_block, store.tip.block), 0, PLANNED_AT_ONCE, fork)]  # fmt: skip
    if after_block > store.tip.block:
        chunks = []
    kept = fork or store.checkpoint()
    size = 0 if kept is None else kept.size
    lies = giver.false_giving
    told = Plan(tuple(chunks), len(chunks) == PLANNED_AT_ONCE, size)
    if lies == "old":
        giver.heap.faults["old state offered"] += 1
        told = Plan(
            tuple(chunks[: len(chunks) // 2]),
            False,
            chunks[len(chunks) // 2].from_position if chunks else size,
        )
    elif lies == "gaps" and len(chunks) > 1:
        giver.heap.faults["plan with a gap offered"] += 1
        told = told._replace(chunks=tuple(chunks[1:]))
    giver.around.network.send(
        giver.name,
        asker.name,
        asker.in_life,
        life,
        asker.catch_up.planned,
        question,
        giver.name,
        told,
        bool(lies),
    )


def give_piece(
    giver: SiteHost, asker: SiteHost, life: int, question: int, fetch: Fetch, offset: int, known_id: bytes
) -> None:
    """The next bytes of a chunk; from its beginning when it is not the chunk that was begun."""
    if not gives(giver):
        return
    piece: Piece | None = None
    try:
        data, false = _lied_about(giver, _chunk(giver, fetch.wanted))
    except NotPlanned:
        pass
    else:
        name = chunk_id(data)
        offset = offset if name == known_id else 0
        piece = Piece(name, len(data), offset, data[offset : offset + PIECE_BYTES], false)
    giver.around.network.send(
        giver.name, asker.name, asker.in_life, life, asker.catch_up.piece, question, fetch, piece
    )


def _chunk(giver: SiteHost, wanted: Wanted) -> bytes:
    """The chunk as product code makes it. Raises NotPlanned."""
    store, governance = giver.disk.store, governance_at(giver)
    if wanted.kind is Kind.SPINE:
        if wanted.through_block > store.tip.block:
            raise NotPlanned("beyond the tip")
        return spine_chunk(store, governance, wanted.after_block, wanted.through_block, giver.kept_fork)
    data = giver.around.hooks.payload_chunk(
        store, governance, wanted.registry, wanted.from_position, wanted.to_position
    )
    applied = giver.site.state.block if giver.state == "running" else store.tip.block
    records = [store.record(item.position) for item in decode_payloads(decode_chunk(data))]
    giver.around.checkers.destroyed.given(giver.name, applied, records)
    return data


def _lied_about(giver: SiteHost, data: bytes) -> tuple[bytes, bool]:
    """What the site gives in its place, and whether that is false."""
    heap = giver.heap
    match giver.false_giving:
        case "noise":
            heap.faults["noise given for a chunk"] += 1
            return heap.random.randbytes(len(data)), True
        case "altered":
            altered = _altered(giver, data)
            heap.faults["altered chunk given"] += altered != data
            return altered, altered != data
    return data, False


def _altered(giver: SiteHost, data: bytes) -> bytes:
    """The same chunk with one record or payload another one; its digest fits."""
    chunk = decode_chunk(data)
    if chunk.name.kind is Kind.PAYLOADS:
        payloads = list(decode_payloads(chunk))
        if not payloads:
            return data
        at = giver.heap.between(0, len(payloads) - 1)
        payloads[at] = payloads[at]._replace(data=payloads[at].data[:-1] + b"?")
        return encode_chunk(chunk._replace(body=encode_payloads(payloads)))
    entries = [sync_pb2.BlockEntry.FromString(entry) for entry in decode_entries(chunk.body)]
    for entry in entries:
        for submission in entry.submissions:
            for record in submission.records:
                if record.header:
                    header = bytearray(record.header)
                    header[1 + giver.heap.between(0, 15)] ^= 1
                    record.header = bytes(header)
                    body = encode_entries(entry.SerializeToString() for entry in entries)
                    return encode_chunk(chunk._replace(body=body))
    return data
