"""What officers decide from rules 4 on: erasures ordered, carried out and withdrawn, read logs delayed and released, keys left to agents.

Some of it does not fit: an order that is there already, the end of one that ended, a name used twice, an agent that reads nothing. Now and then it is decided
under older rules, which know nothing of it.
"""

from __future__ import annotations

from collections.abc import Callable

from tests.simulation.acts_desk import ActsDesk
from tests.simulation.heap import EventHeap
from tests.simulation.people import Change
from tests.simulation.reference import Facts

from sento_client.testing.world import Numbers
from sento_proto.governance.state import Governance, delayed_case
from sento_proto.record import Record

PLACES = [("residency", ""), ("tax", ""), ("health", "ward"), ("health", "clinic")]
CASES = ("2026-1", "2026-2", "2026-3")
FROM_RULES = 4


class ReadLogDesk:
    """Makes these changes for one world; `facts` gives records and subjects that stand."""

    def __init__(self, heap: EventHeap, desk: ActsDesk, facts: Callable[[], Facts]) -> None:
        self._heap = heap
        self._desk = desk
        self._facts = facts
        self._numbers = Numbers(heap.between(0, 1 << 40))
        self.kinds: list[tuple[Callable[[Governance], list[Change]], int]] = [
            (self._early(self.order_subject), 30),
            (self._early(self._order_records), 18),
            (self._early(self.carry_out), 40),
            (self._early(self._withdraw), 20),
            (self._early(self._delay), 24),
            (self._early(self._release), 10),
            (self._early(self._agent), 18),
            (self._early(self._no_agent), 6),
            (self._early(self._agent_goes), 8),
            (desk.site, 16),
            (self._whole_registry, 12),
        ]

    def _early(self, make: Callable[[Governance], list[Change]]) -> Callable[[Governance], list[Change]]:
        """Under rules that do not know it, seldom."""
        return lambda governance: (
            make(governance) if governance.rules >= FROM_RULES or self._heap.chance(0.1) else []
        )

    # -- erasure ------------------------------------------------------------------------------------------------------------

    def a_subject(self) -> tuple[str, bytes] | None:
        """Somebody whom records are about, and where."""
        known = sorted(self._facts().links)
        known = [(registry, subject) for registry, subject in known if registry not in ("governance", "keys")]
        return self._heap.one_of(known) if known else None

    def order_subject(self, governance: Governance) -> list[Change]:
        """Everything about a subject."""
        about = self.a_subject()
        if about is None:
            return []
        if about in governance.subject_erasures and self._heap.chance(0.6):
            return []
        wait = " " if self._heap.chance(0.05) else "30 days"
        registry = "keys" if self._heap.chance(0.03) else about[0]
        return [
            {"do": "erase-subject", "registry": registry, "subject": about[1].hex(), "legal_basis": "by law", "wait": wait}
        ]  # fmt: skip

    def _order_records(self, governance: Governance) -> list[Change]:
        stands = self._facts().stands
        if not stands:
            return []
        hashes = {self._heap.one_of(stands).record.record_hash.hex() for _ in range(self._heap.between(1, 3))}
        order: Change = {"do": "erase", "records": sorted(hashes), "legal_basis": "by law"}
        return [order, *self.order_subject(governance)] if self._heap.chance(0.3) else [order]

    def _an_order(self, governance: Governance) -> int | None:
        """One that waits, mostly."""
        orders = list(governance.erasure_orders.values())
        waiting = [one for one in orders if one.carried_out_at is None and one.withdrawn_at is None]
        if orders and self._heap.chance(0.25):
            return self._heap.one_of(orders).position
        if self._heap.chance(0.05):
            return self._heap.between(0, 60)
        return self._heap.one_of(waiting).position if waiting else None

    def carry_out(self, governance: Governance) -> list[Change]:
        """The waiting period is over; and sometimes all begins anew in the same act."""
        order = self._an_order(governance)
        if order is None:
            return []
        change: Change = {"do": "carry-out-erasure", "order": order}
        return [change, *self.order_subject(governance)] if self._heap.chance(0.15) else [change]

    def _withdraw(self, governance: Governance) -> list[Change]:
        """One that waits, or one that was carried out long ago."""
        done = [at for at, one in governance.erasure_orders.items() if one.carried_out_at is not None]
        order = self._heap.one_of(done) if done and self._heap.chance(0.4) else self._an_order(governance)
        return [] if order is None else [{"do": "withdraw-erasure", "order": order}]

    # -- delays and agents --------------------------------------------------------------------------------------------------

    def _delay(self, governance: Governance) -> list[Change]:
        number = len(governance.read_log_delays)
        name = f"inv-{max(0, number - 1) if self._heap.chance(0.1) else number}"
        salt = self._numbers.take(16)
        registries = self._heap.random.sample(["residency", "tax", "health"], self._heap.between(1, 2))
        cases = [delayed_case(salt, case).hex() for case in CASES if self._heap.chance(0.6)]
        return [
            {"do": "delay-read-log", "name": name, "registries": registries, "salt": salt.hex(), "cases": cases}
        ]  # fmt: skip

    def _release(self, governance: Governance) -> list[Change]:
        names = sorted(governance.read_log_delays) or (["inv-0"] if self._heap.chance(0.1) else [])
        return [{"do": "release-read-log", "name": self._heap.one_of(names)}] if names else []

    def _agent(self, governance: Governance) -> list[Change]:
        """A reader of that place, mostly; with the permission in the same act where it is missing."""
        if not governance.readers:
            return []
        registry, compartment = self._heap.one_of(PLACES)
        agent = self._heap.one_of(sorted(governance.readers))
        change: Change = {
            "do": "require-key-agent",
            "registry": registry,
            "compartment": compartment,
            "agent": agent,
        }
        if governance.may_read(agent, registry, compartment) or self._heap.chance(0.15):
            return [change]
        scopes = [{"registry": registry, "compartment": compartment}]
        return [change, {"do": "permit", "institution": agent, "may": "read", "scopes": scopes}]

    def _no_agent(self, governance: Governance) -> list[Change]:
        places = sorted(governance.key_agents) or PLACES[:1]
        registry, compartment = self._heap.one_of(places)
        return [{"do": "end-key-agent", "registry": registry, "compartment": compartment}]

    def _agent_goes(self, governance: Governance) -> list[Change]:
        """An agent is revoked; forgotten now and then that its compartment is left to it."""
        for (registry, compartment), agent in sorted(governance.key_agents.items()):
            registries = sorted({scope.registry for scope in governance.readable(agent)})
            changes: list[Change] = [{"do": "revoke-reader", "name": agent}]
            changes += [
                {"do": "start-key-epoch", "registry": one, "key_epoch": governance.registries[one].key_epoch + 1, "previous": "accepted"}
                for one in registries
            ]  # fmt: skip
            end: Change = {"do": "end-key-agent", "registry": registry, "compartment": compartment}
            return changes if self._heap.chance(0.4) else [end, *changes]
        return []

    def _whole_registry(self, governance: Governance) -> list[Change]:
        """An author may write every compartment of health, but for the one that is the sites' own."""
        author = self._heap.one_of(["iizuka-hospital", "kaga-clinic"])
        if governance.may_write(author, "health", "any"):
            return []
        scopes = [{"registry": "health", "compartment": "*"}]
        return [{"do": "permit", "institution": author, "may": "write", "scopes": scopes}]

    # -- what must not be ---------------------------------------------------------------------------------------------------

    def _signed(self, governance: Governance, record: Record) -> bytes:
        return self._desk.sign(governance, record, self._desk.signers(governance))

    def at_once(self, governance: Governance) -> list[bytes]:
        """Acts that each order an erasure and, guessing their own position, end it."""
        order: Change = {
            "do": "erase",
            "records": [self._numbers.take(32).hex()],
            "legal_basis": "by nobody's",
        }
        end = self._heap.one_of(["carry-out-erasure", "withdraw-erasure"])
        size = len(self._facts().stands)
        return [
            self._signed(governance, self._desk.record(governance, [order, {"do": end, "order": at}]))
            for at in range(size, size + 6)
        ]

    def carried_out_and_withdrawn(self, governance: Governance) -> list[bytes]:
        """Two acts that end one order, each behind the other."""
        order = self._an_order(governance)
        if order is None:
            return []
        ends = ["carry-out-erasure", "withdraw-erasure"]
        self._heap.random.shuffle(ends)
        first = self._desk.record(governance, [{"do": ends[0], "order": order}])
        again: Change = {"do": ends[1] if self._heap.chance(0.7) else ends[0], "order": order}
        second = self._desk.record(governance, [again], previous=first.record_hash)
        return [self._signed(governance, first), self._signed(governance, second)]
