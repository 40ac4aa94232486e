"""Which epoch's ordering log one life of this site takes part in: its number, where its blocks stand in the ledger, who votes in it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sento_node.epochs.places import EpochPlaces, note_epoch, read_epoch
from sento_proto.epoch_plan import EpochPlan, plan_hash
from sento_proto.genesis import Genesis
from sento_proto.governance.state import Governance


@dataclass(frozen=True, slots=True)
class EpochHere:
    """`plan`: by which this site began the epoch, with its hash; None in the first, and where the ledger came from sites of the epoch."""

    number: int = 0
    plan: EpochPlan | None = None
    plan_hash: bytes = b""

    def voting_sites(self, governance: Governance) -> tuple[str, ...]:
        """The sites that vote now: by the plan until its act stands, by governance from then on."""
        waits = self.plan is not None and governance.epoch < self.number
        return self.plan.voting if self.plan is not None and waits else governance.voting_sites

    def votes(self, site: str, governance: Governance, *, configured: bool) -> bool:
        """Whether the site votes now; one that neither plan nor governance knows does if it is configured for it."""
        known = governance.sites.get(site)
        if self.plan is None and known is None:
            return configured
        return site in self.voting_sites(governance)

    def ordering_urls(self, governance: Governance) -> dict[str, str]:
        """Where the members of voting sites reach each other, by site: the plan's word, else governance's. Of those not in it node.toml tells."""
        said = {name: site.ordering_url for name, site in governance.sites.items() if site.ordering_url}
        return said if self.plan is None else said | dict(self.plan.ordering)

    def began_with(self, genesis: Genesis) -> tuple[str, ...]:
        """The sites whose members begin this epoch's log; nobody's where it was begun without this site: its member can only join."""
        if self.plan is not None:
            return self.plan.voting
        return () if self.number else genesis.voting_sites

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
    plan = EpochPlaces(data_dir).plan(number) if number else None
    return EpochHere(number, plan, b"" if plan is None else plan_hash(plan))
