"""An officers' ledger behind the client's transport, without a site: it takes acts and gives them out, judged by the shared decision and nothing else."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import NoReturn, cast

from genesis_builder import TestWorld
from sento_client.config import KeyFiles, SiteAddress, TlsFiles
from sento_client.governing.client import GoverningClient
from sento_client.governing.place import GoverningPlace
from sento_client.governing.trust_file import TrustFile
from sento_client.keyfiles import write_signing_key
from sento_client.transport import Method, ReplyT, RequestT, StreamListener
from sento_proto import merkle
from sento_proto.checkpoint import Checkpoint, cosign, encode_checkpoint
from sento_proto.errors import Code, SentoError
from sento_proto.governance.acts import judge_act, with_act
from sento_proto.governance.state import from_genesis
from sento_proto.submission import Submission, decode_submission
from sento_proto.v1 import client_pb2, common_pb2, governance_pb2


class GovernedLedger:
    """A `Transport` of one site. `lost_answers`: how many submitted acts stand without the client hearing of it; `shown`: how many acts the site gives out
    (None: all), and `shift`: by how much it lies about where they stand."""

    def __init__(self, world: TestWorld) -> None:
        self.world = world
        self.governance = from_genesis(world.genesis)
        self.acts: list[Submission] = []
        self.lost_answers = 0
        self.submitted = 0
        self.shown: int | None = None
        self.shift = 0

    @property
    def sites(self) -> tuple[str, ...]:
        """One."""
        return ("jp-fukuoka",)

    def open_write(self, site: str, listener: StreamListener) -> NoReturn:
        """Officers write no records."""
        raise AssertionError

    async def call(
        self, site: str, method: Method[RequestT, ReplyT], request: RequestT, timeout_ms: int
    ) -> ReplyT:
        """One question."""
        match request:
            case governance_pb2.ActsRequest():
                return cast("ReplyT", self._acts(request))
            case governance_pb2.SubmitActRequest():
                return cast("ReplyT", self._submit(request.act))
            case client_pb2.CheckpointRequest() if self.acts:
                return cast("ReplyT", client_pb2.CheckpointReply(checkpoint=self._checkpoint()))
            case client_pb2.ProofRequest():
                return cast("ReplyT", self._proofs(request))
        raise SentoError(Code.IDENTITY_REFUSED)

    def stream(
        self, site: str, method: Method[RequestT, ReplyT], request: RequestT, silence_ms: int | None
    ) -> AsyncIterator[ReplyT]:
        """There is none."""
        raise AssertionError

    async def close(self) -> None:
        """Nothing is open."""

    def _acts(self, request: governance_pb2.ActsRequest) -> governance_pb2.ActsReply:
        after = request.after_position if request.HasField("after_position") else -1
        reply = governance_pb2.ActsReply(as_of=common_pb2.AsOf(epoch=0, size=len(self.acts)))
        for position, act in enumerate(self.acts[: self.shown]):
            if position + self.shift > after:
                reply.records.append(_stored(position + self.shift, act))
        return reply

    def _checkpoint(self) -> bytes:
        world = self.world
        root = merkle.root_of(self._hashes)
        plain = Checkpoint(world.ledger_id, 0, len(self.acts), root)
        lines = tuple(cosign(plain, site, signer, 1) for site, signer in world.site_signers.items())
        return encode_checkpoint(plain._replace(signatures=lines))

    @property
    def _hashes(self) -> list[bytes]:
        return [act.records[0].record_hash for act in self.acts]

    def _proofs(self, request: client_pb2.ProofRequest) -> client_pb2.ProofReply:
        reply, read = client_pb2.ProofReply(size=request.size), merkle.subtree_reader(self._hashes)
        for position in request.positions:
            path = merkle.inclusion_proof(read, position, request.size)
            reply.inclusions.add(position=position, record_hash=self._hashes[position], path=path)
        return reply

    def _submit(self, data: bytes) -> governance_pb2.SubmitActReply:
        self.submitted += 1
        act, at = decode_submission(data), len(self.acts)
        record = act.records[0]
        for position, known in enumerate(self.acts):
            if known.root == act.root:
                return _outcome(Code.KNOWN, position, record.record_hash)
        signers = [key_id for key_id, _ in act.officers]
        judged = judge_act(self.governance, record.header.content, signers, at)
        if judged.code is not Code.ACCEPTED:
            return governance_pb2.SubmitActReply(error=common_pb2.Error(code=judged.code, detail=judged.why))
        self.governance = with_act(judged.after, record.record_hash, at)
        self.acts.append(act)
        if self.lost_answers:
            self.lost_answers -= 1
            raise SentoError(Code.DEADLINE, "the answer is lost")
        return _outcome(Code.ACCEPTED, at, record.record_hash)


def _outcome(code: Code, position: int, record_hash: bytes) -> governance_pb2.SubmitActReply:
    outcome = common_pb2.Outcome(code=code, position=position, record_hash=record_hash)
    return governance_pb2.SubmitActReply(outcome=outcome)


def _stored(position: int, act: Submission) -> common_pb2.StoredRecord:
    record = act.records[0]
    stored = common_pb2.StoredRecord(
        position=position,
        header=record.header_bytes,
        payload=record.payload,
        payload_hash=record.payload_hash,
        record_hash=record.record_hash,
    )
    proof = stored.submission
    proof.author_key_id, proof.count, proof.epoch = bytes(16), 1, act.epoch
    for key_id, signature in act.officers:
        frame = proof.officers.add(officer_key_id=key_id)
        frame.signature.suite, frame.signature.data = signature
    return stored


def officer_at(ledger: GovernedLedger, directory: Path, officer: str, seed: bytes) -> GoverningClient:
    """An officer's computer, whose files are in `directory`."""
    directory.mkdir(exist_ok=True)
    signing = directory / "signing.key"
    write_signing_key(signing, seed)
    world = ledger.world
    place = GoverningPlace(
        TrustFile(directory / "trust.json", world.genesis, world.genesis_bytes),
        TlsFiles(directory, directory, directory),
        (SiteAddress("jp-fukuoka", "jp-fukuoka.invalid:1"),),
        2_000,
        officer,
        KeyFiles(signing, None, None, None),
    )
    return GoverningClient(place, transport=lambda _: ledger)
