"""Opening an epoch: its first record is ordered, then the plan's further acts in their order, each standing before the next; what the plan lists is taken over
again, and only then does this site take anything else.

Every site of the plan may do all of it: the act is one record by its id, and so is each submission, so that doing it twice does nothing. The first of the
voting sites begins at once; the others wait for it and go on in its place after a while of no progress. What a site cannot offer, or what cannot stand any
more, is kept with its reason in `epoch-<n>.done`, for people.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import aclosing
from dataclasses import dataclass, field

import structlog

from sento_node.epochs.orphans import Readmitted
from sento_node.epochs.places import EpochPlaces
from sento_node.epochs.taking_over import taken_over
from sento_node.ledger.results import NOWHERE
from sento_node.ordering.port import OrderingError
from sento_node.runner import Runner
from sento_proto.epoch_plan import EpochPlan, act_bytes, act_of, acts_behind, bytes_behind, plan_hash
from sento_proto.errors import Code, SentoError

ACT_ALARM = "act-does-not-stand"
LOOK_AGAIN_MS = 50
TURN_MS = 3_000
"""A site that is not the first waits so long for progress before it offers what it has."""
_TRY_AGAIN = frozenset((Code.NO_ORDERING, Code.NOT_READY, Code.QUEUE_FULL, Code.ORDERING_FULL, Code.DISK_LOW))
_STANDS = frozenset((Code.ACCEPTED, Code.KNOWN))


class OtherPlanStands(OrderingError):
    """The epoch was begun by another plan than this site's. The text is one sentence of cause and one of remedy."""


@dataclass(slots=True)
class Report:
    """What became of the list: how many stand, and the others by their hashes with the reason."""

    stand: int = 0
    not_taken_over: dict[str, str] = field(default_factory=dict)

    def encode(self) -> bytes:
        """As JSON, for people and programs."""
        return (
            json.dumps({"stand": self.stand, "not_taken_over": self.not_taken_over}, indent=1).encode()
            + b"\n"
        )


class Opener:
    """One site's part in opening the epoch of `plan`."""

    def __init__(self, runner: Runner, places: EpochPlaces, plan: EpochPlan, site: str, first: str) -> None:
        self._runner = runner
        self._places = places
        self._plan = plan
        self._is_first = site == first
        self._log = structlog.get_logger("sento.node").bind(site=site)

    async def run(self) -> None:
        """Until everything was offered and ingress is open. Raises OtherPlanStands, LedgerFailed, OSError."""
        self._runner.site.opening = True
        await self._act_stands()
        await self._acts_behind_stand()
        report = Report()
        async with aclosing(taken_over(self._places.data_dir, self._plan)) as items:
            async for item in items:
                await self._take_over(item, report)
        if report.not_taken_over:
            words = f"{len(report.not_taken_over)} records of the plan's list could not be taken over; epoch-{self._plan.epoch:04d}.done names them."
            self._runner.condition.raise_alarm("not-taken-over", words)
        self._places.note_done(self._plan.epoch, report.encode())
        self._runner.site.opening = False
        self._log.warning("epoch open", epoch=self._plan.epoch, taken_over=report.stand)

    async def _act_stands(self) -> None:
        """Order the act, or see it ordered."""
        site, record_hash = self._runner.site, act_of(self._plan).record_hash
        data = act_bytes(self._plan)
        waited_ms = TURN_MS if self._is_first else 0
        while site.state.governance.epoch < self._plan.epoch:
            if self._runner.condition.takes_writes and waited_ms >= TURN_MS:
                await self._offer(data, "the act that begins the epoch")
            await asyncio.sleep(LOOK_AGAIN_MS / 1000)
            waited_ms += LOOK_AGAIN_MS
        begun = site.state.governance.epochs[-1]
        if begun.number == self._plan.epoch and begun.plan != plan_hash(self._plan):
            raise OtherPlanStands(
                f"Epoch {begun.number} was begun by plan {begun.plan.hex()[:16]} and this site was given plan {plan_hash(self._plan).hex()[:16]}. "
                "Ask the officers which one stands; this site takes no further part until it has that one."
            )
        self._log.info("epoch begun", epoch=begun.number, act=record_hash.hex()[:16])

    async def _acts_behind_stand(self) -> None:
        """Order the plan's further acts one behind the other, or see them ordered. One that may not stand keeps the epoch shut, and is an alarm: officers
        decided it together with the epoch, and what it revokes must not be used in between."""
        acts = acts_behind(self._plan)
        for number, (record, data) in enumerate(zip(acts, bytes_behind(self._plan), strict=True), 1):
            waited_ms = TURN_MS if self._is_first else 0
            while not self._stands(record.record_hash):
                if self._runner.condition.takes_writes and waited_ms >= TURN_MS:
                    self._judge_act(number, await self._offer(data, f"act {number} of the plan"))
                await asyncio.sleep(LOOK_AGAIN_MS / 1000)
                waited_ms += LOOK_AGAIN_MS
        if acts:
            self._runner.condition.end_alarm(ACT_ALARM)

    def _judge_act(self, number: int, code: Code | None) -> None:
        if code is None or code in _STANDS or code in _TRY_AGAIN:
            return
        words = f"Act {number} of the plan may not stand ({code.name}), and the epoch stays shut. Officers make and sign a plan with a higher number."
        self._runner.condition.raise_alarm(ACT_ALARM, words)

    async def _take_over(self, item: Readmitted, report: Report) -> None:
        """Offer a submission until it has outcomes; the others watch the first site for a while before they offer it themselves."""
        if not item.data:
            self._note(item, report, item.why)
            return
        if not self._is_first:
            await self._seen_standing(item)
        refusal = await self._refusal(item)
        while refusal in _TRY_AGAIN:
            await asyncio.sleep(LOOK_AGAIN_MS / 1000)
            refusal = await self._refusal(item)
        self._note(
            item, report, "" if refusal is None else f"It may not stand in this epoch: {refusal.name}."
        )

    async def _seen_standing(self, item: Readmitted) -> None:
        waited_ms = 0
        while waited_ms < TURN_MS and not all(self._stands(one) for one in item.hashes):
            await asyncio.sleep(LOOK_AGAIN_MS / 1000)
            waited_ms += LOOK_AGAIN_MS

    def _stands(self, record_hash: bytes) -> bool:
        return self._runner.store.position_of_hash(record_hash) is not None

    async def _refusal(self, item: Readmitted) -> Code | None:
        """Why the submission's listed records do not all stand, after it was offered; None when they do."""
        if all(self._stands(one) for one in item.hashes):
            return None
        if not self._runner.condition.takes_writes:
            return Code.NOT_READY
        try:
            reply = await self._runner.submit(item.data, opens=True)
        except SentoError as error:
            return error.code
        if reply.code is not None:
            return reply.code
        listed = set(item.hashes)
        refused = [
            one.code for one in reply.outcomes if one.record_hash in listed and one.code not in _STANDS
        ]
        return refused[0] if refused else None

    async def _offer(self, data: bytes, what: str) -> Code | None:
        """Offer an act once: what it came to; None where that is not known."""
        try:
            reply = await self._runner.submit(data, opens=True)
        except SentoError as error:
            self._log.info("an act is tried again", act=what, why=error.code.name)
            return None
        outcomes = [(one.code.name, one.position != NOWHERE) for one in reply.outcomes]
        code = None if reply.code is None else reply.code.name
        self._log.info("an act was ordered", act=what, code=code, outcomes=outcomes)
        return reply.outcomes[0].code if reply.outcomes else reply.code

    def _note(self, item: Readmitted, report: Report, why: str) -> None:
        if not why:
            report.stand += len(item.hashes)
            return
        report.not_taken_over.update({record_hash.hex(): why for record_hash in item.hashes})
