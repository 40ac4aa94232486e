"""`GoverningClient`: governance as an officer's or an institution's program meets it: follow it, submit an act, see how full budgets are."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from sento_client.asker import Asker, Terms, damaged
from sento_client.composing import Ports
from sento_client.delivery_values import code_of
from sento_client.governing.fitting import check_sites
from sento_client.governing.follower import Follower
from sento_client.governing.following import Followed
from sento_client.governing.place import GoverningPlace, open_place
from sento_client.governing.proposal import Proposal
from sento_client.governing.sections import AuthorUse
from sento_client.governing.trust_file import encode_trust
from sento_client.grpc_transport import GrpcTransport
from sento_client.proving import Prover
from sento_client.results import Freshness
from sento_client.transport import SUBMIT_ACT, USAGE, Method, ReplyT, RequestT, Transport
from sento_client.verifying import Finding
from sento_proto.checkpoint import Checkpoint
from sento_proto.errors import STANDING_CODES, Code, SentoError
from sento_proto.v1 import governance_pb2


class Standing(NamedTuple):
    """Where an act stands. `repeated`: it stood already when it was sent."""

    position: int
    epoch: int
    repeated: bool


class GoverningClient:
    """Use it with `async with`. `place.officer` is None for an institution, which may look on and not submit."""

    def __init__(
        self,
        place: GoverningPlace,
        *,
        transport: Callable[[GoverningPlace], Transport] | None = None,
        ports: Ports | None = None,
    ) -> None:
        self.place = place
        self._make_transport = transport or _over_grpc
        self._ports = ports or Ports()

    @classmethod
    def open(cls, path: Path) -> GoverningClient:
        """The client of the `sento.toml` at `path`, an officer's or an institution's. Raises SetupError."""
        return cls(open_place(path))

    async def __aenter__(self) -> Self:
        self._transport = self._make_transport(self.place)
        self._asker = Asker(self._transport, self._ports)
        self._follower = Follower(self._asker, self.place.trust_file.read(), self.place.trust_file)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._transport.close()

    @property
    def asker(self) -> Asker:
        """How sites are asked."""
        return self._asker

    @property
    def sites(self) -> tuple[str, ...]:
        """Names of the sites that this computer has an address of, in order."""
        return self._transport.sites

    async def call_site(
        self, site: str, method: Method[RequestT, ReplyT], request: RequestT, *, timeout_ms: int
    ) -> ReplyT:
        """One question to one site, answered or not; nothing is verified here. Raises SentoError."""
        return await self._transport.call(site, method, request, timeout_ms)

    def stream_site(
        self, site: str, method: Method[RequestT, ReplyT], request: RequestT, *, silence_ms: int
    ) -> AsyncIterator[ReplyT]:
        """Answers of one site, one by one; nothing is verified here. Raises SentoError, DEADLINE after so long without one."""
        return self._transport.stream(site, method, request, silence_ms)

    @property
    def epoch(self) -> int:
        """The ledger's epoch, by the site that answered last."""
        return self._follower.epoch

    @property
    def size(self) -> int:
        """How many records stand, by the site that answered last: the next one's position, or a lower one."""
        return self._follower.size

    @property
    def wall_ms(self) -> int:
        """Now, as headers state it."""
        return self._ports.wall_ms()

    def random_bytes(self, count: int) -> bytes:
        """Chance."""
        return self._ports.random_bytes(count)

    async def follow(self, *, local: bool = False) -> Followed:
        """Governance with everything acknowledged before; with `local` as one site knows it, also when that is cut off. Raises SentoError, SetupError."""
        freshness = Freshness.LOCAL if local else Freshness.LINEARIZABLE
        followed = await self._follower.refresh(self.place.deadline_ms, freshness=freshness)
        check_sites(followed.governance, (site.name for site in self.place.sites))
        return followed

    async def proven_trust(self) -> bytes:
        """The bytes of a trust file: all acts, each shown to stand at its place under the newest checkpoint. Raises SentoError, SetupError."""
        followed, proof = await self._follower.prove_all(self.place.deadline_ms)
        return encode_trust(self.place.trust_file.genesis_bytes, followed, proof)

    async def newest_proven(self) -> tuple[Followed, Checkpoint]:
        """The newest checkpoint of a quorum, and governance as it stands under it. Raises SentoError, SetupError."""
        followed, proof = await self._follower.prove_all(self.place.deadline_ms)
        return followed.first(proof.checkpoint.size), proof.checkpoint

    async def prove_older(self, older: Checkpoint, newer: Checkpoint) -> Finding:
        """Whether the tree of a checkpoint that nobody need have cosigned is a beginning of one that a quorum did. Raises SentoError."""
        prover = Prover(self._asker, lambda: self._follower.trust)
        return await prover.prove_consistency(older, newer, self.place.deadline_ms)

    async def follow_anew(self) -> Followed:
        """The same from the genesis file on, with the payloads of acts, which are not kept on disk: sealed shares. Raises SentoError, SetupError."""
        known = await self.follow()
        anew = Follower(self._asker, Followed.start(known.genesis))
        followed = await anew.refresh(self.place.deadline_ms)
        if followed.position < known.position:
            raise SentoError(Code.NOT_FRESH, f"governance is known up to position {known.position}")
        return followed

    async def submit(self, proposal: Proposal) -> Standing:
        """Send an act. Sending it again is safe: it stands once. Raises SentoError with the site's code and its words."""
        data = proposal.encode_act()

        def accept(site: str, reply: governance_pb2.SubmitActReply) -> Standing:
            if reply.HasField("error"):
                raise SentoError(code_of(reply.error.code), _from(site, reply.error.detail))
            code = code_of(reply.outcome.code)
            if code not in STANDING_CODES or reply.outcome.record_hash != proposal.record.record_hash:
                raise damaged(site, "it answered for another record")
            return Standing(reply.outcome.position, reply.epoch, code is Code.KNOWN)

        request = governance_pb2.SubmitActRequest(act=data)
        return await self._asker.ask(SUBMIT_ACT, request, accept, self._terms())

    async def usage(self) -> list[AuthorUse]:
        """How full each author's budget is, by one site's word. Raises SentoError; IDENTITY_REFUSED for an institution."""

        def accept(_site: str, reply: governance_pb2.UsageReply) -> list[AuthorUse]:
            return [
                AuthorUse(
                    use.author,
                    use.records,
                    use.subjects,
                    use.budget_records,
                    use.budget_subjects,
                    use.granted_records,
                    use.granted_subjects,
                    use.full_at_position if use.HasField("full_at_position") else None,
                )
                for use in reply.authors
            ]

        return await self._asker.ask(USAGE, governance_pb2.UsageRequest(), accept, self._terms())

    def _terms(self) -> Terms:
        return Terms("", "", timeout_ms=self.place.deadline_ms)


def _from(site: str, detail: str) -> str:
    return f"{site}: {detail}" if detail else site


def _over_grpc(place: GoverningPlace) -> Transport:
    return GrpcTransport(place.sites, place.tls)
