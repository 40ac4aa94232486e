"""Small faults while a capital moves: sites crash and come back, links are cut, members are killed, leads move, programs crash and write in bursts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from tests.simulation.client_host import ClientHost
from tests.simulation.epochs_host import Epoch
from tests.simulation.heap import EventHeap
from tests.simulation.moving_site import MovingSite
from tests.simulation.network import Network

PAUSE_MS = (150, 1_500)
BOMBS = (
    "before a flush",
    "after a flush",
    "before a cosigned note",
    "after a cosigned note",
    "before a checkpoint is kept",
    "before a trim",
)


class MovingFaults:
    """One world's small faults."""

    def __init__(
        self,
        heap: EventHeap,
        network: Network,
        hosts: Mapping[str, MovingSite],
        clients: Sequence[ClientHost],
        newest: Callable[[], Epoch],
    ) -> None:
        self._heap = heap
        self._network = network
        self._hosts = hosts
        self._clients = clients
        self._newest = newest
        self.running = True

    def start(self) -> None:
        """Begin."""
        self._heap.after(self._heap.between(*PAUSE_MS), self._next)

    def stop(self) -> None:
        """No further faults."""
        self.running = False

    def _next(self) -> None:
        if not self.running:
            return
        kinds = [
            self._crash,
            self._bomb,
            self._isolate,
            self._cut,
            self._kill_member,
            self._move_lead,
            self._client,
            self._burst,
        ]
        self._heap.one_of(kinds)()
        self._heap.after(self._heap.between(*PAUSE_MS), self._next)

    def _running(self) -> MovingSite | None:
        able = [host for host in self._hosts.values() if host.state == "running"]
        return self._heap.one_of(able) if able else None

    def _crash(self) -> None:
        host = self._running()
        if host is not None:
            self._heap.fault("site crashed", host.name)
            host.crash()
            self._heap.after(self._heap.between(100, 1_500), host.start)

    def _bomb(self) -> None:
        host = self._running()
        if host is not None:
            host.crash_at = self._heap.one_of(list(BOMBS))
            self._heap.after(self._heap.between(800, 2_000), self._back, host)

    def _back(self, host: MovingSite) -> None:
        host.crash_at = None
        host.start()

    def _isolate(self) -> None:
        host = self._running()
        if host is not None:
            self._heap.fault("site isolated", host.name)
            self._network.isolate(host.name, self._heap.between(100, 1_200))

    def _cut(self) -> None:
        one, other = self._heap.random.sample(sorted(self._hosts), 2)
        self._heap.fault("link cut", f"{one} {other}")
        self._network.cut(one, other)
        self._heap.after(self._heap.between(200, 2_000), self._network.mend, one, other)

    def _kill_member(self) -> None:
        host = self._running()
        if host is not None and host.votes:
            self._heap.fault("member killed", host.name)
            host.epoch.ordering.stop_member(host.name)
            self._heap.after(self._heap.between(200, 1_200), self._member_back, host, host.life)

    def _member_back(self, host: MovingSite, life: int) -> None:
        if host.life == life and host.votes:
            host.epoch.ordering.start_member(host.name)

    def _move_lead(self) -> None:
        ordering = self._newest().ordering
        ordering.hand_over(self._heap.one_of(ordering.voters))

    def _client(self) -> None:
        client = self._heap.one_of(list(self._clients))
        self._heap.fault("client crashed", client.name)
        client.crash()
        self._heap.after(self._heap.between(50, 1_000), client.start)

    def _burst(self) -> None:
        self._heap.one_of(list(self._clients)).write_now(self._heap.between(3, 8))
