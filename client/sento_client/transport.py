"""The client's way to the sites as a port: questions with one answer, answers that stream, and the write stream.

The form over gRPC is `grpc_transport.py`; tests have one in memory. Every failure is a SentoError with a stable code, and nothing waits for ever:
a call has a timeout, a stream of answers a longest silence, and delivery watches the write streams itself.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from google.protobuf.message import Message

from sento_proto.errors import Code
from sento_proto.v1 import admin_pb2, client_pb2, common_pb2, governance_pb2, sync_pb2

RequestT = TypeVar("RequestT", bound=Message)
ReplyT = TypeVar("ReplyT", bound=Message)


@dataclass(frozen=True, slots=True)
class Method(Generic[RequestT, ReplyT]):
    """A remote method by name, with the types that belong to it."""

    service: str
    name: str
    request: type[RequestT]
    reply: type[ReplyT]


READ = Method("Registry", "Read", client_pb2.ReadRequest, client_pb2.ReadReply)
FACT = Method("Registry", "Fact", client_pb2.FactRequest, client_pb2.ListReply)
SUBJECT = Method("Registry", "Subject", client_pb2.SubjectRequest, client_pb2.ListReply)
OUTCOMES = Method("Registry", "Outcomes", client_pb2.OutcomesRequest, client_pb2.OutcomesReply)
PROOF = Method("Registry", "Proof", client_pb2.ProofRequest, client_pb2.ProofReply)
CHECKPOINT = Method("Registry", "Checkpoint", client_pb2.CheckpointRequest, client_pb2.CheckpointReply)
EXTRACT = Method("Registry", "Extract", client_pb2.ExtractRequest, client_pb2.ExtractReply)
REPORT_EXTRACT_USE = Method(
    "Registry", "ReportExtractUse", client_pb2.ReportExtractUseRequest, client_pb2.ReportExtractUseReply
)
HEAD = Method("Registry", "Head", client_pb2.HeadRequest, client_pb2.HeadReply)
CHANGES = Method("Registry", "Changes", client_pb2.ChangesRequest, common_pb2.StoredRecord)
ACTS = Method("Governance", "Acts", governance_pb2.ActsRequest, governance_pb2.ActsReply)
SUBMIT_ACT = Method("Governance", "SubmitAct", governance_pb2.SubmitActRequest, governance_pb2.SubmitActReply)
USAGE = Method("Governance", "Usage", governance_pb2.UsageRequest, governance_pb2.UsageReply)
STATUS = Method("Admin", "Status", admin_pb2.StatusRequest, admin_pb2.StatusReply)
ERASURES = Method("Admin", "Erasures", admin_pb2.ErasuresRequest, admin_pb2.ErasuresReply)
NOTE_VOLUME = Method("Admin", "NoteVolume", admin_pb2.NoteVolumeRequest, admin_pb2.NoteVolumeReply)
HAND_OVER_LEAD = Method("Admin", "HandOverLead", admin_pb2.HandOverLeadRequest, admin_pb2.HandOverLeadReply)
REMOVE_MEMBER = Method("Admin", "RemoveMember", admin_pb2.RemoveMemberRequest, admin_pb2.RemoveMemberReply)
SURVEY = Method("Admin", "Survey", admin_pb2.SurveyRequest, admin_pb2.SurveyReply)
BEGIN_EPOCH = Method("Admin", "BeginEpoch", admin_pb2.BeginEpochRequest, admin_pb2.BeginEpochReply)
ORPHANS = Method("Admin", "Orphans", admin_pb2.OrphansRequest, admin_pb2.Orphan)
READMIT = Method("Admin", "Readmit", admin_pb2.ReadmitRequest, admin_pb2.Readmitted)
STANDING = Method("Admin", "Standing", admin_pb2.StandingRequest, admin_pb2.StandingReply)
IMPORT = Method("Admin", "Import", admin_pb2.ImportPiece, admin_pb2.ImportReport)
PLAN = Method("Sync", "Plan", sync_pb2.PlanRequest, sync_pb2.PlanReply)
FETCH_CHUNK = Method("Sync", "FetchChunk", sync_pb2.FetchChunkRequest, sync_pb2.ChunkPiece)


class StreamListener(Protocol):
    """Who hears of a write stream. Called on the event loop; after `down`, or once the stream was closed by its user, nothing more comes."""

    def up(self) -> None:
        """The stream is open."""

    def reply(self, reply: client_pb2.WriteReply) -> None:
        """An answer."""

    def down(self, code: Code, detail: str) -> None:
        """The stream broke or did not open; `detail` for people."""


class WriteStream(Protocol):
    """A stream to one site, open or about to be."""

    def send(self, tag: int, submission: bytes) -> None:
        """Queue a submission; how many may be queued is the user's to bound."""

    def close(self) -> None:
        """Give it up, with what is queued."""


class Transport(Protocol):
    """Ways to all configured sites."""

    @property
    def sites(self) -> tuple[str, ...]:
        """Their names in the configured order."""
        ...

    def open_write(self, site: str, listener: StreamListener) -> WriteStream:
        """Begin to open a write stream."""
        ...

    async def call(
        self, site: str, method: Method[RequestT, ReplyT], request: RequestT, timeout_ms: int
    ) -> ReplyT:
        """Ask one question. Raises SentoError: the site's own code, else DEADLINE or UNREACHABLE."""
        ...

    def stream(
        self, site: str, method: Method[RequestT, ReplyT], request: RequestT, silence_ms: int | None
    ) -> AsyncIterator[ReplyT]:
        """Answers one by one. Raises SentoError as `call`; DEADLINE when none came for `silence_ms` (None: for ever)."""
        ...

    async def close(self) -> None:
        """Let go of all connections."""
        ...
