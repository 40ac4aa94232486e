"""A simulated site makes its ledger anew: what is on its disk is looked at before each boot, and a life behind a new ledger ends its silence when it is whole.

What is decided is product code (`decide_start`, `agreed_size`, `Rebuild`, `remember_whole`). Around it: the disk has a ledger with the number of the life that
wrote to it last, and a note when a former life asked for a new one; cutting back takes no time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sento_node.compose import (
    REBUILDING,
    RolledBack,
    check_own_word,
    recall_cosigned,
    recall_rebuild,
    remember_whole,
)
from sento_node.ordering.boot import LocalDisk, PeerMemory, refuse_locally
from sento_node.rebuild.deciding import (
    OWN_BOOT_NAME,
    AgreedAt,
    Look,
    MakeAnew,
    Note,
    Rebuild,
    decide_start,
)
from sento_node.rebuild.preparing import _OF_THIS_LEDGER

if TYPE_CHECKING:
    from tests.simulation.site_host import SiteHost

LOOK_EVERY_MS = 100


class Rebuilding:
    """One site's rebuilds. `hurt`: something was done to its ledger and is not mended yet."""

    def __init__(self, host: SiteHost) -> None:
        self._host = host
        self._asked = ""
        self.hurt = False
        self.life: Rebuild | None = None

    @property
    def goes_on(self) -> bool:
        """Whether this site's ledger is not whole, or not known to be."""
        return self.hurt or self.life is not None

    # -- before a boot ------------------------------------------------------------------------------------------------

    def look(self, disk: LocalDisk) -> None:
        """Look at the ledger as a start does, and put a new one in its place if it must be."""
        host = self._host
        store = host.disk.store
        own_boot = store.recall(OWN_BOOT_NAME)
        try:
            check_own_word(store, recall_cosigned(store))
        except RolledBack as error:
            self._asked = str(error)
        look = Look(
            had_life=max(disk.boot_number, disk.ordering_boot_number) > 0,
            refusal=refuse_locally(disk),
            present=own_boot is not None or store.tip.size > 0,
            problem="",
            ledger_boot=None if own_boot is None else int.from_bytes(own_boot, "big"),
            boot_number=disk.boot_number,
            asked=self._asked,
            attempt=1,
            others=True,
            aside=0,
        )
        decided = decide_start(look)
        if isinstance(decided, MakeAnew):
            self._make_anew(decided, disk.boot_number)
        self._asked = ""

    def _make_anew(self, decided: MakeAnew, boot_number: int) -> None:
        host = self._host
        host.heap.note(f"{host.name} makes its ledger anew: {decided.reason}")
        old = host.disk.store.snapshot()
        kept = [AgreedAt(one.size, one.block) for one in old.checkpoints if one.size <= old.tip.size]
        damage = host.disk.altered
        agreed = host.around.hooks.agreed(kept, damage, None)
        floor = host.around.hooks.floor_of(old.remembered)
        goes_over = {name: old.remembered[name] for name in old.remembered.keys() - _OF_THIS_LEDGER}
        note = Note(decided.reason, 1, floor, 0 if agreed is None else agreed.size)
        host.disk.begin_anew(agreed, note, boot_number, goes_over)
        host.around.checkers.ledger_anew(host.name, host.disk.store.tip)
        host.heap.faults["ledger made anew" if agreed is None else "ledger cut back to its agreed size"] += 1

    # -- in a life ----------------------------------------------------------------------------------------------------

    def begin(self) -> bool:
        """A life is composed: whether it has a ledger to make whole first."""
        note = recall_rebuild(self._host.disk.store)
        self.life = None if note is None else Rebuild(note)
        if note is None:
            self.hurt = False
            return False
        self._host.later(LOOK_EVERY_MS, self._finish)
        return True

    def heard(self, site: str, memory: PeerMemory) -> None:
        """Another site said what it remembers."""
        if self.life is not None and self._host.state == "running":
            self.life.heard(site, memory.cosigned_size)
            self._host.site.checkpoints.raise_floor(self.life.floor_size)

    def _finish(self) -> None:
        host, rebuild = self._host, self.life
        if rebuild is None:
            return
        others = set(host.site.state.governance.receipt_set.sites) - {host.name}
        current = host.site.current_since_ms is not None
        if host.around.hooks.is_whole(rebuild, host.site.flushed_size, current=current, others=others):
            host.write(self._whole, rebuild)
        else:
            host.later(LOOK_EVERY_MS, self._finish)

    def _whole(self, rebuild: Rebuild) -> None:
        host = self._host
        remember_whole(host.disk.store, rebuild)
        host.site.checkpoints.hold_back(REBUILDING, on=False)
        host.around.checkers.ledger_whole(host.name)
        host.heap.faults["ledger whole again"] += 1
        host.heap.note(f"{host.name} is whole again at {host.site.flushed_size}, floor {rebuild.floor_size}")
        self.life, self.hurt = None, False
