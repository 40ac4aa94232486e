"""The Governance service: officers' acts go in, and everybody may follow what they changed.

An act goes the way of every submission; only its refusal is told in more words, because people have to mend it. What is followed comes from the flushed
ledger with all that verifies it, so that whoever asks need not trust this site.
"""

from __future__ import annotations

import asyncio

import grpc
import grpc.aio

from sento_node.ledger.governing import ActList, act_refusal_words, budget_use
from sento_node.ledger.results import NOWHERE
from sento_node.runner import Runner
from sento_node.service.access import require_role
from sento_node.service.errors import error_message
from sento_node.service.freshness import as_of, require_reads, wait_fresh
from sento_node.service.node_state import NodeState
from sento_node.service.records import outcome_message, stored_record
from sento_node.tls import caller_of
from sento_proto import limits
from sento_proto.errors import STANDING_CODES, Code, SentoError
from sento_proto.governance.state import BUDGET_WINDOW_POSITIONS
from sento_proto.submission import Submission, decode_submission
from sento_proto.v1 import common_pb2, governance_pb2, governance_pb2_grpc
from sento_proto.wire import Malformed

Context = grpc.aio.ServicerContext[object, object]
EVERYBODY = ("author", "reader", "operator", "officer", "site", "pseudonyms")
PAGE_ROOM_BYTES = limits.GRPC_MESSAGE_MAX_BYTES - 64 * limits.KIB


class GovernanceService(governance_pb2_grpc.GovernanceServicer):
    """Serves officers, and everybody who follows governance."""

    def __init__(self, node: NodeState) -> None:
        self._node = node
        self._list = ActList(node.store)

    async def SubmitAct(
        self, request: governance_pb2.SubmitActRequest, context: Context
    ) -> governance_pb2.SubmitActReply:
        """Order an act and say what became of it."""
        require_role(caller_of(context), "operator", "officer")
        act = _decode_act(request.act)
        runner = self._node.running()
        answer = await runner.submit(request.act)
        if answer.code is not None:
            return governance_pb2.SubmitActReply(epoch=answer.epoch, error=_refusal(runner, act, answer.code))
        (outcome,) = answer.outcomes
        reply = governance_pb2.SubmitActReply(
            epoch=answer.epoch,
            outcome=outcome_message(outcome),
        )
        if outcome.code not in STANDING_CODES:
            reply.error.CopyFrom(_refusal(runner, act, outcome.code))
        return reply

    async def Acts(self, request: governance_pb2.ActsRequest, context: Context) -> governance_pb2.ActsReply:
        """What changed governance behind a position, in order, as far as it fits a message."""
        require_role(caller_of(context), *EVERYBODY)
        await wait_fresh(self._node, context, request.freshness)
        after = request.after_position if request.HasField("after_position") else -1
        reply = governance_pb2.ActsReply(as_of=as_of(self._node))
        sites = {site for site, _ in self._node.governance.site_keys_ever.values()}
        room_bytes = PAGE_ROOM_BYTES
        for position in self._list.behind(after, sites):
            if room_bytes <= 0:
                reply.more = True
                break
            record = stored_record(self._node.store, self._node.store.record(position), header_only=False)
            reply.records.append(record)
            room_bytes -= record.ByteSize()
        return reply

    async def Usage(
        self, request: governance_pb2.UsageRequest, context: Context
    ) -> governance_pb2.UsageReply:
        """How full each author's budget is."""
        require_role(caller_of(context), "operator", "officer")
        require_reads(self._node)
        governance, size = self._node.governance, self._node.store.tip.size
        window = await asyncio.to_thread(self._node.store.window)
        start = size - size % BUDGET_WINDOW_POSITIONS
        reply = governance_pb2.UsageReply(
            window_start=start, window_positions=BUDGET_WINDOW_POSITIONS, as_of=as_of(self._node)
        )
        for author, use in budget_use(governance, window, size).items():
            budget, own = governance.budget(author, size), governance.authors[author].budget
            entry = reply.authors.add(
                author=author,
                records=use.records,
                subjects=use.subjects,
                budget_records=budget.records,
                budget_subjects=budget.subjects,
                granted_records=budget.records - own.records,
                granted_subjects=budget.subjects - own.subjects,
            )
            if use.full_at != NOWHERE:
                entry.full_at_position = use.full_at
        return reply


def _decode_act(data: bytes) -> Submission:
    """Raises SentoError MALFORMED, or BAD_REQUEST for an author's submission."""
    try:
        submission = decode_submission(data)
    except Malformed as error:
        raise SentoError(Code.MALFORMED, str(error)) from None
    if not submission.is_act:
        raise SentoError(Code.BAD_REQUEST, "this is an author's submission; it goes to Registry.Write")
    return submission


def _refusal(runner: Runner, act: Submission, code: Code) -> common_pb2.Error:
    state = runner.site.state
    return error_message(code, act_refusal_words(state.governance, state.epoch, act, code, state.size))
