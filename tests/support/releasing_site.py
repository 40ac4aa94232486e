"""One site that records releases: its real Registry service, runner and access log, on an ordering log and a ledger in this process.

Calls go to the service as its gRPC server makes them, with a context that names the caller. What a test may hurt: the ordering (`lone.log`), the
spool's and the keys' directory, and the moment at which the node dies (`running` again, over the same store and directory).
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from bare_node import CERTIFICATE_ENDS_S, node_config
from genesis_builder import TestWorld, act_content, build_genesis, make_act, make_record, make_submission
from lone_runner import SITE, LoneSite
from sento_drill.waiting import until
from sento_node.clock import SystemClock
from sento_node.ledger import reading
from sento_node.releases.access_log import AccessLog
from sento_node.runner import Runner
from sento_node.service.node_state import NodeState
from sento_node.service.registry_service import Context, RegistryService
from sento_node.service.releasing import open_access_log
from sento_proto import header as header_layout
from sento_proto.access_record import COMPARTMENT, AccessRecord, decode_access
from sento_proto.errors import STANDING_CODES
from sento_proto.governance.state import site_author
from sento_proto.header import ZERO32, Header
from sento_proto.identity import Identity
from sento_proto.kek_record import REGISTRY as KEYS
from sento_proto.kek_record import decode_kek_seals, subject_of_kek
from sento_proto.kek_seal import KekName, XWingOpener, open_kek
from sento_proto.record import Record
from sento_proto.seal import decode_seal
from sento_proto.sealing import open_payload
from sento_proto.v1 import client_pb2, common_pb2

AUTHOR, OTHER_AUTHOR, READER = "iizuka-city", "kaga-city", "relief-desk"
RULES = 4
WHY = common_pb2.Purpose(purpose="address proof", case_number="2026-118")


class ShiftedClock(SystemClock):
    """The machine's clock, ahead by what a test says."""

    ahead_ms = 0

    def now_ms(self) -> int:
        return super().now_ms() + self.ahead_ms


class _Context:
    """What a service sees of a call."""

    def __init__(self, caller: Identity) -> None:
        self._uri = caller.uri.encode()

    def auth_context(self) -> dict[str, list[bytes]]:
        return {"x509_subject_alternative_name": [self._uri]}

    def time_remaining(self) -> None:
        return None


def context_of(name: str, role: str = "author") -> Context:
    """A call by this institution."""
    return cast("Context", _Context(Identity(role, name)))


@dataclass
class ReleasingSite:
    """The site. `directory`: its data directory; `world`: who is who, with every key."""

    directory: Path
    world: TestWorld = field(default_factory=lambda: build_genesis(sites=(SITE,), rules=RULES))
    clock: ShiftedClock = field(default_factory=ShiftedClock)
    boots: int = 0
    last_act: bytes = ZERO32

    def __post_init__(self) -> None:
        self.lone = LoneSite(self.world)

    @property
    def log(self) -> AccessLog:
        """The access log of the running life."""
        assert self.node.access_log is not None
        return self.node.access_log

    @contextlib.asynccontextmanager
    async def running(self, *, serving: bool = True) -> AsyncIterator[ReleasingSite]:
        """A life of it; the jobs that keep keys and drain the spool are the test's to call (`log.keys.settle`, `log.drain_once`)."""
        with ThreadPoolExecutor(max_workers=1) as writer:
            self.boots += 1
            self.node = NodeState(
                config=node_config(data_dir=self.directory),
                genesis=self.world.genesis,
                store=self.lone.store,
                clock=self.clock,
                writer=writer,
                condition=self.lone.condition,
                certificate_expires_at_s=lambda: CERTIFICATE_ENDS_S,
            )
            self.lone.condition.state = "starting"
            self.node.access_log = open_access_log(self.node, self.world.site_signers[SITE])
            self.service = RegistryService(self.node)
            site = self.lone.compose(self.boots)
            runner = Runner(site, self.lone.store, self.lone.log, {}, self.clock, self.lone.condition, writer)
            self.node.runner = runner
            runner.start()
            try:
                if serving:
                    await self.wait_state("serving")
                    await self.log.keys.settle()
                yield self
            finally:
                with contextlib.suppress(Exception):
                    await runner.stop()

    async def wait_state(self, state: str) -> None:
        """Until the node says this of itself."""

        async def says() -> bool:
            return self.lone.condition.state == state

        await until(says, deadline_s=15, poll_s=0.005, what=f"the site is not {state}")

    # -- writing ----------------------------------------------------------------------------------------------------

    async def stand(self, *records: Record, author: str = AUTHOR) -> list[int]:
        """Write them, and wait until they are flushed; their positions."""
        assert self.node.runner is not None
        reply = await self.node.runner.submit(make_submission(self.world, author, records))
        assert {one.code for one in reply.outcomes} <= STANDING_CODES, reply
        positions = [one.position for one in reply.outcomes]
        await self.flushed(max(positions) + 1)
        return positions

    def record(self, subject: bytes, *, author: str = AUTHOR, **fields: object) -> Record:
        """A record of residency about somebody."""
        registry = str(fields.pop("registry", "residency"))
        fact = self.world.numbers.take(16)
        return make_record(self.world, author, registry, "residence/entry", subject, fact, **fields)  # type: ignore[arg-type]

    async def act(self, *changes: dict[str, object]) -> int:
        """An officers' act that stands; its position."""
        assert self.node.runner is not None
        data = make_act(self.world, act_content(*changes), previous=self.last_act, epoch=0)
        reply = await self.node.runner.submit(data)
        assert {one.code for one in reply.outcomes} <= STANDING_CODES, reply
        self.last_act = reply.outcomes[0].record_hash
        await self.flushed(reply.outcomes[0].position + 1)
        return reply.outcomes[0].position

    async def flushed(self, size: int) -> None:
        """Until the flushed ledger holds so many records."""

        async def holds() -> bool:
            return self.lone.store.tip.size >= size

        await until(holds, deadline_s=15, poll_s=0.005, what="the flush")

    async def all_flushed(self) -> None:
        """Until everything applied is flushed."""
        await self.flushed(self.node.applied_size)

    # -- asking -----------------------------------------------------------------------------------------------------

    async def read(
        self, position: int, who: str = AUTHOR, *, local: bool = True, role: str = "author", **fields: object
    ) -> client_pb2.ReadReply:
        """Read a record by its position."""
        request = client_pb2.ReadRequest(
            position=position, freshness=common_pb2.LOCAL if local else common_pb2.LINEARIZABLE
        )
        request.purpose.CopyFrom(cast("common_pb2.Purpose", fields.pop("purpose", WHY)))
        request.header_only = bool(fields.pop("header_only", False))
        assert not fields
        return await self.service.Read(request, context_of(who, role))

    async def subject(
        self, subject: bytes, who: str = AUTHOR, *, registry: str = "residency", role: str = "author",
        purpose: common_pb2.Purpose = WHY, header_only: bool = False,
    ) -> client_pb2.ListReply:  # fmt: skip
        """All about somebody."""
        request = client_pb2.SubjectRequest(
            registry=registry,
            subject=subject,
            limit=200,
            freshness=common_pb2.LOCAL,
            purpose=purpose,
            header_only=header_only,
        )
        return await self.service.Subject(request, context_of(who, role))

    async def changes(self, who: str = READER, role: str = "reader") -> list[common_pb2.StoredRecord]:
        """All records of residency, in order."""
        request = client_pb2.ChangesRequest(registry="residency", purpose=WHY)
        return [one async for one in self.service.Changes(request, context_of(who, role))]

    # -- what stands ------------------------------------------------------------------------------------------------

    def headers(self, compartment: str = COMPARTMENT) -> list[Header]:
        """Headers of everything flushed in a compartment, in order."""
        return [header for _, header, _ in self._kept() if header.compartment == compartment]

    def accesses(self, who: str = READER) -> list[AccessRecord]:
        """All access records, opened with the seals that stand for this reader."""
        return [
            decode_access(open_payload(header_bytes, header, payload, kek=self.kek(header, who)))
            for header_bytes, header, payload in self._kept()
            if header.compartment == COMPARTMENT
        ]

    def kek(self, header: Header, who: str = READER) -> bytes:
        """The site's KEK of an access record, out of the seal to this reader. Raises LookupError when none stands."""
        author = site_author(SITE)
        subject = subject_of_kek(author, header.registry, COMPARTMENT, header.key_epoch)
        opener = XWingOpener(self.world.seal_secrets[who])
        name = KekName(self.world.ledger_id, author, header.registry, COMPARTMENT, header.key_epoch)
        for kept in reading.subject_records(self.lone.store, KEYS, subject, limit=50).records:
            for sealed in decode_kek_seals(header_layout.decode(kept.header_bytes).content).seals:
                if decode_seal(sealed).recipient_key_id == opener.recipient_key_id:
                    return open_kek(sealed, name, opener)
        raise LookupError(who)

    def _kept(self) -> list[tuple[bytes, Header, bytes]]:
        size = self.lone.store.tip.size
        kept = self.lone.store.records(0, size)
        return [
            (one.header_bytes, header_layout.decode(one.header_bytes), one.payload or b"") for one in kept
        ]
