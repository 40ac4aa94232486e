"""Making a set of volumes from live sites: the whole spine, payloads by the registries' priority, the spine once more, and a closing volume.

What the set holds is fixed when it begins, at the newest checkpoint that a quorum cosigned: the copy is of one moment, whoever writes meanwhile and however
long it takes. Killed at any point, the same command goes on at the first volume that is not whole; at whichever site answers. Each chunk is complete in one
volume, spine and payloads never share one, and at most one chunk is in memory.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from sento_client.composing import Ports
from sento_client.courier.catalogue import (
    CLOSE,
    PAYLOADS,
    SPINE,
    Catalogue,
    SetEntry,
    read_catalogue,
    tail_path,
    unusable,
    write_catalogue,
    write_flushed,
)
from sento_client.courier.fetching import ChunkSource
from sento_client.courier.volume_files import VolumeFile
from sento_proto.checkpoint import decode_checkpoint
from sento_proto.chunk import decode_chunk
from sento_proto.erasure_certificate import Volume
from sento_proto.errors import Code, SentoError
from sento_proto.governance.epoch_parts import Epoch
from sento_proto.keys import Signer
from sento_proto.limits import CLEAR_CONTENT_REGISTRIES
from sento_proto.volume import KEY_BYTES, SET_ID_BYTES, VolumeHeader, label_of, sealed_to

DEFAULT_PAYLOAD_ORDER = ("residency", "health", "tax")
VOLUME_MIN_BYTES = 5_000_000
"""A chunk of payloads lies in one volume whole, and has up to 4 MiB and a record more."""
ROOM_BYTES = 64 * 1024
"""For a volume's header, signature and segments' tags, beside its chunks."""


class Wish(NamedTuple):
    """What is to be made. `recipients`: (name, public seal key) each, none for volumes in clear; `registries`: those whose payloads go along, in order."""

    kind: str
    volume_bytes: int
    registries: tuple[str, ...]
    recipients: tuple[tuple[str, bytes], ...] = ()
    spine_copies: int = 2
    epochs: tuple[Epoch, ...] = ()
    """Those that governance knows: a backup of an epoch that ended goes on from where the next one forked off."""


class Progress(NamedTuple):
    """How far an export is. `done` of `total` records, counted once for each stage that reads them."""

    stage: str
    done: int
    total: int
    volumes: int
    volume_bytes: int


class Maker(NamedTuple):
    """Who makes volumes and with what: `note` tells the sites of a volume, as certificates will name it."""

    ledger_id: bytes
    signer: Signer
    ports: Ports
    note: Callable[[Volume], Awaitable[None]]
    on_progress: Callable[[Progress], None] = lambda _: None


class _Piece(NamedTuple):
    """A chunk that is to go into a volume of this content, of this stage; and where the next one begins."""

    content: str
    data: bytes
    stage: int
    next_stage: int
    next_at: int


def registries_in_order(known: Iterable[str], first: Sequence[str]) -> tuple[str, ...]:
    """Those in clear, which are small and say who may do what; then those named first; then the others."""
    clear, left = sorted(CLEAR_CONTENT_REGISTRIES), set(known) - CLEAR_CONTENT_REGISTRIES
    named = [name for name in dict.fromkeys(first) if name in left]
    return (*clear, *named, *sorted(left - set(named)))


async def export_set(source: ChunkSource, directory: Path, wish: Wish, maker: Maker) -> SetEntry | None:
    """Make a set in `directory`, or go on with the one that was begun there; None when a backup has everything already.

    The caller has the directory for itself. Raises SentoError, SetupError VOLUMES_FULL, VOLUMES_UNUSABLE, VOLUMES_FOREIGN."""
    catalogue = read_catalogue(directory, maker.ledger_id)
    entry = catalogue.unfinished(wish.kind)
    try:
        ended = entry is not None and _ends_at(entry, wish.epochs)[0] < entry.to_block
        if entry is None or ended or not tail_path(directory, entry).exists():
            entry = await _begun(source, directory, catalogue, wish, maker)
        if entry is None:
            return None
        return await _Export(source, directory, wish, maker, catalogue, entry).run()
    except OSError as error:
        raise unusable(directory, error) from None


async def _begun(
    source: ChunkSource, directory: Path, catalogue: Catalogue, wish: Wish, maker: Maker
) -> SetEntry | None:
    """A new set: of everything, or for a backup of what the directory has not. The end of its spine is on disk before the set is known."""
    newest = catalogue.newest_whole(wish.kind) if wish.kind == "backup" else None
    after, size = (0, 0) if newest is None else _ends_at(newest, wish.epochs)
    tail = await _tail(source, after)
    if tail is None:
        if after == 0:
            raise SentoError(Code.NOT_FOUND, "no quorum has cosigned anything of this ledger yet")
        return None
    chunk = decode_chunk(tail)
    name, checkpoint = chunk.name, decode_checkpoint(chunk.note)
    stages = [SPINE, *(PAYLOADS + one for one in wish.registries), *[SPINE] * (wish.spine_copies - 1), CLOSE]
    entry = SetEntry(
        set_id=maker.ports.random_bytes(SET_ID_BYTES),
        kind=wish.kind,
        epoch=name.epoch,
        from_block=after,
        from_size=size,
        to_block=name.through_block,
        to_size=name.to_position,
        root=checkpoint.root,
        tail_block=name.after_block,
        stages=tuple(stages),
        made_at_ms=maker.ports.wall_ms(),
        at=after,
    )
    write_flushed(tail_path(directory, entry), tail)
    return entry


def _ends_at(entry: SetEntry, epochs: Sequence[Epoch]) -> tuple[int, int]:
    """(block, size) to which a set's spine stands: its end, or where a later epoch forked off below it. Nothing is sure of one that goes beyond what was agreed
    on when a recovery went on from another copy: then all is exported again."""
    later = [one for one in epochs if one.number > entry.epoch]
    if any(one.agreed_size < min(entry.to_size, one.fork_size) for one in later):
        return 0, 0
    forks = [(one.block_base, one.fork_size) for one in later]
    return min([(entry.to_block, entry.to_size), *forks])


async def _tail(source: ChunkSource, after_block: int) -> bytes | None:
    """The last two stretches of the spine as one chunk; None when there is nothing behind `after_block`.

    Between its beginning and its end sites keep a checkpoint for good, so that the stretches before it can always be joined to it."""
    while True:
        plan = await source.plan(after_block)
        stretches = list(plan.stretches)
        while plan.more and plan.stretches:
            plan = await source.plan(plan.stretches[-1].through_block)
            stretches = [*stretches[-2:], *plan.stretches]
        if not stretches:
            return None
        try:
            return await source.spine(stretches[-2:][0].after_block, stretches[-1].through_block)
        except SentoError as error:
            if error.code is not Code.OUT_OF_RANGE:
                raise


class _Export:
    """One run. Raises OSError of the directory, SentoError of the sites."""

    def __init__(
        self,
        source: ChunkSource,
        directory: Path,
        wish: Wish,
        maker: Maker,
        catalogue: Catalogue,
        entry: SetEntry,
    ) -> None:
        self._source = source
        self._directory = directory
        self._wish = wish
        self._maker = maker
        self._catalogue = catalogue
        self._entry = entry

    async def run(self) -> SetEntry:
        """Volume after volume, each counted once it is whole and the sites were told."""
        self._count()
        async with contextlib.aclosing(self._pieces()) as pieces:
            first: _Piece | None = await anext(pieces)
            while first is not None:
                first = await self._volume(first, pieces)
        with contextlib.suppress(FileNotFoundError):
            tail_path(self._directory, self._entry).unlink()
        return self._entry

    def _count(self) -> None:
        self._catalogue = self._catalogue.with_set(self._entry)
        write_catalogue(self._directory, self._catalogue)

    async def _volume(self, first: _Piece, pieces: AsyncIterator[_Piece]) -> _Piece | None:
        """Make the next volume; the piece that the one after it begins with. What was written of one that does not come to its end is taken away again."""
        header, key = self._header(first)
        file = VolumeFile(self._directory, header, key)
        try:
            last, following = await self._fill(file, first, pieces)
            file.finish(self._maker.signer)
        except BaseException:
            file.drop()
            raise
        if header.content == "payloads":
            await self._maker.note(Volume(label_of(header), header.kind, "made", header.to_size))
        self._entry = self._entry._replace(
            volumes=self._entry.volumes + 1, stage=last.next_stage, at=last.next_at
        )
        self._count()
        return following

    async def _fill(
        self, file: VolumeFile, first: _Piece, pieces: AsyncIterator[_Piece]
    ) -> tuple[_Piece, _Piece | None]:
        """Chunks into the volume until it is full or the next one belongs into another; the last that is in it, and the next."""
        last, following = first, None
        if first.content == CLOSE:
            return last, None
        file.add(first.data)
        async for following in pieces:
            self._tell(last, file.size_bytes)
            fits = file.size_bytes + len(following.data) + ROOM_BYTES <= self._wish.volume_bytes
            together = following.content == first.content and (
                following.content != SPINE or following.stage == first.stage
            )
            if not fits or not together:
                break
            file.add(following.data)
            last = following
        return last, following

    def _header(self, piece: _Piece) -> tuple[VolumeHeader, bytes | None]:
        entry, maker = self._entry, self._maker
        number = entry.volumes + 1
        header = VolumeHeader(
            kind=entry.kind,
            ledger_id=maker.ledger_id,
            set_id=entry.set_id,
            number=number,
            of=number if piece.content == CLOSE else 0,
            epoch=entry.epoch,
            from_block=entry.from_block,
            from_size=entry.from_size,
            to_block=entry.to_block,
            to_size=entry.to_size,
            content=piece.content,
            made_at_ms=maker.ports.wall_ms(),
            made_by_key=maker.signer.public_key.key_id,
        )
        if not self._wish.recipients:
            return header, None
        key = maker.ports.random_bytes(KEY_BYTES)
        return sealed_to(header, key, self._wish.recipients), key

    async def _pieces(self) -> AsyncGenerator[_Piece, None]:
        """Everything that is left of the set, from where the catalogue says on."""
        begin, at = self._entry.stage, self._entry.at
        for number in range(begin, len(self._entry.stages)):
            stage = self._entry.stages[number]
            if stage == CLOSE:
                yield _Piece(CLOSE, b"", number, number + 1, 0)
            elif stage == SPINE:
                start = at if number == begin else self._entry.from_block
                async for piece in self._spine(number, start):
                    yield piece
            else:
                start = at if number == begin else self._entry.from_size
                async for piece in self._payloads(number, stage.removeprefix(PAYLOADS), start):
                    yield piece

    def _beginning(self, stage: int) -> int:
        """Where a stage begins: at a block or a position."""
        stages, entry = self._entry.stages, self._entry
        return entry.from_block if stage < len(stages) and stages[stage] == SPINE else entry.from_size

    async def _spine(self, number: int, at: int) -> AsyncIterator[_Piece]:
        """The spine behind a block, to the set's end. The last chunk may hold some blocks again, which whoever takes it passes over."""
        entry = self._entry
        while at < entry.tail_block:
            for stretch in (await self._source.plan(at, there_is_more=True)).stretches:
                if at >= entry.tail_block:
                    break
                try:
                    data = await self._source.spine(at, stretch.through_block)
                except SentoError as error:
                    if error.code is not Code.OUT_OF_RANGE:
                        raise
                    break
                at = stretch.through_block
                yield _Piece(SPINE, data, number, number, at)
        tail = tail_path(self._directory, entry).read_bytes()
        yield _Piece(SPINE, tail, number, number + 1, self._beginning(number + 1))

    async def _payloads(self, number: int, registry: str, at: int) -> AsyncIterator[_Piece]:
        end = self._entry.to_size
        while at < end:
            data = await self._source.payloads(registry, at, end)
            chunk = decode_chunk(data)
            at = chunk.name.to_position
            if not chunk.body:
                continue
            done = at >= end
            place = (number + 1, self._beginning(number + 1)) if done else (number, at)
            yield _Piece("payloads", data, number, *place)

    def _tell(self, piece: _Piece, volume_bytes: int) -> None:
        """Progress, in records counted once for each stage."""
        entry = self._entry
        each = entry.to_size - entry.from_size
        stages = len(entry.stages) - 1
        done = piece.next_stage * each
        if piece.content != SPINE and piece.next_stage == piece.stage:
            done += piece.next_at - entry.from_size
        elif piece.next_stage == piece.stage:
            blocks = max(1, entry.to_block - entry.from_block)
            done += each * (piece.next_at - entry.from_block) // blocks
        name = entry.stages[piece.stage]
        self._maker.on_progress(Progress(name, done, stages * each, entry.volumes, volume_bytes))
