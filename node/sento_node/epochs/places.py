"""Where a site keeps which epoch it is in, and what it set aside.

    data/epoch                  the number of the epoch whose ordering log this site takes part in, decimal; no file: epoch 0
    data/epoch-<n>.plan.json    the signed plan by which this site began epoch n
    data/epoch-<n>.done         everything that the plan takes over again was offered here; ingress is open since then
    data/epoch-draft/           the ledger cut back to the fork, while it is made; dropped and begun again after a kill, unless it is ready
    data/epoch-draft-ready      the number and the plan: the draft is whole and flushed; whatever happens, the epoch begins with it
    data/epoch-asked.plan.json  a plan that the running node was asked to carry out: its next life begins with that, before anything is opened
    data/epoch-asked.refused    why the last one could not be carried out after all, in words; the plan itself beside it
    data/epoch-<n>.plan.offered.json    a plan that another site showed and that officers signed, where this site stands elsewhere: it takes no part since
    data/epoch-<m>-orphans/     the whole ledger of epoch m as it was before, with what no epoch has any more; an erasure alone takes from it

Boot numbers, memories of boots, and the ordering member's directory are each epoch's own.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from sento_node.boot_keeper import BootFileDamaged
from sento_node.durable_files import sync_directory, write_durably
from sento_node.epochs.copies import is_of_the_log
from sento_node.ledger.lmdb_cut import put_epoch
from sento_node.ledger.lmdb_files import database_directory
from sento_node.rebuild.boot_memories import memories_path
from sento_node.rebuild.places import Places
from sento_proto.epoch_plan import EpochPlan, decode_plan, encode_plan
from sento_proto.wire import Malformed


def read_epoch(data_dir: Path) -> int:
    """The epoch that this site takes part in. Raises BootFileDamaged for a file that holds no number."""
    path = data_dir / "epoch"
    try:
        text = path.read_text(encoding="ascii").strip()
        if not (text.isascii() and text.isdigit()):
            raise ValueError(text)
        return int(text)
    except FileNotFoundError:
        return 0
    except ValueError as error:
        raise BootFileDamaged(
            f"{path} does not hold the number of an epoch. Check the disk, and write the number that the other sites' status says into it."
        ) from error


def note_epoch(data_dir: Path, epoch: int) -> None:
    """This site takes part in this epoch from its next life on, flushed. Raises OSError."""
    write_durably(data_dir / "epoch", b"%d\n" % epoch)


class EpochPlaces:
    """The files of one data directory."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        self.draft = data_dir / "epoch-draft"
        self._ready = data_dir / "epoch-draft-ready"
        self._asked = data_dir / "epoch-asked.plan.json"
        self._refused = data_dir / "epoch-asked.refused"

    def plan_path(self, epoch: int) -> Path:
        """Where the plan of an epoch is kept."""
        return self.data_dir / f"epoch-{epoch:04d}.plan.json"

    def orphans(self, epoch: int) -> Path:
        """The ledger of a former epoch."""
        return self.data_dir / f"epoch-{epoch:04d}-orphans"

    def newest_orphans(self, epoch: int) -> Path | None:
        """The ledger of a former epoch that was set aside last; None where none was."""
        newest, number, path = None, 1, self.orphans(epoch)
        while path.exists():
            newest, number = path, number + 1
            path = path.with_name(f"{self.orphans(epoch).name}-{number}")
        return newest

    def plan(self, epoch: int) -> EpochPlan | None:
        """The plan by which this site began an epoch; None where it took it over from other sites. Raises BootFileDamaged."""
        path = self.plan_path(epoch)
        try:
            return decode_plan(path.read_bytes())
        except FileNotFoundError:
            return None
        except Malformed as error:
            raise BootFileDamaged(
                f"{path} is not the plan that this site began epoch {epoch} by ({error}). Put the signed plan back there."
            ) from error

    # -- beginning an epoch ---------------------------------------------------------------------------------------------

    def drop_draft(self) -> None:
        """A draft that was not called ready is made anew; one of which something remained would pass for the ledger. Raises OSError."""
        if self.draft.exists():
            shutil.rmtree(self.draft)

    def call_ready(self, plan: EpochPlan) -> None:
        """The draft is whole: from here on the epoch begins, whatever happens. Raises OSError."""
        write_durably(self._ready, encode_plan(plan))

    def ready(self) -> EpochPlan | None:
        """The plan of a draft that is ready. Raises Malformed."""
        try:
            return decode_plan(self._ready.read_bytes())
        except FileNotFoundError:
            return None

    def finish(self, plan: EpochPlan) -> None:
        """Put the draft in the ledger's place and note the epoch; does what is left of it after a kill. Raises OSError, LedgerDamaged, LedgerNotOpened,
        lmdb.Error."""
        ledger = Places(self.data_dir).ledger
        orphans = self.orphans(plan.parent.epoch)
        if self.draft.exists():
            if ledger.exists():
                ledger.rename(self._free(orphans))
            self.draft.rename(ledger)
            sync_directory(self.data_dir)
        elif (database_directory(ledger) / "data.mdb").exists():
            # It goes on as it is. Forgotten here and no sooner: in its former epoch it must remember what it cosigned, and that it is not whole.
            put_epoch(ledger, None, is_of_the_log)
        memories = memories_path(self.data_dir)
        if memories.exists() and not self.plan_path(plan.epoch).exists():
            memories.rename(memories.with_name(f"boot-memories-{plan.parent.epoch:04d}"))
        write_durably(self.plan_path(plan.epoch), encode_plan(plan))
        note_epoch(self.data_dir, plan.epoch)
        self._ready.unlink(missing_ok=True)
        sync_directory(self.data_dir)

    def _free(self, orphans: Path) -> Path:
        """Orphans of an epoch are set aside once; a further ledger of it, after a second fork from one parent, gets a number of its own."""
        number, free = 1, orphans
        while free.exists():
            number, free = number + 1, orphans.with_name(f"{orphans.name}-{number}")
        return free

    # -- asked at a running node -----------------------------------------------------------------------------------------

    def ask(self, plan: EpochPlan) -> None:
        """The next life begins with this plan, flushed; what was refused before is forgotten. Raises OSError."""
        write_durably(self._asked, encode_plan(plan))
        self._refused.unlink(missing_ok=True)
        self._refused_plan.unlink(missing_ok=True)

    def asked(self) -> EpochPlan | None:
        """The plan that the next life is to begin with. Raises Malformed."""
        try:
            return decode_plan(self._asked.read_bytes())
        except FileNotFoundError:
            return None

    @property
    def is_asked(self) -> bool:
        """Whether the next life is to begin with a plan."""
        return self._asked.exists()

    def asked_is_done(self) -> None:
        """It was carried out. Raises OSError."""
        self._asked.unlink(missing_ok=True)
        sync_directory(self.data_dir)

    def refuse_asked(self, words: str) -> None:
        """It cannot be carried out: it is set aside with the reason. Raises OSError."""
        write_durably(self._refused, words.encode() + b"\n")
        self._asked.rename(self._refused_plan)
        sync_directory(self.data_dir)

    def refused(self) -> str:
        """Why the plan that was asked for last could not be carried out; empty when it could. Raises OSError."""
        try:
            return self._refused.read_text(encoding="utf-8").strip()
        except FileNotFoundError:
            return ""

    @property
    def _refused_plan(self) -> Path:
        return self.data_dir / "epoch-asked.refused.plan.json"

    # -- shown by another site -------------------------------------------------------------------------------------------

    def keep_offered(self, plan: EpochPlan) -> None:
        """Another site began this epoch, and this one did not, or by another plan; flushed. Raises OSError."""
        write_durably(self._offered(plan.epoch), encode_plan(plan))

    def offered(self) -> tuple[EpochPlan, ...]:
        """The plans that other sites showed, by their epochs. Raises BootFileDamaged."""
        found: list[EpochPlan] = []
        for path in sorted(self.data_dir.glob("epoch-[0-9][0-9][0-9][0-9].plan.offered.json")):
            try:
                found.append(decode_plan(path.read_bytes()))
            except Malformed as error:
                raise BootFileDamaged(
                    f"{path} is not a plan ({error}). Check the disk; another site shows the plan again once the file is put aside."
                ) from error
        return tuple(found)

    def _offered(self, epoch: int) -> Path:
        return self.data_dir / f"epoch-{epoch:04d}.plan.offered.json"

    # -- taking over again ----------------------------------------------------------------------------------------------

    def is_done(self, epoch: int) -> bool:
        """Whether everything that the plan takes over again was offered here."""
        return self._done(epoch).exists()

    def note_done(self, epoch: int, report: bytes) -> None:
        """It was; `report`: what became of each record that could not stand, as JSON. Raises OSError."""
        write_durably(self._done(epoch), report)

    def _done(self, epoch: int) -> Path:
        return self.data_dir / f"epoch-{epoch:04d}.done"
