"""Chunks from sites that break off, lie, lag or are silent: what came is kept, the next site goes on, and what can never come ends the waiting."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from typing import cast

import pytest

from courier_world import CourierLedger, told_ledger
from genesis_builder import build_genesis
from sento_client.composing import Ports
from sento_client.courier.fetching import SiteChunks
from sento_client.transport import Transport
from sento_node.sync.making import payload_chunk, spine_chunk
from sento_proto.chunk import chunk_id
from sento_proto.errors import Code, SentoError
from sento_proto.v1 import sync_pb2

Answer = Callable[[sync_pb2.FetchChunkRequest], Iterator[sync_pb2.ChunkPiece]]


class Sites:
    """Sites by name, each a function from a request to pieces, which may raise SentoError in between."""

    def __init__(self, **answers: Answer) -> None:
        self.answers = answers
        self.asked: list[tuple[str, int]] = []
        self.slept_s = 0.0

    @property
    def sites(self) -> tuple[str, ...]:
        return tuple(self.answers)

    async def stream(
        self, site: str, _method: object, request: sync_pb2.FetchChunkRequest, _silence_ms: int
    ) -> AsyncIterator[sync_pb2.ChunkPiece]:
        self.asked.append((site, request.offset))
        for piece in self.answers[site](request):
            yield piece

    async def sleep(self, seconds: float) -> None:
        self.slept_s += seconds

    def source(self, ledger_id: bytes, patience_ms: int = 60_000) -> SiteChunks:
        ports = Ports(steady_ms=lambda: int(self.slept_s * 1000))
        transport = cast("Transport", self)
        return SiteChunks(transport, ledger_id, ports, patience_ms=patience_ms, wait=self.sleep)


def gives(data: bytes, *, until: int | None = None, then: Code = Code.UNREACHABLE) -> Answer:
    """Pieces of 100 bytes from the asked offset on; `until`: breaks off there."""

    def answer(request: sync_pb2.FetchChunkRequest) -> Iterator[sync_pb2.ChunkPiece]:
        start = request.offset if request.chunk_id == chunk_id(data) else 0
        end = len(data) if until is None else min(until, len(data))
        for at in range(start, end, 100):
            piece = sync_pb2.ChunkPiece(data=data[at : min(at + 100, end)])
            if at == start:
                piece.chunk_id, piece.total_bytes, piece.offset = chunk_id(data), len(data), at
            yield piece
        if until is not None:
            raise SentoError(then)

    return answer


def refuses(code: Code, times: int | None = None, then: Answer | None = None) -> Answer:
    """Refuses so often, or always."""
    count = 0

    def answer(request: sync_pb2.FetchChunkRequest) -> Iterator[sync_pb2.ChunkPiece]:
        nonlocal count
        count += 1
        if times is not None and count > times and then is not None:
            yield from then(request)
            return
        raise SentoError(code)

    return answer


@pytest.fixture(scope="module")
def ledger() -> CourierLedger:
    return told_ledger()


@pytest.fixture(scope="module")
def spine(ledger: CourierLedger) -> bytes:
    return spine_chunk(ledger.store, ledger.governance, 0, ledger.state.block)


def fetched(sites: Sites, ledger: CourierLedger) -> bytes:
    return asyncio.run(sites.source(ledger.world.ledger_id).spine(0, ledger.state.block))


def test_a_chunk_that_broke_off_goes_on_at_the_next_site_where_it_was(
    ledger: CourierLedger, spine: bytes
) -> None:
    sites = Sites(first=gives(spine, until=700), second=gives(spine))
    assert fetched(sites, ledger) == spine
    assert sites.asked == [("first", 0), ("second", 700)]


def test_a_site_that_makes_another_chunk_of_the_same_blocks_begins_anew(
    ledger: CourierLedger, spine: bytes
) -> None:
    other = told_ledger()
    kept = other.store.checkpoint()
    assert kept is not None
    other.store.put_checkpoint(other.checkpoint(tuple(other.world.site_signers)))
    another = spine_chunk(other.store, other.governance, 0, other.state.block)
    assert chunk_id(another) != chunk_id(spine)
    sites = Sites(first=gives(spine, until=700), second=gives(another))
    assert fetched(sites, ledger) == another


def test_an_outage_of_all_sites_is_waited_out(ledger: CourierLedger, spine: bytes) -> None:
    sites = Sites(first=refuses(Code.UNREACHABLE, 4, gives(spine)), second=refuses(Code.DEADLINE))
    assert fetched(sites, ledger) == spine
    assert sites.slept_s > 0


def test_a_silence_longer_than_the_patience_ends_in_the_sites_word(ledger: CourierLedger) -> None:
    sites = Sites(first=refuses(Code.NOT_READY), second=refuses(Code.UNREACHABLE))
    with pytest.raises(SentoError) as caught:
        asyncio.run(sites.source(ledger.world.ledger_id, patience_ms=5_000).spine(0, 3))
    assert caught.value.code is Code.NOT_READY
    assert sites.slept_s >= 5


@pytest.mark.parametrize("code", [Code.IDENTITY_REFUSED, Code.OUT_OF_RANGE])
def test_what_can_never_come_is_not_waited_for(ledger: CourierLedger, code: Code) -> None:
    sites = Sites(first=refuses(code), second=refuses(code))
    with pytest.raises(SentoError) as caught:
        fetched(sites, ledger)
    assert caught.value.code is code
    assert sites.slept_s == 0


def test_payloads_beyond_a_sites_ledger_are_waited_for_because_they_are_known_to_stand(
    ledger: CourierLedger,
) -> None:
    data = payload_chunk(ledger.store, ledger.governance, "", 0, ledger.state.size)
    sites = Sites(lags=refuses(Code.OUT_OF_RANGE, 2, gives(data)))
    assert asyncio.run(sites.source(ledger.world.ledger_id).payloads("", 0, ledger.state.size)) == data


@pytest.mark.parametrize("lie", ["garbage", "endless", "foreign", "other blocks", "too long"])
def test_a_site_that_gives_something_else_is_passed_over(
    ledger: CourierLedger, spine: bytes, lie: str
) -> None:
    stranger = told_ledger(build_genesis(rules=4, name="another"))
    garbage = b"garbage" * 100
    false: dict[str, Answer] = {
        "garbage": gives(garbage),
        "endless": lambda _: iter([sync_pb2.ChunkPiece(chunk_id=bytes(32), total_bytes=1 << 40, data=b"x")]),
        "foreign": gives(spine_chunk(stranger.store, stranger.governance, 0, stranger.state.block)),
        "other blocks": gives(payload_chunk(ledger.store, ledger.governance, "", 0, 3)),
        "too long": lambda _: iter(
            [sync_pb2.ChunkPiece(chunk_id=chunk_id(spine), total_bytes=9, data=spine)]
        ),
    }
    sites = Sites(liar=false[lie], honest=gives(spine))
    assert fetched(sites, ledger) == spine
    assert [site for site, _ in sites.asked] == ["liar", "honest"]


def test_the_site_that_answered_is_asked_first_the_next_time(ledger: CourierLedger, spine: bytes) -> None:
    sites = Sites(first=refuses(Code.UNREACHABLE), second=gives(spine))

    async def twice() -> None:
        source = sites.source(ledger.world.ledger_id)
        for _ in range(2):
            assert await source.spine(0, ledger.state.block) == spine

    asyncio.run(twice())
    assert [site for site, _ in sites.asked] == ["first", "second", "second"]
