"""Erasure in two acts, delays of the read log and key agents, a second time: what each change does to dictionaries.

The code that it is compared with is not used.
"""

from __future__ import annotations

import re
from typing import Any

from tests.simulation.rulebook import ACCESS, CLEAR, Delay, Order, Rulebook, Scope

Json = dict[str, Any]
DOES = (
    "erase-subject",
    "carry-out-erasure",
    "withdraw-erasure",
    "delay-read-log",
    "release-read-log",
    "require-key-agent",
    "end-key-agent",
)
"""Changes that exist from the rules on that record releases."""


class Misfit(Exception):
    """The act does not fit: refused for good, with `waits` not yet."""

    def __init__(self, words: str, *, waits: bool = False) -> None:
        super().__init__(words)
        self.waits = waits


def need(holds: bool, words: str) -> None:
    """Raises Misfit."""
    if not holds:
        raise Misfit(words)


class ReadLogBook(Rulebook):
    """A rulebook that these changes can be done to."""

    __slots__ = ()

    def _do_erase(self, change: Json, at: int, window: int) -> None:
        records = change["records"]
        ordered = {
            one for order in self.orders.values() if order.state != "withdrawn" for one in order.records
        }
        need(bool(records) and len(set(records)) == len(records), "nothing, or twice")
        need(not ordered & set(records) and bool(change["legal_basis"].strip()), "ordered already")
        self.orders.setdefault(at, Order()).records |= set(records)

    def _do_erase_subject(self, change: Json, at: int, window: int) -> None:
        about = change["registry"], change["subject"]
        need(change["registry"] in self.registries and change["registry"] not in CLEAR, "no such registry")
        need(bool(change["legal_basis"].strip() and change["wait"].strip()), "no basis, or no wait")
        waiting = [one for one in self.orders.values() if one.state == "open" and about in one.subjects]
        need(not waiting, "ordered already")
        self.orders.setdefault(at, Order()).subjects.add(about)

    def _open_order(self, change: Json, at: int) -> Order:
        need(change["order"] >= 0, "number")
        order = self.orders.get(change["order"])
        if order is None or order.state != "open" or change["order"] == at:
            raise Misfit("no such order, or ended, or made by the same act")
        return order

    def _do_carry_out_erasure(self, change: Json, at: int, window: int) -> None:
        self._open_order(change, at).state = at

    def _do_withdraw_erasure(self, change: Json, at: int, window: int) -> None:
        self._open_order(change, at).state = "withdrawn"

    def _do_delay_read_log(self, change: Json, at: int, window: int) -> None:
        name, registries, cases = change["name"], change["registries"], change["cases"]
        need(re.fullmatch(r"[a-z0-9][a-z0-9-]{0,31}", name) is not None, "name")
        need(name not in self.delays, "a name is used once")
        need(bool(registries) and len(set(registries)) == len(registries), "registries")
        need(all(one in self.registries and one not in CLEAR for one in registries), "no such registry")
        need(bool(cases) and len(set(cases)) == len(cases), "cases")
        self.delays[name] = Delay(registries, bytes.fromhex(change["salt"]), cases)

    def _do_release_read_log(self, change: Json, at: int, window: int) -> None:
        delay = self.delays.get(change["name"])
        if delay is None or delay.released:
            raise Misfit("no such delay, or released")
        delay.released = True

    def _do_require_key_agent(self, change: Json, at: int, window: int) -> None:
        place: Scope = change["registry"], change["compartment"]
        need(place[0] in self.registries and place[0] not in CLEAR, "no such registry")
        need(place[1] not in (ACCESS, "*") and place not in self.agents, "not there, or there already")
        self.agents[place] = change["agent"]

    def _do_end_key_agent(self, change: Json, at: int, window: int) -> None:
        place: Scope = change["registry"], change["compartment"]
        need(place in self.agents, "no agent there")
        del self.agents[place]

    def _check_agents(self) -> None:
        for (registry, compartment), agent in self.agents.items():
            held = self.may_read.get(agent, [])
            need((registry, compartment) in held or (registry, "*") in held, "an agent that may not read")
