"""etcd's side: three members with empty stores for every run, under puts of one key a call or transactions of as many puts as the batch has.

Where its callers go, all to the leader or to all members alike, and over how many connections, is tried once for each work, and the best is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from sento_drill.bench.etcd_client import EtcdClient
from sento_drill.bench.etcd_members import EtcdMembers
from sento_drill.bench.sides import ETCD, Load, carry_out
from sento_drill.bench.works import PEER_VALUE_BYTES, READERS, Timing, Work

READING = "reading"
LONGEST_TRIAL = Timing(warm_up_s=0.5, seconds=2.0)


@dataclass(frozen=True, slots=True)
class Placement:
    """`members`: "leader" or "all". `connections`: to each of them."""

    members: str
    connections: int

    def __str__(self) -> str:
        return f"{self.members}, {self.connections} connections each"


ONE_CALLER = (Placement("leader", 1), Placement("all", 1))
MANY_CALLERS = (*ONE_CALLER, Placement("leader", 3), Placement("all", 2))


class EtcdSide:
    """Members that are made anew for every run."""

    name = ETCD

    def __init__(self, directory: Path, client: EtcdClient) -> None:
        self._directory = directory
        self._client = client
        self._members: EtcdMembers | None = None
        self._lead = ""
        self._placements: dict[str, Placement] = {}
        self.trials: dict[str, dict[str, float]] = {}
        """For bench.json: calls a second of each placement that was tried, by work."""

    def servers(self) -> Mapping[str, int]:
        """Role -> process id."""
        return self._running().servers()

    async def start(self) -> None:
        """Start the members with empty stores. Raises TooLate."""
        self._members = EtcdMembers(self._directory)
        await self._members.start()
        self._lead = await self._members.wait_lead()

    async def stop(self) -> None:
        """End the members and remove what they wrote."""
        if self._members is not None:
            await self._members.stop()
            self._members = None

    def writing(self, work: Work, timing: Timing) -> Load:
        """Puts, or transactions of puts."""
        return self._writing(work, timing, self._placements.get(work.name, ONE_CALLER[1]))

    def reading(self, timing: Timing) -> Load:
        """Linearizable gets of keys that the load wrote before."""
        return self._reading(timing, self._placements.get(READING, ONE_CALLER[1]))

    def probing(self, every_ms: int) -> Sequence[str]:
        """One put after the other, at member after member."""
        arguments = {"endpoints": self._endpoints(ONE_CALLER[1]), "mode": "probe", "every-ms": every_ms}
        (command,) = self._client.commands(1, arguments)
        return command

    async def find_lead(self) -> Callable[[], None]:
        """What kills the leading member."""
        members = self._running()
        lead = await members.wait_lead()
        return lambda: members.kill(lead)

    async def try_placements(self, works: Sequence[Work], timing: Timing, *, reading: bool) -> None:
        """Find the best placement for each work, and for reading. Raises LoadFailed, TooLate."""
        trial = Timing(
            min(timing.warm_up_s, LONGEST_TRIAL.warm_up_s), min(timing.seconds, LONGEST_TRIAL.seconds)
        )
        tried: dict[str, tuple[Sequence[Placement], Callable[[Placement], Load]]] = {
            work.name: (
                ONE_CALLER if work.callers == 1 else MANY_CALLERS,
                lambda placement, work=work: self._writing(work, trial, placement),  # type: ignore[misc]
            )
            for work in works
        }
        if reading:
            tried[READING] = (MANY_CALLERS, lambda placement: self._reading(trial, placement))
        if not tried:
            return
        await self.start()
        try:
            for name, (placements, load) in tried.items():
                per_s = {each: (await carry_out(self, load(each), trial))[0].per_s for each in placements}
                self._placements[name] = max(per_s, key=lambda each: per_s[each])
                self.trials[name] = {str(each): round(rate, 1) for each, rate in per_s.items()}
        finally:
            await self.stop()

    @property
    def placements(self) -> dict[str, dict[str, object]]:
        """For bench.json: what was chosen, by work."""
        return {name: asdict(placement) for name, placement in self._placements.items()}

    def _writing(self, work: Work, timing: Timing, placement: Placement) -> Load:
        return self._load(work.callers, timing, placement, {"mode": "write", "batch": work.batch})

    def _reading(self, timing: Timing, placement: Placement) -> Load:
        return self._load(READERS, timing, placement, {"mode": "read"})

    def _load(self, callers: int, timing: Timing, placement: Placement, more: Mapping[str, object]) -> Load:
        arguments = {
            "endpoints": self._endpoints(placement),
            "connections": placement.connections,
            "value-bytes": PEER_VALUE_BYTES,
            "warm-up": timing.warm_up_s,
            "seconds": timing.seconds,
            **more,
        }
        return Load(self._client.commands(callers, arguments))

    def _endpoints(self, placement: Placement) -> str:
        endpoints = self._running().endpoints
        return endpoints[self._lead] if placement.members == "leader" else ",".join(endpoints.values())

    def _running(self) -> EtcdMembers:
        assert self._members is not None, "the side was started"
        return self._members
