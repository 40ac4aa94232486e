"""Delivery: every record offered comes to exactly one end, whatever the sites do meanwhile.

The rules, all of them:

1. The same bytes are sent until every record in them has its end: a record keeps its id, so it stands once, however often and wherever it is sent.
2. STANDS and FINAL end a record, from whichever site they come and however late. FIX_CALL ends it when it answers the newest attempt.
3. NOT_YET: the same bytes again after a pause, until the record's deadline.
4. TRY_AGAIN, UNKNOWN, a broken stream, silence: the same bytes at another site, with pauses that double. Codes that speak of the site keep
   others away from it for a while; a site that says nothing for the answer timeout loses its stream.
5. A site's answer that does not fit what was sent (another count, another hash) counts as UNKNOWN: it proves nothing.
6. At its deadline a record ends with DEADLINE if any attempt was left without an answer, else with the last reason that it was told.
7. When a record is finally refused, those that follow it (`previous`) and the rest of their groups end too, and name it.
8. GROUP_REFUSED is as final as the member that caused it.

Pure: events in, effects out; no async, no clock, no chance of its own. Every public method takes the time and returns what to do, in order.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from sento_client.delivery_values import (
    NOT_KNOWN,
    Answer,
    Close,
    Effect,
    Entry,
    Meaning,
    Offer,
    Open,
    Send,
    SetTimer,
    Settings,
    Settle,
    meaning_of,
)
from sento_client.site_choice import SiteChoice
from sento_proto.errors import Code, Standing
from sento_proto.header import ZERO16, ZERO32

_ELSEWHERE = (Standing.TRY_AGAIN, Standing.UNKNOWN)
_MAY_CHANGE = (Standing.NOT_YET, *_ELSEWHERE)


@dataclass(slots=True)
class _Parcel:
    """One submission on its way. `open`: records without an end yet. With `site` it is in flight, else it waits until `not_before_ms`."""

    offer: Offer
    open: dict[int, Entry]
    deadline_ms: int
    site: str | None = None
    sent_ms: int = 0
    answer_by_ms: int = 0
    attempts: int = 0
    not_before_ms: int = 0
    avoid: str | None = None
    unanswered: bool = False
    told: dict[int, Code] = field(default_factory=dict)

    def next_event_ms(self) -> int:
        at_ms = self.answer_by_ms if self.site is not None else self.not_before_ms
        return min(at_ms, self.deadline_ms) if self.open else at_ms


CROWD = 4
"""As many submissions as a site has lanes by default. Beyond it a further small submission waits for its turn at the site anyway, and every submission
costs a signature here and a verification at every site: with 256 callers forty records share one where two did."""


class Delivery:
    """The core. `sites`: names, the first is the first choice. `jitter`: numbers in [0, 1) from outside."""

    def __init__(
        self, sites: Sequence[str], settings: Settings, jitter: Callable[[], float], now_ms: int
    ) -> None:
        self._settings = settings
        self._jitter = jitter
        self._sites = SiteChoice(sites, settings, jitter, now_ms)
        self._parcels: dict[int, _Parcel] = {}
        self._ready: list[int] = []
        self._times: list[tuple[int, int]] = []
        self._armed_ms: int | None = None
        self._followers: dict[bytes, set[tuple[int, int]]] = {}
        self._refused: dict[bytes, None] = {}
        self._effects: list[Effect] = []

    @property
    def busy(self) -> bool:
        """Whether any submission is on its way."""
        return bool(self._parcels)

    @property
    def crowded(self) -> bool:
        """Whether so many submissions are on their way that the next records do better to gather than to go alone."""
        return len(self._parcels) >= CROWD

    def start(self, now_ms: int) -> list[Effect]:
        """Begin: streams are opened."""
        return self._finish(now_ms)

    def offer(self, offer: Offer, now_ms: int) -> list[Effect]:
        """Take over a submission; each of its records will have exactly one `Settle`."""
        deadline_ms = min([entry.deadline_ms for entry in offer.records])
        self._parcels[offer.submission_id] = _Parcel(
            offer, dict(enumerate(offer.records)), deadline_ms, avoid=offer.avoid
        )
        for index, entry in enumerate(offer.records):
            if entry.previous != ZERO32:
                self._followers.setdefault(entry.previous, set()).add((offer.submission_id, index))
        if self._refused:
            for entry in offer.records:
                if entry.previous in self._refused:
                    self._fail_followers(entry.previous)
        heapq.heappush(self._times, (deadline_ms, offer.submission_id))
        heapq.heappush(self._ready, offer.submission_id)
        return self._finish(now_ms)

    def reply(
        self,
        site: str,
        submission_id: int,
        epoch: int,
        answers: Sequence[Answer],
        error: int,
        now_ms: int,
    ) -> list[Effect]:
        """A site answered a submission: one `Answer` for each record, or with `error` not 0 one code for them all."""
        self._sites.heard(site, now_ms)
        parcel = self._parcels.get(submission_id)
        if parcel is not None:
            newest = parcel.site == site
            if newest:
                self._take_back(parcel)
            meanings = _meanings(parcel, answers, error)
            self._judge(parcel, meanings, answers, site, epoch, newest)
            if newest:
                self._note_site(site, meanings, now_ms)
                self._again_or_done(parcel, site, meanings, now_ms)
        return self._finish(now_ms)

    def stream_up(self, site: str, now_ms: int) -> list[Effect]:
        """The stream to the site is open."""
        self._sites.opened(site)
        return self._finish(now_ms)

    def stream_down(self, site: str, code: Code, now_ms: int) -> list[Effect]:
        """The stream broke or did not open; `code` says why."""
        self._lose_site(site, code, now_ms)
        return self._finish(now_ms)

    def tick(self, now_ms: int) -> list[Effect]:
        """Time has passed."""
        self._armed_ms = None
        for site in self._sites.overdue(now_ms):
            self._effects.append(Close(site))
            self._lose_site(site, Code.UNREACHABLE, now_ms)
        while self._times and self._times[0][0] <= now_ms:
            parcel = self._parcels.get(heapq.heappop(self._times)[1])
            if parcel is not None:
                self._look_at(parcel, now_ms)
        return self._finish(now_ms)

    def abandon(self, now_ms: int) -> list[Effect]:
        """The client stops: every record comes to its end now, and the streams are closed."""
        for parcel in list(self._parcels.values()):
            for index in list(parcel.open):
                self._end_without_answer(parcel, index)
        self._parcels.clear()
        self._effects += [Close(site) for site in self._sites.not_closed]
        effects, self._effects = self._effects, []
        return effects

    # What time brings.

    def _look_at(self, parcel: _Parcel, now_ms: int) -> None:
        if parcel.deadline_ms <= now_ms:
            for index in [index for index, entry in parcel.open.items() if entry.deadline_ms <= now_ms]:
                self._end_without_answer(parcel, index)
            parcel.deadline_ms = min((entry.deadline_ms for entry in parcel.open.values()), default=now_ms)
        site = parcel.site
        if site is not None and parcel.answer_by_ms <= now_ms:
            if self._sites.silent_since(site, parcel.sent_ms):
                self._effects.append(Close(site))
                self._lose_site(site, Code.UNREACHABLE, now_ms)
            else:
                self._take_back(parcel)
                parcel.unanswered = True
                self._wait(parcel, site, now_ms, self._pause_ms(parcel))
            return
        if not parcel.open and site is None:
            self._parcels.pop(parcel.offer.submission_id, None)
        elif site is None and parcel.not_before_ms <= now_ms:
            heapq.heappush(self._ready, parcel.offer.submission_id)
            heapq.heappush(self._times, (parcel.deadline_ms, parcel.offer.submission_id))
        else:
            heapq.heappush(self._times, (parcel.next_event_ms(), parcel.offer.submission_id))

    def _end_without_answer(self, parcel: _Parcel, index: int) -> None:
        if parcel.unanswered or parcel.site is not None:
            self._settle(parcel, index, Code.DEADLINE, may_stand=True)
        elif index in parcel.told:
            self._settle(parcel, index, parcel.told[index])
        else:
            self._settle(parcel, index, Code.DEADLINE if self._sites.any_open else Code.UNREACHABLE)

    def _lose_site(self, site: str, code: Code, now_ms: int) -> None:
        """Everything in flight there goes elsewhere, after one pause for all, so that they keep their order."""
        if not self._sites.closed(site, code, now_ms):
            return
        lost = [parcel for parcel in self._parcels.values() if parcel.site == site]
        pause_ms = max(map(self._pause_ms, lost), default=0)
        for parcel in lost:
            self._take_back(parcel)
            parcel.unanswered = True
            self._wait(parcel, site, now_ms, pause_ms)
        refusal = self._sites.refused_by_all()
        if refusal is not None:
            self._end_all(refusal)

    def _end_all(self, code: Code) -> None:
        for parcel in list(self._parcels.values()):
            for index in list(parcel.open):
                self._settle(parcel, index, code, may_stand=parcel.unanswered)

    # What answers bring.

    def _judge(
        self,
        parcel: _Parcel,
        meanings: dict[int, Meaning],
        answers: Sequence[Answer],
        site: str,
        epoch: int,
        newest: bool,
    ) -> None:
        for index, (code, standing, _) in meanings.items():
            if standing is Standing.STANDS:
                self._settle(parcel, index, code, answers[index].position, epoch, site)
            elif standing is Standing.FINAL:
                entry = parcel.open.get(index)
                self._settle(parcel, index, code, site=site)
                if entry is not None:
                    self._refuse(entry.record_hash)
            elif standing is Standing.FIX_CALL:
                if newest:
                    self._settle(parcel, index, code, site=site, may_stand=parcel.unanswered)
            elif newest:
                parcel.told[index] = code
                parcel.unanswered = parcel.unanswered or standing is Standing.UNKNOWN

    def _note_site(self, site: str, meanings: dict[int, Meaning], now_ms: int) -> None:
        if any(meaning.about_site for meaning in meanings.values()):
            self._sites.troubled(site, now_ms)
        elif any(meaning.standing is Standing.STANDS for meaning in meanings.values()):
            self._sites.well(site)

    def _again_or_done(self, parcel: _Parcel, site: str, meanings: dict[int, Meaning], now_ms: int) -> None:
        if not parcel.open:
            self._parcels.pop(parcel.offer.submission_id, None)
            return
        elsewhere = any(meaning.standing in _ELSEWHERE for meaning in meanings.values())
        self._wait(parcel, site if elsewhere else None, now_ms, self._pause_ms(parcel))

    def _refuse(self, record_hash: bytes) -> None:
        """Remember a final refusal, and end what follows it."""
        self._refused[record_hash] = None
        if len(self._refused) > self._settings.refusals_remembered:
            del self._refused[next(iter(self._refused))]
        self._fail_followers(record_hash)

    def _fail_followers(self, record_hash: bytes) -> None:
        for submission_id, index in sorted(self._followers.get(record_hash, ())):
            parcel = self._parcels.get(submission_id)
            entry = parcel.open.get(index) if parcel is not None else None
            if parcel is None or entry is None:
                continue
            self._settle(parcel, index, Code.PREDECESSOR_MISSING, because=record_hash)
            fallen = [entry]
            for other, member in list(parcel.open.items()):
                if entry.group != ZERO16 and member.group == entry.group:
                    self._settle(parcel, other, Code.GROUP_REFUSED, because=record_hash)
                    fallen.append(member)
            for member in fallen:
                self._refuse(member.record_hash)

    # Moving parcels.

    def _settle(
        self,
        parcel: _Parcel,
        index: int,
        code: Code,
        position: int = 0,
        epoch: int = 0,
        site: str = "",
        *,
        may_stand: bool = False,
        because: bytes | None = None,
    ) -> None:
        entry = parcel.open.pop(index, None)
        if entry is None:
            return
        if entry.previous != ZERO32:
            followers = self._followers[entry.previous]
            followers.discard((parcel.offer.submission_id, index))
            if not followers:
                del self._followers[entry.previous]
        told = parcel.told.get(index)
        self._effects.append(
            Settle(parcel.offer.submission_id, index, code, position, epoch, site, may_stand, because, told)
        )
        if not parcel.open and parcel.site is None:
            self._parcels.pop(parcel.offer.submission_id, None)

    def _take_back(self, parcel: _Parcel) -> None:
        if parcel.site is not None:
            self._sites.returned(parcel.site)
            parcel.site = None

    def _pause_ms(self, parcel: _Parcel) -> int:
        return self._settings.backoff_ms(parcel.attempts, self._jitter())

    def _wait(self, parcel: _Parcel, avoid: str | None, now_ms: int, pause_ms: int) -> None:
        parcel.avoid = avoid
        parcel.not_before_ms = now_ms + pause_ms
        heapq.heappush(self._times, (parcel.next_event_ms(), parcel.offer.submission_id))

    def _finish(self, now_ms: int) -> list[Effect]:
        """Open what is due, send what can be sent, set the timer; hand over the effects."""
        self._effects += [Open(site) for site in self._sites.take_due_to_open(now_ms)]
        self._send_ready(now_ms)
        self._arm(now_ms)
        effects, self._effects = self._effects, []
        return effects

    def _send_ready(self, now_ms: int) -> None:
        while self._ready:
            parcel = self._parcels.get(self._ready[0])
            if parcel is None or parcel.site is not None:
                heapq.heappop(self._ready)
                continue
            site = self._sites.choose(now_ms, parcel.avoid)
            if site is None:
                return
            heapq.heappop(self._ready)
            self._send(parcel, site, now_ms)

    def _send(self, parcel: _Parcel, site: str, now_ms: int) -> None:
        parcel.site = site
        parcel.sent_ms = now_ms
        parcel.answer_by_ms = now_ms + self._settings.answer_timeout_ms
        parcel.attempts += 1
        self._sites.sent(site)
        heapq.heappush(self._times, (parcel.answer_by_ms, parcel.offer.submission_id))
        self._effects.append(Send(site, parcel.offer.submission_id, parcel.offer.data))

    def _arm(self, now_ms: int) -> None:
        times = [self._times[0][0]] if self._times else []
        site_ms = self._sites.next_event_ms(now_ms)
        if site_ms is not None:
            times.append(site_ms)
        if times and min(times) != self._armed_ms:
            self._armed_ms = min(times)
            self._effects.append(SetTimer(self._armed_ms))


def _meanings(parcel: _Parcel, answers: Sequence[Answer], error: int) -> dict[int, Meaning]:
    """What the answer means for each record that has no end yet, by index."""
    if error or len(answers) != len(parcel.offer.records):
        meaning = meaning_of(error)
        if meaning.standing is Standing.STANDS:
            meaning = NOT_KNOWN
        return dict.fromkeys(parcel.open, meaning)
    meanings: dict[int, Meaning] = {}
    fallen = False
    for index, entry in parcel.open.items():
        answer = answers[index]
        meaning = meaning_of(answer.code)
        if meaning.standing is Standing.STANDS and answer.record_hash != entry.record_hash:
            meaning = NOT_KNOWN
        fallen = fallen or meaning.code is Code.GROUP_REFUSED
        meanings[index] = meaning
    if fallen:
        _explain_groups(parcel, meanings)
    return meanings


def _explain_groups(parcel: _Parcel, meanings: dict[int, Meaning]) -> None:
    """A group that fell because of a member that may stand later may stand later, too."""
    causes: dict[bytes, list[Meaning]] = {}
    for index, meaning in meanings.items():
        if meaning.code is not Code.GROUP_REFUSED:
            causes.setdefault(parcel.open[index].group, []).append(meaning)
    for index, meaning in meanings.items():
        if meaning.code is Code.GROUP_REFUSED:
            found = causes.get(parcel.open[index].group, [])
            waiting = [cause for cause in found if cause.standing in _MAY_CHANGE]
            if waiting and all(cause.standing is not Standing.FINAL for cause in found):
                meanings[index] = waiting[0]
