"""The Admin service: how this site stands, and handing the lead on. Callers are operators and sites."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from contextlib import aclosing
from importlib.metadata import version

import grpc
import grpc.aio

from sento_node.epochs.ended import votes_here
from sento_node.erasure.deciding import due_orders
from sento_node.erasure.kept import recall_certificates, recall_erasures
from sento_node.importing.desk import ImportDesk
from sento_node.ledger.rows import POSITION_MAX
from sento_node.service.access import require_role
from sento_node.service.epoch_service import EpochService, add_epoch
from sento_node.service.import_stream import import_reports
from sento_node.service.member_removal import hand_over_lead, remove_member
from sento_node.service.node_state import NodeState
from sento_node.service.orphan_service import OrphanService
from sento_node.service.standing import standing
from sento_node.service.surroundings import add_ordering, add_peers
from sento_node.service.survey_service import SurveyDesk
from sento_node.sync.progress import Progress
from sento_node.tls import caller_of
from sento_proto.checkpoint import cosigners, decode_checkpoint
from sento_proto.erasure_certificate import Volume, check_volume
from sento_proto.errors import Code, SentoError
from sento_proto.v1 import admin_pb2, admin_pb2_grpc
from sento_proto.wire import Malformed

Context = grpc.aio.ServicerContext[object, object]
OFFICIALS = ("operator", "officer")
"""After the majority is gone officers ask themselves; what they bring is signed by k of them, or by the authors."""
AWAITED_COUNTED_MAX = 100_000
"""More awaited payloads than this are told as this many."""


class AdminService(admin_pb2_grpc.AdminServicer):
    """Serves operators."""

    def __init__(self, node: NodeState) -> None:
        self._node = node
        self._desk = ImportDesk(node)
        self._epochs = EpochService(node)
        self._orphans = OrphanService(node)
        self._surveys = SurveyDesk(node)

    async def Status(self, request: admin_pb2.StatusRequest, context: Context) -> admin_pb2.StatusReply:
        """How this site stands. Authors and readers may ask too: it holds nothing about persons."""
        require_role(caller_of(context), *OFFICIALS, "site", "author", "reader")
        return status_of(self._node)

    async def HandOverLead(
        self, request: admin_pb2.HandOverLeadRequest, context: Context
    ) -> admin_pb2.HandOverLeadReply:
        """Hand the ordering log's lead to another site."""
        require_role(caller_of(context), "operator")
        await hand_over_lead(self._node, request.to_site)
        return admin_pb2.HandOverLeadReply()

    async def RemoveMember(
        self, request: admin_pb2.RemoveMemberRequest, context: Context
    ) -> admin_pb2.RemoveMemberReply:
        """Take the ordering member of a site out that has no vote any more."""
        require_role(caller_of(context), "operator")
        return admin_pb2.RemoveMemberReply(removed=await remove_member(self._node, request.site))

    async def BeginEpoch(
        self, request: admin_pb2.BeginEpochRequest, context: Context
    ) -> admin_pb2.BeginEpochReply:
        """Carry a signed plan of a new epoch out at this site."""
        require_role(caller_of(context), *OFFICIALS)
        return await self._epochs.begin(request)

    async def Standing(self, request: admin_pb2.StandingRequest, context: Context) -> admin_pb2.StandingReply:
        """Where records stand, by hash."""
        require_role(caller_of(context), *OFFICIALS)
        return await standing(self._node, request)

    async def Survey(self, request: admin_pb2.SurveyRequest, context: Context) -> admin_pb2.SurveyReply:
        """What this site holds, with its own ordering log, signed."""
        require_role(caller_of(context), *OFFICIALS)
        return await self._surveys.reply()

    async def Orphans(
        self, request: admin_pb2.OrphansRequest, context: Context
    ) -> AsyncIterator[admin_pb2.Orphan]:
        """Records set aside with a former epoch that the ledger lacks."""
        require_role(caller_of(context), *OFFICIALS)
        async with aclosing(self._orphans.orphans(request)) as found:
            async for orphan in found:
                yield orphan

    async def Readmit(
        self, request: admin_pb2.ReadmitRequest, context: Context
    ) -> AsyncIterator[admin_pb2.Readmitted]:
        """Orphans that were reviewed, offered again."""
        require_role(caller_of(context), *OFFICIALS)
        async with aclosing(self._orphans.readmit(request)) as answers:
            async for answer in answers:
                yield answer

    async def Erasures(self, request: admin_pb2.ErasuresRequest, context: Context) -> admin_pb2.ErasuresReply:
        """Orders that this site still has to carry out, and its certificates of the others. They name records by hash and nothing about persons."""
        require_role(caller_of(context), "operator", "site", "author", "reader")
        return admin_pb2.ErasuresReply(
            pending=pending_erasures(self._node), certificates=recall_certificates(self._node.store)
        )

    async def NoteVolume(
        self, request: admin_pb2.NoteVolumeRequest, context: Context
    ) -> admin_pb2.NoteVolumeReply:
        """A volume was made, destroyed or brought back."""
        require_role(caller_of(context), "operator")
        volume = _volume(request)
        self._node.running()
        if self._node.eraser is None:
            raise SentoError(Code.NOT_READY)
        await self._node.eraser.note_volume(volume)
        return admin_pb2.NoteVolumeReply()

    async def Import(
        self, request_iterator: AsyncIterator[admin_pb2.ImportPiece], context: Context
    ) -> AsyncIterator[admin_pb2.ImportReport]:
        """Chunks that were brought by hand, each with what became of it; at the end the signed arrival receipt."""
        require_role(caller_of(context), "operator")
        async for report in import_reports(self._desk, request_iterator):
            yield report


def _volume(request: admin_pb2.NoteVolumeRequest) -> Volume:
    """The note as it will stand in certificates. Raises SentoError BAD_REQUEST."""
    if request.size > POSITION_MAX:
        raise SentoError(Code.BAD_REQUEST, "size is beyond every ledger")
    volume = Volume(request.number, request.kind, request.state, request.size)
    try:
        check_volume(volume)
    except Malformed as error:
        raise SentoError(Code.BAD_REQUEST, str(error)) from error
    return volume


def pending_erasures(node: NodeState) -> tuple[int, ...]:
    """Orders carried out by act that this site has not certified yet, by position."""
    if node.eraser is not None:
        return node.eraser.pending
    certified = recall_erasures(node.store).certified
    return due_orders(node.governance.erasure_orders.values(), certified, node.store.tip.size)


def role_of(node: NodeState) -> str:
    """`voting`, `embassy` or `tie-breaker`, by the epoch's plan and governance; a site that does not stand there yet is what its node.toml makes it."""
    if not node.keeps_ledger:
        return "tie-breaker"
    return "voting" if votes_here(node) else "embassy"


def status_of(node: NodeState) -> admin_pb2.StatusReply:
    """The status table of one node."""
    condition, tip, now_ms = node.condition, node.store.tip, node.clock.wall_ms()
    space = node.store.space()
    reply = admin_pb2.StatusReply(
        site=node.config.site,
        ledger_id=node.genesis.ledger_id,
        ledger_name=node.genesis.name,
        epoch=tip.epoch,
        boot_number=node.boot_number,
        version=version("sento"),
        state=condition.shown_state,
        explanation=condition.shown_explanation,
        flushed_size=tip.size,
        flushed_block=tip.block,
        applied_size=node.applied_size,
        applied_block=node.applied_block,
        ordered_block=max(condition.head_number, node.applied_block),
        now_ms=now_ms,
        confirmed_at_ms=condition.confirmed_at_ms,
        disk_free_bytes=space.free_bytes,
        disk_total_bytes=space.total_bytes,
        certificate_expires_at_s=node.certificate_expires_at_s(),
        alarms=[f"{name}: {words}" for name, words in sorted(condition.alarms.items())],
        rules=node.governance.rules,
        lag_ms=node.lag_ms,
        flush_ms=math.ceil(node.tallies.last_flush_s * 1000),
        payloads_awaited=len(node.store.awaited(AWAITED_COUNTED_MAX)),
        erasures_pending=len(pending_erasures(node)),
        role=role_of(node),
        follows_through=node.follows_through(),
        joining=condition.joining or "",
    )
    kept = node.store.checkpoint()
    if kept is not None:
        reply.quorum_size = kept.size
        times = cosigners(decode_checkpoint(kept.note), node.governance.site_keys).values()
        reply.quorum_time_s = max(times, default=0)
    if condition.rebuilding is not None:
        known = [contact.flushed_size for contact in node.contacts.values()]
        reply.rebuilt_size = tip.size
        reply.rebuild_target_size = max([condition.rebuilding.target_size, tip.size, *known])
    reply.scrub.CopyFrom(_scrub_of(node))
    if condition.sync is not None:
        reply.sync.CopyFrom(sync_status(condition.sync, node.clock.now_ms()))
    add_epoch(reply, node)
    _add_runner(reply, node)
    add_ordering(reply, node)
    if node.access_log is not None:
        reply.access_records_spooled = len(node.access_log.spool)
    add_peers(reply, node)
    return reply


def _add_runner(reply: admin_pb2.StatusReply, node: NodeState) -> None:
    if node.runner is None:
        return
    site = node.runner.site
    reply.queued_records = site.lanes.queues.count
    reply.trimmed_block = site.trimmed_block


def sync_status(progress: Progress, now_ms: int) -> admin_pb2.SyncStatus:
    """How far copying is."""
    return admin_pb2.SyncStatus(
        source=progress.source,
        stage=progress.stage,
        registry=progress.registry,
        done=progress.done,
        wanted=progress.wanted,
        bytes_done=progress.bytes_done,
        bytes_wanted=progress.bytes_wanted,
        rate_bytes_per_s=progress.rate_bytes_per_s(now_ms),
        time_to_go_s=progress.time_to_go_s(now_ms),
    )


def _scrub_of(node: NodeState) -> admin_pb2.ScrubStatus:
    scrub = node.scrub
    return admin_pb2.ScrubStatus(
        rounds=scrub.rounds,
        round_bytes_done=scrub.round_bytes_done,
        round_bytes_total=scrub.round_bytes_total,
        round_began_ms=scrub.round_began_ms,
        last_round_ended_ms=scrub.last_round_ended_ms,
        found=scrub.mending.found,
        healed=scrub.mending.healed,
        fenced=scrub.mending.fenced,
    )
