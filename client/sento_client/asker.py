"""The shell around a question: asks site after site as the plan says, until an answer is taken.

The caller's `accept` decides whether an answer is to be believed; one that is not counts as that site's failure.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import NamedTuple, TypeVar

from sento_client.asking import AskPlan, AskSettings, GiveUp, Pause
from sento_client.composing import Ports
from sento_client.results import Freshness
from sento_client.transport import Method, ReplyT, RequestT, Transport
from sento_client.verifying import Finding, Verdict
from sento_proto.errors import Code, SentoError

AnswerT = TypeVar("AnswerT")
FOLLOW_SILENCE_MS = 30_000
"""A stream that follows is opened anew, elsewhere if there is elsewhere, after so long without a word: a connection that broke unheard looks like quiet."""


class Terms(NamedTuple):
    """Under which terms a question is asked. `site`: only this one; None: whichever answers."""

    purpose: str
    case_number: str
    freshness: Freshness = Freshness.LINEARIZABLE
    header_only: bool = False
    timeout_ms: int = 10_000
    site: str | None = None


class Asker:
    """Questions at the sites of a transport."""

    def __init__(
        self,
        transport: Transport,
        ports: Ports,
        settings: AskSettings | None = None,
        news: Callable[[str], Awaitable[bool]] | None = None,
    ) -> None:
        """`news`: asks a site whose answer does not verify whether governance changed; whether it did."""
        self._news = news
        self._transport = transport
        self._ports = ports
        self._settings = settings or AskSettings()
        self._first = 0

    @property
    def now_ms(self) -> int:
        """Steady time, as deadlines are measured in."""
        return self._ports.steady_ms()

    def stream(
        self, site: str, method: Method[RequestT, ReplyT], request: RequestT, *, endless: bool
    ) -> AsyncIterator[ReplyT]:
        """Answers of one site; a long silence is a failure, or with `endless` a very long one: nothing may have happened, or the site may be gone."""
        silence_ms = FOLLOW_SILENCE_MS if endless else self._settings.try_timeout_ms
        return self._transport.stream(site, method, request, silence_ms)

    def plan(
        self, terms: Terms, ask_again: frozenset[Code] = frozenset(), avoid: str | None = None
    ) -> AskPlan:
        """A plan for one question: the site that answered last is asked first. Raises SentoError BAD_REQUEST for a site that is not configured."""
        sites = self._transport.sites
        if terms.site is not None:
            if terms.site not in sites:
                raise SentoError(Code.BAD_REQUEST, f"{terms.site} is not a site of the configuration")
            sites = (terms.site,)
        else:
            sites = sites[self._first :] + sites[: self._first]
            sites = tuple(sorted(sites, key=lambda site: site == avoid))
        deadline_ms = self._ports.steady_ms() + terms.timeout_ms
        return AskPlan(sites, deadline_ms, self._settings, self._ports.jitter, ask_again)

    async def next_site(self, plan: AskPlan) -> str:
        """The next site to ask, after a pause if the plan says so. Raises the plan's SentoError when it gives up."""
        step = plan.next(self._ports.steady_ms())
        while isinstance(step, Pause):
            await asyncio.sleep(step.pause_ms / 1000)
            step = plan.next(self._ports.steady_ms())
        if isinstance(step, GiveUp):
            raise step.error
        return step.site

    async def ask(
        self,
        method: Method[RequestT, ReplyT],
        request: RequestT,
        accept: Callable[[str, ReplyT], AnswerT],
        terms: Terms,
        ask_again: frozenset[Code] = frozenset(),
        avoid: str | None = None,
    ) -> AnswerT:
        """Ask site after site until `accept` takes an answer; it raises SentoError for one that is not to be believed."""
        plan = self.plan(terms, ask_again, avoid)
        while True:
            step = plan.next(self._ports.steady_ms())
            if isinstance(step, GiveUp):
                raise step.error
            if isinstance(step, Pause):
                await asyncio.sleep(step.pause_ms / 1000)
                continue
            try:
                reply = await self._transport.call(step.site, method, request, step.timeout_ms)
                answer = await self.taken(step.site, reply, accept)
            except SentoError as error:
                plan.failed(error)
                self._turn_from(step.site, error.code)
                continue
            if terms.site is None and avoid is None:
                self._first = self._transport.sites.index(step.site)
            return answer

    def _turn_from(self, site: str, code: Code) -> None:
        """A site that is silent takes a whole share of a question's time: the next question begins with another, or no short one would come past it."""
        sites = self._transport.sites
        if code in (Code.UNREACHABLE, Code.DEADLINE) and sites[self._first] == site:
            self._first = (self._first + 1) % len(sites)

    async def taken(self, site: str, reply: ReplyT, accept: Callable[[str, ReplyT], AnswerT]) -> AnswerT:
        """What `accept` makes of a site's answer; asked once more when it did not verify and there is news of governance. Raises SentoError."""
        try:
            return accept(site, reply)
        except SentoError as error:
            if error.code is not Code.DAMAGED or self._news is None or not await self._news(site):
                raise
        return accept(site, reply)


def must_hold(site: str, finding: Finding) -> Finding:
    """The finding, if it holds. Raises SentoError DAMAGED: the site's answer is not to be believed."""
    if finding.verdict is not Verdict.HOLDS:
        raise damaged(site, finding.why)
    return finding


def damaged(site: str, why: str) -> SentoError:
    """What a site's answer that does not verify is called."""
    return SentoError(Code.DAMAGED, f"{site}: {why}")
