"""Which epoch's ordering log one life of this site takes part in: its number, where its blocks stand in the ledger, who votes in it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sento_node.epochs.places import EpochPlaces, note_epoch, read_epoch
from sento_proto.epoch_plan import EpochPlan
from sento_proto.genesis import Genesis
from sento_proto.governance.state import Governance


@dataclass(frozen=True, slots=True)
class EpochHere:
    """`plan`: by which this site began the epoch; None in the first, and where the ledger came from sites of the epoch."""

    number: int = 0
    plan: EpochPlan | None = None

    def voting_sites(self, governance: Governance) -> tuple[str, ...]:
        """The sites that vote now: by the plan until its act stands, by governance from then on."""
        waits = self.plan is not None and governance.epoch < self.number
        return self.plan.voting if self.plan is not None and waits else governance.voting_sites

    def began_with(self, genesis: Genesis) -> tuple[str, ...]:
        """The sites whose members begin this epoch's log."""
        return genesis.voting_sites if self.plan is None else self.plan.voting

    def base(self, governance: Governance) -> int:
        """The ledger's block before the log's first."""
        return governance.block_base if self.plan is None else self.plan.parent.block

    def cluster_token(self, genesis: Genesis) -> str:
        """What keeps the members of different ledgers and epochs apart."""
        return f"sento-{genesis.ledger_id.hex()[:32]}-{self.number}"


def finish_beginning(data_dir: Path) -> None:
    """An epoch whose draft was ready begins, whatever ended the command that made it. Raises OSError, Malformed."""
    places = EpochPlaces(data_dir)
    plan = places.ready()
    if plan is not None:
        places.finish(plan)


def epoch_here(data_dir: Path, ledger_epoch: int = 0) -> EpochHere:
    """The epoch that the disk names; a ledger that came into a later one from other sites takes the note with it. Raises BootFileDamaged, OSError."""
    number = read_epoch(data_dir)
    if ledger_epoch > number:
        note_epoch(data_dir, ledger_epoch)
        number = ledger_epoch
    return EpochHere(number, EpochPlaces(data_dir).plan(number) if number else None)
