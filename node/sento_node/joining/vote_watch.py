"""The shell of moving a running site's vote: it looks at governance and the own member, and does what `moving.py` says while the site goes on.

Taking a vote adds a learner and ends this life; the next one starts the learner beside the lent order, has it promoted and goes over to it (`switched.py`).
Leaving removes the own member while it still counts, so that the ordering log itself judges whether enough of the others are up, and ends this life; the
next is an embassy's. What cannot be done is an alarm in words, and is tried again.
"""

from __future__ import annotations

import asyncio

import structlog

from sento_node.boot_keeper import BootFiles
from sento_node.condition import NEXT_LIFE
from sento_node.config_mistake import ConfigMistake
from sento_node.joining.leaving import AGAIN_MS, LEAVES_ALARM, put_away
from sento_node.joining.moving import (
    TABLE_WANTED,
    HandOn,
    LeaveLog,
    Left,
    NotYet,
    RemoveOwn,
    SayWanted,
    Stay,
    TakeVote,
    leaving_step,
    vote_change,
)
from sento_node.joining.running import NOT_TAKEN_ALARM, CannotJoin, Joining, begin_vote, joining_of
from sento_node.order_starting import OrderAccess
from sento_node.ordering.etcd.members import ChangeNotYet, ChangeRefused, MemberChanges
from sento_node.peers import Peers
from sento_node.preflight import check_member_files
from sento_node.round_trips import RoundTripKeeper
from sento_node.runner import Runner
from sento_node.service.node_state import NodeState
from sento_node.service.surroundings import voting_others
from sento_proto.errors import SentoError

LOOK_EVERY_MS = 300
CALL_TIMEOUT_MS = 4_000
HAND_ON_TIMEOUT_MS = 2_000
REFUSED_AGAIN_MS = 30_000

TAKES = "This site was given a vote: its next life, which begins at once, runs its own member of the ordering log."
WITHDRAWN = "This site's vote was ended before its member could vote: its next life takes the learner out."
HAS_LEFT = "This site has no vote any more and its member left the ordering log: it goes on as an embassy."


class VoteWatch:
    """One life's watch over the site's own vote."""

    def __init__(
        self,
        node: NodeState,
        runner: Runner,
        order: OrderAccess,
        files: BootFiles,
        peers: Peers,
        joining: Joining | None,
    ) -> None:
        self._node = node
        self._runner = runner
        self._has_member = order.member is not None
        self._was_removed = order.was_removed
        self._files = files
        self._peers = peers
        self._joining = joining if joining is not None and joining.for_vote else None
        """The vote that is being taken; None while none is."""
        self._log = structlog.get_logger("sento.node").bind(site=node.config.site)

    async def run(self) -> None:
        """Look until this life ends. Raises OSError."""
        while True:
            if self._takes_part and not (self._was_removed and await self._judge_removal()):
                await self._look()
            await asyncio.sleep(LOOK_EVERY_MS / 1000)

    @property
    def _takes_part(self) -> bool:
        """Whether governance, as applied here, is of now: a site that makes its ledger anew or is behind decides later."""
        condition = self._node.condition
        return condition.state in ("serving", "no-majority") and condition.rebuilding is None

    @property
    def _votes(self) -> bool:
        return self._node.config.site in self._node.epoch.voting_sites(self._node.governance)

    async def _look(self) -> None:
        change = vote_change(
            votes=self._votes,
            has_member=self._has_member,
            wanted=self._wanted() if self._votes and not self._has_member else "",
        )
        condition = self._node.condition
        match change:
            case SayWanted(words):
                condition.raise_alarm(NOT_TAKEN_ALARM, words)
            case TakeVote():
                await self._until_flushed()
                await self._take()
            case LeaveLog():
                await self._until_flushed()
                await self._leave()
            case Stay():
                if self._has_member:
                    condition.end_alarm(LEAVES_ALARM)
                    self._joining = None
                elif self._joining is not None:
                    await self._joining.withdrawn(self._files, self._peers)
                    self._joining = None
                else:
                    condition.end_alarm(NOT_TAKEN_ALARM)

    async def _judge_removal(self) -> bool:
        """A member that the log took out: where an act ended the vote, its log is put away, else this site stops. True where it stops, or cannot tell yet."""
        condition = self._node.condition
        if self._node.applied_block < condition.head_number:
            return True
        if self._votes:
            self._runner.halt("stopped", self._was_removed)
            return True
        await put_away(self._files)
        self._was_removed = ""
        return False

    def _wanted(self) -> str:
        """What this site needs for a member and has not, in words; "" where nothing."""
        ordering = self._node.config.ordering
        if ordering is None:
            return TABLE_WANTED
        try:
            check_member_files(ordering.of_epoch(self._node.epoch.number))
        except ConfigMistake as mistake:
            return f"Governance gives this site a vote, and its ordering member cannot start. {mistake}"
        return ""

    async def _until_flushed(self) -> None:
        """Until the act is on this disk: the next life must know of it."""
        seen = self._node.applied_block
        while self._node.store.tip.block < seen:  # noqa: ASYNC110 - the store has no event for it
            await asyncio.sleep(LOOK_EVERY_MS / 1000)

    # -- taking a vote ----------------------------------------------------------------------------------------------------

    async def _take(self) -> None:
        """Become a learner, and end this life; or be withdrawn meanwhile."""
        if self._joining is None:
            self._joining = joining_of(begin_vote(self._node.config.data_dir), self._node, self._peers)
        preparing = asyncio.create_task(self._joining.prepared(self._files))
        try:
            while self._votes and not preparing.done():
                await asyncio.wait({preparing}, timeout=LOOK_EVERY_MS / 1000)
            if not preparing.done():
                return
            preparing.result()
        except CannotJoin as error:
            self._joining.given_up(str(error))
            await asyncio.sleep(REFUSED_AGAIN_MS / 1000)
        else:
            self._runner.halt(NEXT_LIFE, TAKES)
        finally:
            preparing.cancel()
            await asyncio.gather(preparing, return_exceptions=True)

    # -- leaving ----------------------------------------------------------------------------------------------------------

    async def _leave(self) -> None:
        """Hand the lead on and take the own member out, and end this life; or keep it, where the vote is given back meanwhile."""
        changes = MemberChanges(self._node.member_target)
        try:
            while not self._votes:
                try:
                    if await self._left(changes):
                        return
                except (ChangeNotYet, ChangeRefused, SentoError) as error:
                    self._node.condition.raise_alarm(
                        LEAVES_ALARM,
                        f"This site has no vote any more, and its member cannot leave the ordering log yet; it is tried again by itself. {error}",
                    )
                await asyncio.sleep(AGAIN_MS / 1000)
        finally:
            await changes.close()

    async def _left(self, changes: MemberChanges) -> bool:
        """One step. Whether this life is over. Raises ChangeNotYet, ChangeRefused, SentoError."""
        own = await changes.state(timeout_ms=CALL_TIMEOUT_MS)
        if own.is_learner:
            self._over(WITHDRAWN)
            return True
        step = leaving_step(
            own.member_id,
            await changes.listed(timeout_ms=CALL_TIMEOUT_MS),
            self._node.epoch.voting_sites(self._node.governance),
            is_lead=own.lead_id == own.member_id,
            reaches=self._node.reaches,
        )
        match step:
            case HandOn(sites):
                await self._handed_on(sites)
                return False
            case NotYet(words):
                raise ChangeNotYet(words)
            case RemoveOwn(member_id):
                self._log.info("leaving the ordering log")
                await changes.remove(member_id, timeout_ms=CALL_TIMEOUT_MS)
            case Left():
                pass
        self._over(HAS_LEFT)
        return True

    async def _handed_on(self, sites: tuple[str, ...]) -> None:
        refused: SentoError | None = None
        for site in sites:
            try:
                await self._runner.handed_over(site, HAND_ON_TIMEOUT_MS)
            except SentoError as error:
                refused = error
            else:
                return
        if refused is not None:
            raise refused

    def _over(self, words: str) -> None:
        self._node.condition.ordering = None  # what it says of a lead to hand on is over
        self._runner.halt(NEXT_LIFE, words)


def start_vote_watch(
    node: NodeState,
    runner: Runner,
    order: OrderAccess,
    files: BootFiles,
    peers: Peers,
    joining: Joining | None,
) -> None:
    """Watch over the vote for as long as this life lasts, and remember the round trips that a member of this site starts with."""
    if node.config.ordering is not None:
        keeper = RoundTripKeeper(files.epoch_dir.parent, node.round_trips)
        runner.also_run(keeper.run(lambda: voting_others(node)), "keep-round-trips")
    runner.also_run(VoteWatch(node, runner, order, files, peers, joining).run(), "watch-vote")
