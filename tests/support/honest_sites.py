"""The honest sites beside a hostile one, as the tests of malice look at them: what they hold, what they say of blocks and payloads, and that every receipt
that was collected still verifies there.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field

from live_sites import AUTHOR, WAIT_S, LiveSites, writes_again
from raw_calls import CALL_TIMEOUT_S, all_records
from sento_drill.places import PLACES
from sento_drill.waiting import until
from sento_proto.checkpoint import (
    Checkpoint,
    cosigners,
    decode_checkpoint,
)
from sento_proto.chunk import decode_chunk, decode_entries
from sento_proto.erasure_certificate import ErasureCertificate, certificate_holds, decode_certificate
from sento_proto.fraud import KnownSites
from sento_proto.governance.state import from_genesis
from sento_proto.merkle import verify_consistency, verify_inclusion
from sento_proto.receipt import Receipt, verify_receipt
from sento_proto.v1 import admin_pb2, client_pb2, sync_pb2

HOSTILE, HONEST, OTHER = (place.site for place in PLACES[:3])
"""The hostile site is the first in everybody's list, the other sites' as well."""


@dataclass(slots=True)
class HonestSites:
    """Two of three real sites. `receipts`: what must stand there at the next look."""

    sites: LiveSites
    honest: tuple[str, ...] = (HONEST, OTHER)
    receipts: list[Receipt] = field(default_factory=list)

    @property
    def known(self) -> KnownSites:
        """By whose keys proofs are judged."""
        return KnownSites.of(from_genesis(self.sites.world.genesis))

    async def newest(self, site: str, at_least_size: int = 1) -> Checkpoint:
        """A site's newest quorum checkpoint, once it has that size."""

        async def look() -> Checkpoint | None:
            async with self.sites.caller(AUTHOR, site) as caller:
                try:
                    reply = await caller.registry.Checkpoint(
                        client_pb2.CheckpointRequest(), timeout=CALL_TIMEOUT_S
                    )
                except Exception:  # noqa: BLE001 - none yet, or the site is not there: asked again
                    return None
            note = decode_checkpoint(reply.checkpoint)
            return note if note.size >= at_least_size else None

        return await until(look, deadline_s=WAIT_S, what=f"{site} has no checkpoint of {at_least_size}")

    async def lost(self, *sites: str) -> str:
        """How many of the receipts so far do not verify at the honest sites, as the table says it."""
        receipts, missing = self.receipts, set()
        assert receipts
        governance = from_genesis(self.sites.world.genesis)
        at_least = max(receipt.checkpoint.size for receipt in receipts)
        for site in sites or self.honest:
            note = await self.newest(site, at_least)
            for number, receipt in enumerate(receipts):
                request = client_pb2.ProofRequest(
                    size=note.size,
                    positions=[receipt.position],
                    consistent_with_size=receipt.checkpoint.size,
                )
                async with self.sites.caller(AUTHOR, site) as caller:
                    reply = await caller.registry.Proof(request, timeout=CALL_TIMEOUT_S)
                older, path = receipt.checkpoint, tuple(reply.inclusions[0].path)
                holds = (
                    verify_receipt(receipt, governance).holds
                    and verify_inclusion(receipt.record_hash, receipt.position, note.size, path, note.root)
                    and verify_consistency(
                        older.size, older.root, note.size, note.root, tuple(reply.consistency)
                    )
                )
                if not holds:
                    missing.add(number)
        assert not missing, f"receipted and lost: {missing}"
        count = len(receipts)
        self.receipts.clear()
        return f"{len(missing)} of {count}"

    async def cosigned_by_hostile(self, at_least_size: int) -> Checkpoint:
        """A quorum checkpoint that the hostile site's cosignature is part of; somebody writes until there is one."""
        keys = from_genesis(self.sites.world.genesis).site_keys
        size = at_least_size

        async def look() -> Checkpoint | None:
            nonlocal size
            note = await self.newest(HONEST, size)
            if HOSTILE in cosigners(note, keys):
                return note
            await writes_again(self.sites, HOSTILE)
            size = note.size + 1
            return None

        return await until(look, deadline_s=WAIT_S, what="the hostile site cosigns nothing")

    async def make_anew(self, site: str) -> None:
        """Stop a site, ask for a new ledger from nothing, and start it."""
        command = [
            sys.executable, "-m", "sento_node.cli", "rebuild", "--config", str(self.sites.files(site).config), "--from-nothing",
        ]  # fmt: skip
        await asyncio.to_thread(self.sites.cluster.processes[site].stop)
        await asyncio.to_thread(subprocess.run, command, check=True, timeout=60)
        self.sites.cluster.start(site)

    async def certificate_of(self, order: int) -> ErasureCertificate:
        """What the hostile site signed about an order, which verifies."""

        async def look() -> ErasureCertificate | None:
            async with self.sites.operator(HOSTILE) as operator:
                reply = await operator.admin.Erasures(admin_pb2.ErasuresRequest(), timeout=CALL_TIMEOUT_S)
            signed = [decode_certificate(data) for data in reply.certificates]
            assert all(
                certificate_holds(one, self.known.ledger_id, self.known.keys[HOSTILE]) for one in signed
            )
            return next((one.content for one in signed if one.content.order == order), None)

        return await until(look, deadline_s=WAIT_S, what="no certificate")

    async def payload_at(self, site: str, record_hash: bytes) -> sync_pb2.FetchedPayload:
        """What a site gives another one that asks for a payload."""
        speaker = next(name for name in self.honest if name != site)
        async with self.sites.as_site(speaker, site) as caller:
            request = sync_pb2.FetchPayloadsRequest(record_hashes=[record_hash])
            answers = caller.sync.FetchPayloads(request, timeout=CALL_TIMEOUT_S)
            return await anext(aiter(answers))

    async def payload_gone(self, site: str, payload: bytes) -> None:
        """Wait until a payload is in no file of a site's ledger."""
        needle, ledger = payload[-64:], self.sites.data(site) / "ledger"

        async def gone() -> bool:
            files = [path for path in ledger.rglob("*") if path.is_file()]
            return not any(needle in path.read_bytes() for path in files if path.exists())

        await until(gone, deadline_s=WAIT_S, what=f"{site} still has the payload")

    async def same_blocks(self, numbers: Sequence[int]) -> list[sync_pb2.BlockEntry]:
        """These blocks as the honest sites' ledgers have them, which must be the same."""
        first = min(numbers)

        async def copied(site: str, speaker: str) -> dict[int, sync_pb2.BlockEntry] | None:
            found: dict[int, sync_pb2.BlockEntry] = {}
            async with self.sites.as_site(speaker, site) as caller:
                request = sync_pb2.PlanRequest(after_block=first - 1)
                plan = await caller.sync.Plan(request, timeout=CALL_TIMEOUT_S)
                for planned in plan.chunks:
                    wanted = sync_pb2.FetchChunkRequest(
                        kind=sync_pb2.SPINE,
                        after_block=planned.after_block,
                        through_block=planned.through_block,
                    )
                    pieces = caller.sync.FetchChunk(wanted, timeout=CALL_TIMEOUT_S)
                    data = b"".join([piece.data async for piece in pieces])
                    blocks = map(sync_pb2.BlockEntry.FromString, decode_entries(decode_chunk(data).body))
                    found |= {block.number: block for block in blocks}
            return found if found.keys() >= set(numbers) else None

        async def both() -> list[dict[int, sync_pb2.BlockEntry]] | None:
            one, other = await asyncio.gather(copied(HONEST, OTHER), copied(OTHER, HONEST))
            return None if one is None or other is None else [one, other]

        one, other = await until(both, deadline_s=WAIT_S, what="no checkpoint covers these blocks")
        assert [one[number] for number in numbers] == [other[number] for number in numbers]
        return [one[number] for number in numbers]

    async def hashes(self, site: str = HONEST) -> dict[int, bytes]:
        """Position -> record hash of what the author may see at a site."""
        async with self.sites.caller(AUTHOR, site) as caller:
            return await all_records(caller)
