"""A world to relocate in, without sites: officers' acts are followed and judged as clients judge them, and members come and go as nodes would make them.

Each look is half a second. A site that has a vote becomes a learner while all that vote are up, copies, and is promoted; one whose vote ended leaves once all
that may vote do. What a test arranges to go wrong stays so until it says otherwise; what was done stays done, so that whoever begins anew meets it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from genesis_builder import OFFICERS, TestWorld, build_genesis
from governed import Chancellery, followed
from sento_client.composing import Ports
from sento_client.governing.following import Followed
from sento_client.relocating.making import Wishes, make_plan
from sento_client.verifying import Stored
from sento_proto.errors import Code, SentoError
from sento_proto.record_object import SubmissionPath
from sento_proto.relocation_plan import RelocationPlan, Step, Target, act_of, signed_plan
from sento_proto.v1 import admin_pb2

HOME = ("jp-fukuoka", "jp-ishikawa", "jp-ibaraki")
TARGET, OLD = "lu-betzdorf", "jp-fukuoka"
LOOK_MS = 500
NOW_MS = 1_800_000_000_000
COUNTRY = "majority-country:JP"


class Killed(BaseException):
    """The operator's computer loses power."""


@dataclass(slots=True)
class FakeSite:
    """`member`: whether it votes (False: a learner, None: no member). `up`: it runs and is reached; `promotes`, `leaves`: as a healthy node does."""

    size: int
    member: bool | None
    up: bool = True
    awaited: int = 0
    copies_a_look: int = 190
    promotes: bool = True
    leaves: bool = True


@dataclass(slots=True)
class FakeWorld:
    """A `World`. `dies_before`, `dies_after`: at which call, counted from 0, the operator's computer dies, before or after the call had its effect."""

    world: TestWorld
    sites: dict[str, FakeSite]
    chancellery: Chancellery
    given: list[Stored] = field(default_factory=list)
    lead: str = OLD
    head: int = 1_000
    grows: int = 100
    steady_ms: int = 0
    calls: list[str] = field(default_factory=list)
    dies_before: int | None = None
    dies_after: int | None = None
    known: Followed | None = None
    refuses_removal: Callable[[], bool] = lambda: False

    @property
    def followed(self) -> Followed:
        """What a client follows."""
        if self.known is None or len(self.known.steps) != len(self.given):
            self.known = followed(self.world, *self.given)
        return self.known

    def ports(self) -> Ports:
        """This world's clocks."""
        return Ports(wall_ms=lambda: NOW_MS + self.steady_ms, steady_ms=lambda: self.steady_ms)

    async def follow(self) -> Followed:
        """One look later."""
        self.pass_time()
        return self.followed

    async def statuses(self) -> Mapping[str, admin_pb2.StatusReply]:
        """Of those that are up."""
        return {name: self._status(name) for name, site in self.sites.items() if site.up}

    async def submit(self, plan: RelocationPlan, step: Step) -> None:
        """Order an act, once."""

        def effect() -> None:
            record = act_of(plan, step)
            if any(stored.record_hash == record.record_hash for stored in self.given):
                return
            if record.header.previous != self.followed.governance.last_act:
                raise SentoError(Code.STALE)
            path = SubmissionPath(bytes(16), 1, 0, (), (), plan.signed(step), plan.epoch)
            stored = Stored(
                self.followed.position + 1, record.header_bytes, b"", record.payload_hash, record.record_hash, b"", None, False, path,
            )  # fmt: skip
            followed(self.world, *self.given, stored)
            self.given.append(stored)
            self.chancellery.previous = record.record_hash

        self._call(f"submit {step}", effect)

    async def hand_over_lead(self, from_site: str, to_site: str) -> None:
        """The lead goes where it is told, if that one votes."""

        def effect() -> None:
            if from_site != self.lead or not self.sites[to_site].member:
                raise SentoError(Code.NO_ORDERING)
            self.lead = to_site

        self._call(f"lead {to_site}", effect)

    async def remove_member(self, by_site: str, site: str) -> None:
        """As the sites' own rule has it: only who has no vote any more."""

        def effect() -> None:
            if self.followed.governance.sites[site].votes or self.refuses_removal():
                raise SentoError(Code.MEMBER_NOT_CHANGED, "it is connected")
            self.sites[site].member = None

        self._call(f"remove {site}", effect)

    def other_act(self, *changes: Mapping[str, object]) -> None:
        """Officers decide something else."""
        self.given.append(self.chancellery.act(self.followed.position + 1, *changes))

    def pass_time(self) -> None:
        """Half a second at every site."""
        self.steady_ms += LOOK_MS
        self.head += self.grows
        governance = self.followed.governance
        voting = [name for name, site in self.sites.items() if site.member]
        at_work = sum(self.sites[name].up for name in voting) > len(voting) // 2
        all_up = all(self.sites[name].up for name in voting)
        complete = all(self.sites[name].member for name in governance.voting_sites)
        for name, site in self.sites.items():
            if not site.up:
                continue
            behind = self.head - site.size
            site.size = self.head if site.member else site.size + min(behind, site.copies_a_look)
            if not at_work:
                continue
            if governance.sites[name].votes and (site.member is not None or all_up):
                copied = site.size >= self.head - self.grows
                site.member = bool(site.member) or (site.member is False and site.promotes and copied)
            elif not governance.sites[name].votes and site.leaves and complete:
                site.member = None
        if at_work and not (self.sites[self.lead].up and self.sites[self.lead].member):
            self.lead = next(name for name, site in self.sites.items() if site.up and site.member)

    def _call(self, name: str, effect: Callable[[], None]) -> None:
        number = len(self.calls)
        self.calls.append(name)
        if number == self.dies_before:
            raise Killed
        effect()
        if number == self.dies_after:
            raise Killed

    def _status(self, name: str) -> admin_pb2.StatusReply:
        site = self.sites[name]
        status = admin_pb2.StatusReply(
            site=name,
            ledger_id=self.world.ledger_id,
            state="serving",
            applied_size=site.size,
            flushed_size=site.size,
            payloads_awaited=site.awaited,
            lead_site=self.lead,
            is_lead=name == self.lead,
            election_ms=1_000,
        )
        for other, one in self.sites.items():
            if other != name:
                status.peers.add(site=other, reachable=one.up, size=one.size, round_trip_us=5_000)
            if one.member is not None and site.member:
                status.ordering_members.add(site=other, votes=one.member, is_lead=other == self.lead)
        if site.member and all(member.site != name for member in status.ordering_members):
            status.ordering_members.add(site=name, votes=True, is_lead=name == self.lead)
        return status


def fake_world() -> FakeWorld:
    """Three sites that vote and an embassy that has announced its rules and lags."""
    world = build_genesis(rules=5, embassies=(TARGET,), deputies={OFFICERS[0]: "deputy-one"})
    chancellery = Chancellery(world)
    given = [chancellery.announcement(0, TARGET, 5), chancellery.announcement(1, OLD, 5)]
    sites = {name: FakeSite(1_000, True) for name in HOME} | {TARGET: FakeSite(0, None)}
    return FakeWorld(world, sites, chancellery, given)


def wishes(**fields: object) -> Wishes:
    """From the old capital to the embassy."""
    given: dict[str, object] = {
        "targets": (Target(TARGET, "lu.example:7101", "https://lu.example:7102"),),
        "retire": (OLD,),
        "legal_basis": "decision 7",
        "registries": ("residency", "health", "tax"),
        "accepts": (COUNTRY,),
    }
    return Wishes(**(given | fields))  # type: ignore[arg-type]


def plan_of(fake: FakeWorld, *officers: str, **fields: object) -> RelocationPlan:
    """The plan as governance is now, signed by these (two, if none is named)."""
    plan = make_plan(fake.followed.governance, 0, wishes(**fields), NOW_MS)
    return signed_by(fake, plan, *(officers or OFFICERS[:2]))


def signed_by(fake: FakeWorld, plan: RelocationPlan, *officers: str) -> RelocationPlan:
    """With these officers' signatures."""
    for officer in officers:
        plan = signed_plan(plan, fake.world.officer_signers[officer])
    return plan
