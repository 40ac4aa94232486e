"""A capital that is evacuated in time, in a simulated world: a site gets a vote and another one gives its own up, under load, one step after the other.

Steps are derived from what can be seen, governance and members, and from nothing that an operator remembers: whoever goes on at another computer does the next
one. Officers' acts say who votes and whose cosignatures count; a learner has everything before it votes, and a lead is handed on before its member leaves.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from tests.simulation.moving_site import MovingSite
from tests.simulation.people import Change

from sento_proto.governance.state import Governance

if TYPE_CHECKING:
    from tests.simulation.moving import MovingWorld
    from tests.simulation.moving_story import Story

STEP_MS = (40, 500)


class Relocation:
    """One relocation within the newest epoch."""

    def __init__(self, world: MovingWorld, story: Story) -> None:
        self._world = world
        self._story = story
        self._epoch = world.epochs[-1]

    def tell(self) -> Iterator[int]:
        """Every step, again until it is seen to be done."""
        heap, world = self._world.heap, self._world
        voters = self._epoch.ordering.voters
        targets = [host.name for host in world.at_home() if host.name not in voters and not host.is_gone]
        if not targets:
            return
        target, retired = world.hosts[heap.one_of(targets)], world.hosts[heap.one_of(voters)]
        heap.fault("relocation", f"{retired.name} to {target.name}")
        self._story.waits_for = f"{target.name} to take over from {retired.name}"
        acted_ms = 0
        while (step := self._next(target, retired)) != "done":
            if step in ("give", "retire") and heap.now_ms >= acted_ms:
                acted_ms = heap.now_ms + 1_500
                self._act(step, target.name, retired.name)
            elif step not in ("give", "retire"):
                self._do(step, target, retired)
            yield heap.between(*STEP_MS)
        heap.fault("relocated", f"{retired.name} to {target.name}")

    def _sees(self) -> Governance | None:
        """What the newest of the sites says."""
        able = [host for host in self._world.at_home() if host.state == "running" and host.serving]
        if not able:
            return None
        return max(able, key=lambda host: host.site.state.block).site.state.governance

    def _next(self, target: MovingSite, retired: MovingSite) -> str:
        governance = self._sees()
        if governance is None:
            return "wait"
        ordering = self._epoch.ordering
        member, former = ordering.members.get(target.name), ordering.members[retired.name]
        if retired.name in governance.voting_sites and target.name not in governance.voting_sites:
            return "give"
        if member is None or member.removed:
            return "learner"
        if not member.votes or not target.votes:
            return "promote"
        if retired.name in governance.voting_sites:
            return "retire"
        if ordering.lead == retired.name:
            return "lead"
        return "done" if former.removed else "remove"

    def _act(self, step: str, target: str, retired: str) -> None:
        governance = self._sees()
        assert governance is not None
        given = step == "give"
        keeps = [name for name in governance.receipt_set.sites if given or name != retired]
        sites = [*keeps, target] if given and target not in keeps else keeps
        changes: list[Change] = [
            {"do": "set-site-votes", "name": target if given else retired, "votes": given},
            {"do": "set-receipt-set", "sites": sites, "quorum": len(sites) // 2 + 1},
        ]
        self._world.officers[-1].act(governance, changes)

    def _do(self, step: str, target: MovingSite, retired: MovingSite) -> None:
        """One step; whether it was done the next look says."""
        ordering = self._epoch.ordering
        match step:
            case "learner":
                ordering.add_learner(target.name, 0)
                if target.state == "running" and target.name in ordering.members:
                    ordering.start_member(target.name)
            case "promote":
                if target.state == "running":
                    ordering.start_member(target.name)
                    ordering.promote(target.name, ordering.members[target.name].number)
                    target.change_order()
            case "lead":
                ordering.hand_over(target.name)
            case "remove":
                ordering.stop_member(retired.name)
                ordering.remove_member(retired.name, ordering.members[retired.name].number)
                retired.change_order()
            case _:
                pass
