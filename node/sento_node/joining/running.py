"""The shell of joining while the node runs: it asks other sites for the members, does what `deciding.py` says, and notes what must outlive a kill.

A running site that was given a vote (`for_vote`) keeps its ledger and its readers meanwhile: what cannot be is an alarm, and it remains an embassy.
Every refusal stands in the node's condition in words and is asked again; only what no repetition mends ends the joining (`CannotJoin`). Changes go to the
node of the site that leads the ordering log, and to the others where that one does not answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import structlog

from sento_node.boot_keeper import BootFiles
from sento_node.compose import root_at
from sento_node.config import NodeConfig
from sento_node.epochs.here import EpochHere
from sento_node.joining.asking import CALL_TIMEOUT_MS, MemberAsker
from sento_node.joining.deciding import (
    AddLearner,
    Adopt,
    GiveUp,
    MemberStep,
    Promote,
    PutAway,
    Remove,
    Seen,
    StartMember,
    Voting,
    Wait,
    member_step,
)
from sento_node.joining.gated import GatedLog
from sento_node.joining.leaving import AGAIN_MS, holds_log, leave_log, put_away
from sento_node.joining.note import REPLACE_DISK, VOTE, Note, NoteFiles
from sento_node.joining.starting import Begun
from sento_node.joining.switched import SwitchedLog
from sento_node.ledger.replay import governance_of
from sento_node.order_starting import OrderAccess
from sento_node.ordering.etcd.members import ChangeNotYet, Member, MemberChanges
from sento_node.ordering.port import OrderingLog
from sento_node.peer_book import PeerBook, Reached
from sento_node.peers import Peers
from sento_node.rebuild.deciding import Rebuild
from sento_node.runner import Runner
from sento_node.service.node_state import NodeState
from sento_proto.bootstrap import differs_from_ledger, others_in_office
from sento_proto.genesis import Genesis
from sento_proto.v1 import sync_pb2

LOOK_EVERY_MS = 200
NO_END_MS = 2**62
NOT_TAKEN_ALARM = "vote-not-taken"


class CannotJoin(Exception):
    """The joining cannot go on. The text is one sentence of cause and one of remedy."""


@dataclass(frozen=True, slots=True)
class Told:
    """What the lead's node said: all members, and how far the lead's member is (None: that is not known)."""

    members: tuple[Member, ...]
    lead_index: int | None


class Joining:
    """One life of a joining site."""

    def __init__(self, begun: Begun, node: NodeState, peer_url: str, peers: Peers) -> None:
        self.begun = begun
        self._node = node
        self._site = node.config.site
        self._peer_url = peer_url
        self._condition = node.condition
        self._gate: GatedLog | None = None
        self._asker = MemberAsker(peers)
        self._files: BootFiles = BootFiles(node.config.data_dir, node.epoch.number)
        self._over = False
        self._said = ""
        self._log = structlog.get_logger("sento.node").bind(site=self._site)

    @property
    def votes(self) -> bool:
        """Whether this site is to have a member: by the bootstrap file, and where there is none by whether it is configured for one; where it was given a vote,
        by governance as long as that stands."""
        if self.for_vote:
            return self._site in self._node.epoch.voting_sites(self._node.governance)
        content = self.begun.bootstrap
        site = None if content is None else content.site(self._site)
        return bool(self._peer_url) if site is None else site.votes

    @property
    def for_vote(self) -> bool:
        """Whether this is a running site that was given a vote: it has its ledger, and answers and follows meanwhile."""
        return self.begun.note.kind == VOTE

    @property
    def has_learner(self) -> bool:
        """Whether a learner was added for this disk."""
        return self.begun.note.member_id != 0

    @property
    def new_disk(self) -> bool:
        """Whether the first boot of this disk is still to be confirmed, as that of a known site."""
        return self.begun.note.kind == REPLACE_DISK and not self.begun.note.confirmed

    async def know_peers(self, book: PeerBook) -> None:
        """The other sites as the bootstrap file names them, until governance does."""
        content = self.begun.bootstrap
        if content is not None:
            said = [Reached(site.name, site.address, site.ordering_url) for site in content.sites]
            await book.follow(said, whole=False)

    def gated(self, log: OrderingLog) -> OrderingLog:
        """The log, shut until this site's member votes."""
        self._gate = GatedLog(log)
        return self._gate

    def switched(self, lent: OrderAccess, own: OrderAccess) -> OrderAccess:
        """The order through other sites until this site's member votes, and through that member from then on. Others are lent the own log only."""
        gate = self._gate = GatedLog(own.log)
        return OrderAccess(
            SwitchedLog(lent.log, gate),
            own.member,
            lambda: "" if gate.is_open else lent.follows_through(),
            lends=gate,
        )

    def confirmed(self) -> None:
        """Another site confirmed this disk's boot: the next one is like any. Raises OSError."""
        if not self.begun.note.confirmed:
            self.begun.noted(confirmed=True)

    # -- the member ------------------------------------------------------------------------------------------------------

    async def prepare_member(self, files: BootFiles) -> Mapping[str, str] | None:
        """Former member removed, learner added: all members by name and URL, with which this site's is to be started. None when it cannot go on, which the
        condition then says. Raises OSError."""
        try:
            return await self.prepared(files)
        except CannotJoin as error:
            self.given_up(str(error))
            return None

    def given_up(self, words: str) -> None:
        """It cannot go on: a site with its ledger remains an embassy and says so, any other takes no part."""
        if self.for_vote:
            self._condition.raise_alarm(NOT_TAKEN_ALARM, words)
            self._condition.joining = None
        else:
            self._condition.state, self._condition.explanation = "refused", words

    async def prepared(self, files: BootFiles) -> Mapping[str, str]:
        """As `prepare_member`. Raises CannotJoin, OSError."""
        self._files = files
        while True:
            try:
                told = await self._ask(sync_pb2.TELL)
                seen = Seen(
                    self._site,
                    self._peer_url,
                    told.members,
                    has_log=holds_log(files),
                    by_lead=told.lead_index is not None,
                )
                step = member_step(self.begun.note, seen)
                if isinstance(step, StartMember):
                    return dict(step.members)
                await self._take(step)
            except ChangeNotYet as error:
                self._say(str(error))
                await asyncio.sleep(AGAIN_MS / 1000)

    async def attend(
        self, runner: Runner, order: OrderAccess, files: BootFiles, rebuild: Rebuild | None
    ) -> None:
        """Until the site serves: the member is promoted once it and the ledger have all. Raises OSError."""
        if self._over or (self.for_vote and order.member is None):
            return
        try:
            if order.member is not None:
                await self._promoted(
                    order.member.client_target, files, lambda: rebuild is None or rebuild.copied
                )
            await self._until_whole()
        except CannotJoin as error:
            if self.for_vote:
                self.given_up(str(error))
            else:
                runner.halt("refused", str(error))

    async def attend_alone(self, target: str, files: BootFiles) -> str:
        """The same at a site without a ledger. Why it cannot go on, or "" when it serves. Raises OSError."""
        try:
            await self._promoted(target, files, lambda: True)
        except CannotJoin as error:
            return str(error)
        self.begun.files.keep_bootstrap()
        await self._until_whole()
        return ""

    async def _promoted(self, target: str, files: BootFiles, copied: Callable[[], bool]) -> None:
        changes = MemberChanges(target)
        try:
            while True:
                step: MemberStep
                try:
                    told = await self._ask(sync_pb2.TELL)
                    own = await changes.state(timeout_ms=CALL_TIMEOUT_MS)
                    behind = None if told.lead_index is None else max(0, told.lead_index - own.applied_index)
                    step = member_step(
                        self.begun.note,
                        Seen(
                            self._site,
                            self._peer_url,
                            told.members,
                            has_log=holds_log(files),
                            is_up=True,
                            behind=behind,
                            copied=copied(),
                        ),
                    )
                    if isinstance(step, Voting):
                        if self._gate is not None:
                            self._gate.open()
                        self._say("The ordering member votes.")
                        return
                    await self._take(step)
                except ChangeNotYet as error:
                    self._say(str(error))
                await asyncio.sleep(LOOK_EVERY_MS / 1000)
        finally:
            await changes.close()

    async def _take(self, step: MemberStep) -> None:
        match step:
            case Remove(member_id):
                self._say("The former member is taken out of the ordering log.")
                await self._ask(sync_pb2.REMOVE_FORMER, member_id=member_id)
            case Adopt(member_id):
                self.begun.noted(member_id=member_id)
            case AddLearner():
                self._say("A new member is added to the ordering log, without a vote.")
                self.begun.noted(member_id=await self._added())
            case Promote(member_id):
                self._say("The member has all of the ordering log and gets its vote.")
                await self._ask(sync_pb2.PROMOTE, member_id=member_id)
            case PutAway():
                self._say("The former learner was removed, and another takes its place.")
                await put_away(self._files)
                self.begun.noted(member_id=0)
            case Wait(words):
                self._say(words)
                await asyncio.sleep(AGAIN_MS / 1000)
            case GiveUp(words):
                raise CannotJoin(words)
            case StartMember() | Voting():
                return

    async def _added(self) -> int:
        reply = await self._asker.reply(
            sync_pb2.ChangeMemberRequest(
                change=sync_pb2.ADD_LEARNER, epoch=self._node.epoch.number, peer_url=self._peer_url
            )
        )
        return reply.member_id

    async def _ask(self, change: sync_pb2.MemberChange.ValueType, member_id: int = 0) -> Told:
        reply = await self._asker.reply(
            sync_pb2.ChangeMemberRequest(change=change, epoch=self._node.epoch.number, member_id=member_id)
        )
        members = tuple(Member(one.member_id, one.site, one.peer_url, one.votes) for one in reply.members)
        return Told(members, reply.lead_applied_index or None)

    # -- the end ----------------------------------------------------------------------------------------------------------

    async def withdrawn(self, files: BootFiles, peers: Peers) -> None:
        """The vote was ended before it was taken: the learner, if there is one, leaves, and the joining is over. Raises OSError."""
        await leave_log(self._node, files, peers, self.begun.note.member_id, patience_ms=NO_END_MS)
        self._end()
        self._log.info("the vote was ended before it was taken")

    def unproven(self) -> str:
        """Why the copied ledger is not the one that the officers signed, in one sentence; "" when it is, or no file said anything."""
        content, store = self.begun.bootstrap, self._node.store
        if content is None:
            return ""
        if store.tip.size < content.size:
            return f"The ledger holds {store.tip.size} records and the bootstrap file says {content.size}."
        why = differs_from_ledger(content, self._node.governance, root_at(store, content.size))
        why = why or others_in_office(content, governance_of(self._node.genesis, store, size=content.size))
        return f"The copied ledger is not the one of the bootstrap file: {why}." if why else ""

    async def _until_whole(self) -> None:
        """The ledger is whole and this site takes part: then the joining is over."""
        while self._condition.rebuilding is not None or self._condition.state != "serving":  # noqa: ASYNC110 - two values of many writers
            await asyncio.sleep(LOOK_EVERY_MS / 1000)
        self._end()
        self._log.info("joined", kind=self.begun.note.kind, size=self._node.store.tip.size)

    def _end(self) -> None:
        self._over = True
        self.begun.files.end()
        self._condition.joining = None
        self._condition.answers_while_joining = False
        self._condition.end_alarm(NOT_TAKEN_ALARM)

    def _say(self, words: str) -> None:
        self._condition.joining = words
        if words != self._said:
            self._said = words
            self._log.info("joining", step=words)


def joining_of(begun: Begun, node: NodeState, peers: Peers) -> Joining:
    """One life of a joining site, as its condition says from now on."""
    ordering = node.config.ordering
    node.condition.joining = "It begins."
    node.condition.answers_while_joining = begun.note.kind == VOTE
    return Joining(begun, node, "" if ordering is None else ordering.peer_url, peers)


def begin_vote(data_dir: Path) -> Begun:
    """Note that this site, with its ledger as it is, is to join the ordering log. Raises OSError."""
    files, note = NoteFiles(data_dir), Note(VOTE, set_aside=True, ledger_made=True, confirmed=True)
    files.begin(note, None)
    return Begun(files, note, None)


def never_a_member(config: NodeConfig, genesis: Genesis, here: EpochHere, files: BootFiles) -> bool:
    """Whether this site votes and its disk has no member, because it was given its vote later, gave a former one up, or followed others into an epoch: its own
    could only begin a log of its own, which nobody else would join."""
    if holds_log(files):
        return False
    followed = here.number > 0 and here.plan is None
    return followed or files.has_left or config.site not in here.began_with(genesis)
