"""Sites in memory: each answers from the ledger that it shares with the others, unless a fault is switched on, at it alone or everywhere.

While a majority of the voting sites is down the others do what real ones do: they take no records (NO_ORDERING), refuse LINEARIZABLE reads (NOT_FRESH),
and go on with LOCAL ones.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from importlib.metadata import version

from google.protobuf.message import Message

from sento_client.testing.access import Access, require_bytes, require_purpose
from sento_client.testing.faults import Faults, Watcher
from sento_client.testing.ledger import EPOCH
from sento_client.testing.served import ServedLedger, error_reply
from sento_client.transport import ReplyT
from sento_proto.checkpoint import SiteSigners
from sento_proto.errors import Code, SentoError
from sento_proto.head_statement import HeadStatement, encode_statement, sign_head
from sento_proto.header import ZERO16, ZERO32
from sento_proto.limits import SUBMISSION_MAX_BYTES
from sento_proto.v1 import admin_pb2, client_pb2, common_pb2, governance_pb2


class Site(Faults):
    """One site over a shared ledger. `everywhere`: faults that it shares with the others; `cluster`: all sites, itself too.

    `submissions` are the bytes that arrived, whatever became of them; `received` is set with the first."""

    def __init__(
        self,
        name: str,
        ledger: ServedLedger,
        everywhere: Faults | None = None,
        cluster: Sequence[Site] = (),
    ) -> None:
        super().__init__()
        self.name = name
        self.ledger = ledger
        self.everywhere = everywhere or Faults()
        self.cluster = cluster
        self.submissions: list[bytes] = []
        self.received = asyncio.Event()

    # How it stands.

    @property
    def is_gone(self) -> bool:
        """Whether it is down, alone or with all the others."""
        return self.down or self.everywhere.down

    @property
    def has_majority(self) -> bool:
        """Whether more than half of the voting sites are up. A site without a cluster is one by itself."""
        voters = self._voters
        return not voters or 2 * sum(not site.is_gone for site in voters) > len(voters)

    @property
    def _voters(self) -> list[Site]:
        return [site for site in self.cluster if site.name in self.ledger.genesis.voting_sites]

    @property
    def answer_delay_ms(self) -> int:
        """How long an answer takes here."""
        return max(self.delay_ms, self.everywhere.delay_ms)

    @property
    def turns_away_with(self) -> Code | None:
        """The code with which write streams are refused."""
        return self.turn_away or self.everywhere.turn_away

    @property
    def says_nothing(self) -> bool:
        """Whether it connects and never answers."""
        return self.mute or self.everywhere.mute

    @contextmanager
    def watched(self, watcher: Watcher) -> Iterator[None]:
        """Call `watcher` when the site goes or comes back."""
        with ExitStack() as stack:
            stack.enter_context(super().watched(watcher))
            stack.enter_context(self.everywhere.watched(watcher))
            yield

    def check_reachable(self) -> None:
        """What becomes of a question before it is read. Raises SentoError UNREACHABLE or DEADLINE."""
        if self.is_gone:
            raise SentoError(Code.UNREACHABLE, f"{self.name}: switched off")
        if self.call_fails():
            raise SentoError(Code.UNREACHABLE, f"{self.name}: the connection broke")
        if self.says_nothing:
            raise SentoError(Code.DEADLINE, f"{self.name}: no answer")

    def call_fails(self) -> bool:
        """Count one submission or question; whether its connection breaks before it is read."""
        return self.next_call_fails() or self.everywhere.next_call_fails()

    def answer_is_lost(self) -> bool:
        """Count one submission's answer."""
        return self.next_answer_is_lost() or self.everywhere.next_answer_is_lost()

    # Writing.

    def receive(self, submission: bytes) -> None:
        """A submission has arrived, whatever becomes of it."""
        self.submissions.append(submission)
        self.received.set()

    def take(self, submission: bytes, caller: str | None = None) -> client_pb2.WriteReply:
        """Answer a submission. `caller`: the institution that the connection belongs to (None: it is not looked at)."""
        self.receive(submission)
        refusal = self.next_refusal() or self.everywhere.next_refusal()
        if refusal is not None:
            return error_reply(refusal)
        if not self.has_majority:
            return error_reply(Code.NO_ORDERING)
        if len(submission) > SUBMISSION_MAX_BYTES:
            return error_reply(Code.TOO_LARGE)
        try:
            Access(self.ledger.governance, caller).require_own_submission(submission)
        except SentoError as error:
            return error_reply(error.code, error.detail)
        with self.ledger.lock:
            for step in (*self.before_submission, *self.everywhere.before_submission):
                step(submission)
            return self.altered(self.ledger.take(submission))

    # Reading.

    def altered(self, message: ReplyT) -> ReplyT:
        """The message as this site gives it out."""
        for alter in (self.alter, self.everywhere.alter):
            if alter is not None:
                alter(message)
        return message

    def answer(self, request: Message, caller: str | None = None) -> Message:
        """Answer a question. Raises SentoError."""
        with self.ledger.lock:
            return self.altered(self._answer(request, Access(self.ledger.governance, caller)))

    def _answer(self, request: Message, access: Access) -> Message:
        ledger = self.ledger
        match request:
            case client_pb2.ReadRequest():
                self._check_terms(request.purpose, request.freshness)
                return client_pb2.ReadReply(record=ledger.read(request, access), as_of=self._as_of())
            case client_pb2.FactRequest() | client_pb2.SubjectRequest():
                self._check_list(request)
                page = ledger.page(request, access)
                page.as_of.CopyFrom(self._as_of())
                return page
            case client_pb2.OutcomesRequest():
                self._check_fresh(common_pb2.LINEARIZABLE)
                for name in request.records:
                    require_bytes("record_id", name.record_id, len(ZERO16))
                reply = ledger.outcomes(request, access)
                reply.as_of.CopyFrom(self._as_of())
                return reply
            case client_pb2.ProofRequest():
                return ledger.proof(request)
            case client_pb2.HeadRequest():
                require_bytes("subject", request.subject, len(ZERO32))
                return client_pb2.HeadReply(statement=self._signed(ledger.head(request, access, self.name)))
            case client_pb2.CheckpointRequest():
                return self._checkpoint(request)
            case governance_pb2.ActsRequest():
                reply_of_acts = ledger.acts(request)
                reply_of_acts.as_of.CopyFrom(self._as_of())
                return reply_of_acts
            case governance_pb2.SubmitActRequest():
                return ledger.take_act(request.act)
            case admin_pb2.StatusRequest():
                return self._status()
        raise SentoError(Code.BAD_REQUEST)

    def changes(
        self, request: client_pb2.ChangesRequest, caller: str | None = None
    ) -> list[common_pb2.StoredRecord]:
        """Records from a position to the end as it stands. Raises SentoError."""
        access = Access(self.ledger.governance, caller)
        require_purpose(request.purpose)
        if request.registry:
            access.require_registry(request.registry)
        with self.ledger.lock:
            return [self.altered(stored) for stored in self.ledger.changes(request, access)]

    def _signed(self, statement: HeadStatement) -> bytes:
        """The statement under this site's key, another one where the site is told to lie."""
        if self.alter_head is not None:
            statement = self.alter_head(statement)
        signer = self.ledger.world.site_signers[self.name]
        return encode_statement(sign_head(statement, SiteSigners(signer)))

    def _checkpoint(self, request: client_pb2.CheckpointRequest) -> client_pb2.CheckpointReply:
        """Cosigned by the receipt set, and by every embassy that is up. Nothing is waited for: an embassy that is down stays so."""
        ledger = self.ledger
        if not ledger.quorum_size or request.at_least_size > ledger.quorum_size:
            raise SentoError(Code.NOT_FOUND, "no quorum checkpoint of that size yet")
        up = [site.name for site in self.cluster if not site.down]
        counted = ledger.genesis.receipt_set.sites
        embassies = [name for name in up if name not in counted and name not in ledger.genesis.voting_sites]
        wanted = set(request.cosigned_by)
        if wanted and wanted.isdisjoint([*embassies, *counted]):
            raise SentoError(Code.NOT_FOUND, "none of these sites has cosigned it yet")
        return client_pb2.CheckpointReply(checkpoint=ledger.checkpoint([*counted, *embassies]))

    def _check_list(self, request: client_pb2.FactRequest | client_pb2.SubjectRequest) -> None:
        if isinstance(request, client_pb2.FactRequest):
            require_bytes("fact", request.fact, len(ZERO16))
        else:
            require_bytes("subject", request.subject, len(ZERO32))
        self._check_terms(request.purpose, request.freshness)

    def _check_terms(self, purpose: common_pb2.Purpose, freshness: common_pb2.Freshness.ValueType) -> None:
        require_purpose(purpose)
        self._check_fresh(freshness)

    def _check_fresh(self, freshness: common_pb2.Freshness.ValueType) -> None:
        if freshness == common_pb2.LINEARIZABLE and not self.has_majority:
            raise SentoError(Code.NOT_FRESH)

    def _as_of(self) -> common_pb2.AsOf:
        return common_pb2.AsOf(
            epoch=EPOCH, size=self.ledger.size, confirmed_at_ms=self.ledger.wall_ms(), site=self.name
        )

    def _status(self) -> admin_pb2.StatusReply:
        ledger, now_ms = self.ledger, self.ledger.wall_ms()
        up = [site.name for site in self._voters if not site.is_gone] or [self.name]
        reply = admin_pb2.StatusReply(
            site=self.name,
            ledger_id=ledger.world.ledger_id,
            ledger_name=ledger.genesis.name,
            epoch=EPOCH,
            boot_number=1,
            version=version("sento"),
            state="serving" if self.has_majority else "no-majority",
            explanation="It is in memory, for a test.",
            applied_size=ledger.size,
            flushed_size=ledger.size,
            quorum_size=ledger.quorum_size,
            quorum_time_s=now_ms // 1000,
            now_ms=now_ms,
            confirmed_at_ms=now_ms,
            lead_site=up[0],
            is_lead=up[0] == self.name,
            rules=ledger.governance.rules,
        )
        for other in self.cluster:
            if other is not self:
                here = not other.is_gone
                heard_ms = now_ms if here else 0
                reply.peers.add(site=other.name, reachable=here, size=ledger.size, last_contact_ms=heard_ms)
        return reply


def sites_over(ledger: ServedLedger, everywhere: Faults | None = None) -> tuple[Site, ...]:
    """All sites of the ledger's genesis file, in its order."""
    cluster: list[Site] = []
    shared = everywhere or Faults()
    cluster += [Site(site.name, ledger, shared, cluster) for site in ledger.genesis.sites]
    return tuple(cluster)
