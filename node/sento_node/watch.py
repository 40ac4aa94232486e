"""Watching the ordering log's head and the disk: from what they say, whether this site is current, takes part, and takes new records.

Twice a second: is there a majority, how far is the order, who leads, who votes, is the log or the disk nearly full. Nothing here orders, applies or
flushes; the answers go into the node's `Condition` and the site's ingress, and a stalled stream of blocks is reported to whoever follows it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

import structlog

from sento_node.clock import Clock
from sento_node.condition import Condition
from sento_node.ledger.disk_guard import judge
from sento_node.ledger.store import LedgerStore
from sento_node.ordering.port import Head, OrderingError, OrderingLog, OrderingMember
from sento_node.site import Site
from sento_proto.errors import Code

HEAD_EVERY_MS = 500
HEAD_TIMEOUT_MS = 1_500
STALLED_MS = 3_000
"""The log's head is ahead and no block has come for so long: a stream that is silent is not a stream that is current."""
MEMBERS_ALARM = "ordering-members"
MOVING_MS = 60_000
"""So long a site may take to follow an act that gives it a vote or ends it, before its member is an alarm."""
NEAR_BLOCKS = 64
"""A site this close behind the head counts as taking part."""


class TwoOrders(Exception):
    """This site and the ordering log count the same revision as different blocks. The text is one sentence of cause and one of remedy."""


class Watch:
    """One life's watching. `on_stalled` is called when blocks are known to be there and do not come."""

    def __init__(
        self,
        site: Site,
        store: LedgerStore,
        log: OrderingLog,
        clock: Clock,
        condition: Condition,
        on_stalled: Callable[[], None],
    ) -> None:
        self._site = site
        self._store = store
        self._log = log
        self._clock = clock
        self._condition = condition
        self._on_stalled = on_stalled
        self._progress = (site.state.block, clock.now_ms())
        self._to_confirm: tuple[int, int] | None = None
        self._voting = site.state.governance.voting_sites
        self._moved_ms: dict[str, int] = {}
        """Site -> when its vote was given or ended in this life, by the clock that never goes back."""
        self._log_lines = structlog.get_logger("sento.node")

    async def run(self) -> None:
        """Look for ever. Raises TwoOrders."""
        while True:
            await self.look()
            await asyncio.sleep(HEAD_EVERY_MS / 1000)

    async def look(self) -> None:
        """Look once. Raises TwoOrders."""
        with contextlib.suppress(OrderingError):
            self._condition.ordering = await self._log.status(timeout_ms=HEAD_TIMEOUT_MS)
            self._site.checkpoints.is_lead = self._condition.ordering.is_lead
            self._judge_members(self._condition.ordering.members)
        asked_at_ms = self._clock.wall_ms()
        try:
            head = await self._log.head(timeout_ms=HEAD_TIMEOUT_MS)
        except OrderingError as error:
            self._no_majority(str(error))
        else:
            self._majority(head, asked_at_ms)
        self._judge_ingress()

    def flushed(self) -> None:
        """The flushed ledger grew: does it hold everything that a majority had ordered when it was last asked?"""
        if self._to_confirm is not None and self._site.flushed_head.revision >= self._to_confirm[0]:
            self._condition.confirmed_at_ms = self._to_confirm[1]
            self._to_confirm = None

    def _no_majority(self, why: str) -> None:
        if self._condition.state == "serving":
            self._condition.state = "no-majority"
            self._condition.explanation = (
                "The ordering log has no majority that answers here; writes wait, LOCAL reads are served with their age. "
                "Look at the links to the other sites, and start those that are down."
            )
            self._log_lines.warning("no majority", why=why[:200])

    def _majority(self, head: Head, asked_at_ms: int) -> None:
        state, condition = self._site.state, self._condition
        condition.head_number = max(head.number, state.block)
        condition.lag.heard(head.number, state.block, self._clock.now_ms())
        if state.revision == head.revision and state.block != head.number:
            raise TwoOrders(
                f"This site counts {state.block} blocks and the ordering log {head.number}; the two disagree. "
                "Run `sento-node verify`, and compare this site's epoch and genesis file with the others'."
            )
        if self._to_confirm is None:
            self._to_confirm = (head.revision, asked_at_ms)
        self.flushed()
        self._watch_progress(head)
        if (
            condition.state in ("catching-up", "no-majority", "starting")
            and head.number - state.block <= NEAR_BLOCKS
        ):
            condition.state, condition.explanation = "serving", "The site takes part and answers."
            self._site.current_since_ms = self._clock.now_ms()
            self._log_lines.info("serving", block=state.block, size=state.size)

    def _watch_progress(self, head: Head) -> None:
        state, now_ms = self._site.state, self._clock.now_ms()
        if state.revision >= head.revision or state.block != self._progress[0]:
            self._progress = (state.block, now_ms)
        elif now_ms - self._progress[1] > STALLED_MS:
            self._progress = (state.block, now_ms)
            self._on_stalled()

    def _judge_members(self, members: Sequence[OrderingMember]) -> None:
        """An alarm while others vote than the ledger says; whoever runs a member can change that, and no signature shows who did."""
        voting, now_ms = self._site.state.governance.voting_sites, self._clock.now_ms()
        for site in set(voting).symmetric_difference(self._voting):
            self._moved_ms[site] = now_ms
        self._voting = voting
        moving = {site for site, at_ms in self._moved_ms.items() if now_ms - at_ms < MOVING_MS}
        words = members_in_words(
            [member for member in members if member.site not in moving],
            [site for site in voting if site not in moving],
        )
        if words:
            self._condition.raise_alarm(MEMBERS_ALARM, words)
        else:
            self._condition.end_alarm(MEMBERS_ALARM)

    def _judge_ingress(self) -> None:
        """Close ingress before the disk or the ordering log is full; open it again by itself."""
        closed: Code | None = None
        was_open = "disk-low" not in self._condition.alarms
        verdict = judge(self._store.space(), was_open=was_open)
        if not verdict.open:
            closed = Code.DISK_LOW
            self._condition.alarms["disk-low"] = verdict.words
        else:
            self._condition.alarms.pop("disk-low", None)
        status = self._condition.ordering
        if status is not None and 2 * status.in_use_bytes > status.quota_bytes > 0:
            closed = Code.ORDERING_FULL
        if closed is not self._site.ingress_closed:
            self._log_lines.warning("ingress", closed=closed.name if closed else "open again")
        self._site.ingress_closed = closed
        if status is not None and status.alarms:
            self._condition.raise_alarm(
                "ordering-alarm",
                f"The ordering log raised {', '.join(status.alarms)}. See the log of this site's ordering member.",
            )


def members_in_words(members: Sequence[OrderingMember], voting_sites: Iterable[str]) -> str:
    """How the members that vote differ from the sites that the ledger lets vote; empty where they do not, or where a member without a vote knows no list."""
    if not members:
        return ""
    voting, expected = Counter(member.site for member in members if member.votes), Counter(voting_sites)
    missing, strange = sorted(expected - voting), sorted(voting - expected)
    if not missing and not strange:
        return ""
    what = [f"{site} does not vote" for site in missing]
    what += [f"a member named {site or '(nothing)'} votes" for site in strange]
    return (
        f"The ordering log has other members than the ledger's voting sites: {', '.join(what)}. "
        "See what the site says of itself; if no signed act says so, find out whose member changed that (runbook: ordering-members)."
    )
