"""A simulated site whose disk is replaced: one command of an operator, its steps noted on the disk, each of which a kill may cut off.

What is next is product code (`local_step`, `member_step`, `decide_boot` for a new disk). Around it: the members are asked for and changed through another
site's node, whose answers get lost; former data are set aside (here: gone); the ledger is copied and made whole like one that is made anew, and the member
gets its vote when it and the ledger have all.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from tests.simulation.courier import send_courier
from tests.simulation.members import Member as SimMember

from sento_node.compose import remember_rebuild
from sento_node.joining.deciding import (
    AddLearner,
    Adopt,
    GiveUp,
    GoOn,
    MakeLedger,
    MemberStep,
    Promote,
    Remove,
    Seen,
    SetAside,
    StartMember,
    Voting,
    Wait,
    local_step,
)
from sento_node.joining.note import REPLACE_DISK, Note
from sento_node.ledger.state import EMPTY_TIP
from sento_node.ordering.etcd.members import Member
from sento_node.rebuild.deciding import Note as RebuildNote

if TYPE_CHECKING:
    from tests.simulation.site_host import SiteHost

AGAIN_MS = 400
KILLED = 0.5
LOOK_EVERY_MS = 100
PLACES = (
    "before former data are set aside",
    "before an empty ledger is made",
    "before the former member is removed",
    "before a learner is added",
    "before the learner's number is noted",
    "before the learner is promoted",
    "before the joining ends",
)
"""Where a kill cuts a replacement off."""


class Joining:
    """One site's replaced disk, over all lives that it takes."""

    def __init__(self, host: SiteHost) -> None:
        self._host = host
        self._boot_number = 0
        self._question = 0
        self._is_up = False

    @property
    def note(self) -> Note | None:
        """How far it is; None when no disk is being replaced."""
        return self._host.disk.files.joining

    @property
    def takes_new_number(self) -> bool:
        """Whether the first boot of a new disk is still to be confirmed."""
        note = self.note
        return note is not None and not note.confirmed

    @property
    def is_shut(self) -> bool:
        """Whether the ordering log is not for this site yet, because its new member does not vote."""
        return self.note is not None and not self._host.around.ordering.members[self._host.name].votes

    def replace_disk(self) -> None:
        """The operator's command."""
        host = self._host
        host.crash()
        host.heap.fault("disk replaced by command", host.name)
        host.disk.files.joining = Note(REPLACE_DISK, aside=1)
        if host.heap.chance(KILLED):
            host.crash_at = host.heap.one_of(list(PLACES))
        host.start()

    def _killed(self, place: str) -> bool:
        """Whether a kill comes here; then somebody starts the site again."""
        host = self._host
        if not host.bomb(place):
            return False
        host.heap.faults["replacement of a disk killed"] += 1
        host.heap.after(host.heap.between(50, 1_500), host.start)
        return True

    def _noted(self, **fields: object) -> None:
        note = self.note
        assert note is not None
        self._host.disk.files.joining = replace(note, **fields)  # type: ignore[arg-type]

    def local_steps(self) -> bool:
        """What is done on the disk before the node starts; False when a kill came between."""
        host = self._host
        while (note := self.note) is not None:
            match local_step(note):
                case SetAside():
                    if self._killed("before former data are set aside"):
                        return False
                    host.disk.replace(0)
                    host.disk.files.joining = note
                    host.around.checkers.disk_replaced(host.name, EMPTY_TIP, host.others)
                    self._noted(set_aside=True)
                case MakeLedger():
                    if self._killed("before an empty ledger is made"):
                        return False
                    remember_rebuild(host.disk.store, RebuildNote("This site's disk was replaced.", 1, 0, 0))
                    self._noted(ledger_made=True)
                    if host.heap.chance(0.5):
                        send_courier(host)
                case GoOn():
                    break
        return True

    def confirmed(self, boot_number: int) -> None:
        """Another site confirmed this disk's boot: now the member, and then the life that copies."""
        self._noted(confirmed=True)
        self._boot_number, self._is_up = boot_number, False
        self._look()

    # -- the member ---------------------------------------------------------------------------------------------------

    def _look(self) -> None:
        """Ask another site's node who the members are, and again while nobody answers."""
        host = self._host
        self._question += 1
        if self.note is None:
            return
        peer = host.heap.one_of([peer for peer in host.others if peer.votes])
        host.around.network.send(host.name, peer.name, _tell, peer, host, host.life, self._question)
        host.later(AGAIN_MS, self._silent, self._question)

    def _silent(self, question: int) -> None:
        if question == self._question:
            self._look()

    def told(self, question: int, members: tuple[Member, ...], behind: int | None) -> None:
        """The members, and how many entries this site's lacks to the lead's."""
        note, host = self.note, self._host
        if question != self._question or note is None:
            return
        own = host.around.ordering.members[host.name]
        seen = Seen(
            host.name,
            host.name,
            members,
            has_log=own.has_files and own.number == note.member_id,
            is_up=self._is_up,
            behind=behind if self._is_up else None,
            copied=host.rebuilding.life is None or host.rebuilding.life.copied,
        )
        self._take(host.around.hooks.member_step(note, seen))

    def _take(self, step: MemberStep) -> None:
        host, ordering = self._host, self._host.around.ordering
        self._question += 1
        match step:
            case Remove(number):
                self._change("before the former member is removed", ordering.remove_member, number)
            case AddLearner():
                self._change("before a learner is added", ordering.add_learner, 0)
            case Promote(number):
                self._change("before the learner is promoted", ordering.promote, number)
            case Adopt(number):
                if not self._killed("before the learner's number is noted"):
                    self._noted(member_id=number)
                    host.later(0, self._look)
            case StartMember():
                self._is_up = True
                host.disk.files.member_started = True
                ordering.start_member(host.name)
                host.booting.run(self._boot_number)
                host.later(LOOK_EVERY_MS, self._look)
            case Wait():
                host.later(AGAIN_MS, self._look)
            case Voting():
                host.later(LOOK_EVERY_MS, self._finish)
            case GiveUp(words):
                host.heap.fault("joining given up", f"{host.name} {words}")
                host.later(AGAIN_MS, self.replace_disk)

    def _change(self, place: str, change: object, number: int) -> None:
        """Ask another site's node for a change; whether it was done the next look says."""
        host = self._host
        if self._killed(place):
            return
        peer = host.heap.one_of([peer for peer in host.others if peer.votes])
        host.around.network.send(host.name, peer.name, _change, peer, change, host.name, number)
        host.later(AGAIN_MS, self._look)

    def _finish(self) -> None:
        """The member votes; when the ledger is whole and this site takes part, the joining is over."""
        host = self._host
        if host.rebuilding.life is not None or not host.serving:
            host.later(LOOK_EVERY_MS, self._finish)
        elif not self._killed("before the joining ends"):
            host.disk.files.joining = None
            host.heap.fault("disk replaced and serving again", host.name)


def _tell(peer: SiteHost, asker: SiteHost, life: int, question: int) -> None:
    """The other site's side: who the members are, as the lead says."""
    ordering = peer.around.ordering
    if peer.state != "running" or not ordering.serves:
        return
    members = tuple(_member(one) for one in ordering.members.values() if not one.removed)
    behind = len(ordering.committed) - ordering.members[asker.name].visible
    peer.around.network.send(
        peer.name, asker.name, asker.in_life, life, asker.joining.told, question, members, behind
    )


def _member(one: SimMember) -> Member:
    """As etcd names it: one that never started has no name yet."""
    return Member(one.number, one.site if one.has_files or one.votes else "", one.site, one.votes)


def _change(peer: SiteHost, change: object, site: str, number: int) -> None:
    if peer.state == "running":
        assert callable(change)
        change(site, number)
