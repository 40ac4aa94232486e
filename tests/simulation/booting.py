"""The start of a simulated life: boot numbers raised, told and confirmed, and the way back for a site whose disk must not be trusted.

What is decided is product code (`announcement_of`, `decide_boot`, `remember_boot`). Around it: what this disk says against itself is heard before
anything is written; the number is written beside the member's data first, then as the node's own; it is told to every other site until each has answered;
the member starts with the first confirmation. A refused site waits for an operator, who has its disk replaced (`joining`). A site without a member, and a new
disk, take a number above all that is remembered.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.simulation.checkers import cosigned_by

from sento_node.compose import recall_cosigned, recall_rebuild, remember_rebuild
from sento_node.ledger.store import LedgerFailed
from sento_node.ordering.boot import (
    Announcement,
    LocalDisk,
    PeerMemory,
    Raise,
    Refuse,
    Start,
    announcement_of,
    decide_boot,
    remember_boot,
)
from sento_node.rebuild.deciding import OWN_BOOT_NAME, Note
from sento_proto.wire import u64

if TYPE_CHECKING:
    from tests.simulation.site_host import SiteHost

TELL_AGAIN_MS = 400
OPERATOR_MS = (500, 2_000)
IMPATIENT_MS = (200, 800)


class Booting:
    """One site's boots."""

    def __init__(self, host: SiteHost) -> None:
        self._host = host
        self._local = LocalDisk(0, 0, False, False, 0, 0)
        self._announced = Announcement(0, b"")
        self._answers: dict[str, PeerMemory] = {}

    def begin(self) -> None:
        """Read the disk, raise the number, tell the others."""
        host = self._host
        if not host.joining.local_steps():
            return
        store, files = host.disk.store, host.disk.files
        cosigned = recall_cosigned(store)
        disk = LocalDisk(
            boot_number=files.boot_number,
            ordering_boot_number=files.ordering_boot_number,
            member_started=files.member_started,
            member_has_data=host.votes and host.around.ordering.members[host.name].has_files,
            ledger_size=store.tip.size,
            cosigned_size=0 if cosigned is None else cosigned.size,
        )
        host.rebuilding.look(disk)
        store = host.disk.store
        cosigned = recall_cosigned(store)
        disk = disk._replace(
            ledger_size=store.tip.size, cosigned_size=0 if cosigned is None else cosigned.size
        )
        unconfirmed = host.around.hooks.unconfirmed(files.unconfirmed)
        self._announced, self._local = announcement_of(disk, unconfirmed, host.heap.random.randbytes(16))
        self._answers = {}
        self._decide()
        if host.state == "booting" and self._raise_number():
            self._decide()
            self._tell()

    def _raise_number(self) -> bool:
        """Write down what will be announced: itself first, then the copy beside the member's data, then the node's own number."""
        host = self._host
        files = host.disk.files
        files.unconfirmed = self._announced
        try:
            host.disk.store.remember(OWN_BOOT_NAME, u64(self._announced.boot_number))
        except LedgerFailed as error:
            host.halt(str(error))
            return False
        files.ordering_boot_number = self._announced.boot_number
        if host.bomb("between the boot numbers"):
            return False
        files.boot_number = self._announced.boot_number
        return True

    def _tell(self) -> None:
        """Tell the others, again and again, until all have answered."""
        host = self._host
        silent = [peer for peer in host.others if peer.name not in self._answers]
        for peer in silent:
            host.around.network.send(
                host.name, peer.name, _announced, peer, host, self, host.life, self._announced
            )
        if silent:
            host.later(TELL_AGAIN_MS, self._tell)

    def answered(self, site: str, memory: PeerMemory) -> None:
        """Another site says what it remembers."""
        self._answers[site] = memory
        self._decide()
        self._host.rebuilding.heard(site, memory)

    def _decide(self) -> None:
        host = self._host
        if host.state != "booting":
            return
        voters = frozenset(name for name in host.around.ordering.members if name != host.name)
        anew = not host.votes or host.joining.takes_new_number
        number = self._announced.boot_number
        decision = decide_boot(self._local, number, self._answers, voters, takes_new_number=anew)
        match host.around.hooks.decided(decision, self._announced.boot_number):
            case Start(boot_number, cosigned_size):
                if not self._note_floor(cosigned_size):
                    return
                host.disk.files.unconfirmed = None
                if host.joining.note is not None:
                    host.state = "joining"
                    host.joining.confirmed(boot_number)
                    return
                if host.votes:
                    host.disk.files.member_started = True
                    host.around.ordering.start_member(host.name)
                self.run(boot_number)
            case Raise(higher):
                host.heap.fault("boot number raised over what others remember", host.name)
                self._announced, self._answers = self._announced._replace(boot_number=higher), {}
                if self._raise_number():
                    self._tell()
            case Refuse(words):
                host.state = "refused"
                host.heap.faults["boot refused"] += 1
                host.heap.note(f"{host.name} refuses to boot: {words}")
                if host.heap.chance(0.6):
                    host.later(host.heap.between(*IMPATIENT_MS), self._turn_off_and_on)
                else:
                    host.later(host.heap.between(*OPERATOR_MS), host.joining.replace_disk)

    def run(self, boot_number: int) -> None:
        """Begin the life, which hears what was answered so far."""
        self._host.run(boot_number)
        for site, memory in self._answers.items():
            self._host.rebuilding.heard(site, memory)

    def _note_floor(self, cosigned_size: int) -> bool:
        """A ledger behind what somebody remembers is made whole first; whether that could be written down."""
        host, store = self._host, self._host.disk.store
        try:
            if recall_rebuild(store) is None and cosigned_size > store.tip.size:
                remember_rebuild(store, Note("The ledger is behind.", 1, cosigned_size, store.tip.size))
        except LedgerFailed as error:
            host.halt(str(error))
            return False
        return True

    def _turn_off_and_on(self) -> None:
        """What operators try first; it must not help."""
        self._host.heap.fault("refused site started again", self._host.name)
        self._host.crash()
        self._host.start()


def _announced(peer: SiteHost, host: SiteHost, booting: Booting, life: int, announced: Announcement) -> None:
    """The other site's side: remember, flushed, and say what was remembered before."""
    if not peer.answers_peers:
        return
    memories = peer.disk.files.memories
    memories[host.name], before = remember_boot(memories.get(host.name), *announced)
    memory = PeerMemory(before, cosigned_by(peer, host.name))
    peer.around.network.send(peer.name, host.name, host.in_life, life, booting.answered, peer.name, memory)
