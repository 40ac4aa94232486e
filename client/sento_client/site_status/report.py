"""One look at one site: its answer, or why there is none; and one look at all of them, with the sites that nobody asked.

What a state word means for judging stands here and nowhere else. A word that this release does not know counts as nothing good.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from sento_proto.errors import Code
from sento_proto.genesis import Genesis
from sento_proto.v1 import admin_pb2

SERVING = "serving"
VOTES = frozenset({SERVING, "catching-up"})
"""States in which the site's ordering member runs and has a majority with it, or is about to have one."""
WATCHES_PEERS = VOTES | {"no-majority"}
"""States in which a node keeps asking the other sites how far they are."""
HOLDS = VOTES | {"no-majority", "stopping"}
"""States in which a site's disk is known to be its own and whole. One that is still starting has not proven it yet."""
TIE_BREAKER = "tie-breaker"
_NOT_REACHED = (Code.UNREACHABLE, Code.DEADLINE)


@dataclass(frozen=True, slots=True)
class SiteReport:
    """One site's answer, or why there is none (`trouble` and `code`, empty when it answered). `took_ms`: from the question to that."""

    site: str
    status: admin_pb2.StatusReply | None
    trouble: str
    code: Code | None = None
    took_ms: int = 0

    @property
    def serves(self) -> bool:
        """Whether it takes part now and is up to date."""
        return self.status is not None and self.status.state == SERVING

    @property
    def turned_away(self) -> bool:
        """Whether the site was reached and refused to say how it stands."""
        return self.code is not None and self.code not in _NOT_REACHED


@dataclass(frozen=True, slots=True)
class Look:
    """All sites of the genesis file as one round of questions found them.

    `answers` are those of this ledger's newest epoch: the others' figures mean nothing beside theirs. `strangers` answered for another ledger,
    `outdated` for an earlier epoch. `not_asked`: sites that this computer has no address of. `asked_at_ms`: this computer's clock."""

    genesis: Genesis
    reports: tuple[SiteReport, ...]
    asked_at_ms: int
    answers: dict[str, admin_pb2.StatusReply] = field(default_factory=dict)
    strangers: tuple[str, ...] = ()
    outdated: tuple[str, ...] = ()
    not_asked: tuple[str, ...] = ()

    @property
    def reachable(self) -> int:
        """How many sites answered, whatever they said."""
        return sum(report.status is not None for report in self.reports)

    def report(self, site: str) -> SiteReport | None:
        """This look at one site; None when it was not asked."""
        return next((report for report in self.reports if report.site == site), None)

    def among(self, sites: Sequence[str], states: frozenset[str]) -> tuple[str, ...]:
        """Those of `sites` that answer for this ledger and are in one of these states."""
        return tuple(site for site in sites if site in self.answers and self.answers[site].state in states)

    def role(self, site: str) -> str:
        """`voting`, `embassy` or `tie-breaker`: by the site's own word, which follows the acts, else by the genesis file."""
        told = self.answers[site].role if site in self.answers else ""
        known = self.genesis.site(site)
        return told or ("" if known is None else known.role)

    def keeps_ledger(self, site: str) -> bool:
        """Whether the site holds records; a tie-breaker only votes."""
        return self.role(site) != TIE_BREAKER

    @property
    def furthest_size(self) -> int:
        """The most records that any site is known to hold, by its own word or by what another last heard from it."""
        sizes = [max(status.applied_size, status.flushed_size) for status in self.answers.values()]
        sizes += [peer.size for status in self.answers.values() for peer in status.peers]
        return max(sizes, default=0)


def look_at(genesis: Genesis, reports: Sequence[SiteReport], asked_at_ms: int) -> Look:
    """Sort the answers: whose figures can be compared, and whose cannot."""
    own = {
        report.site: report.status
        for report in reports
        if report.status is not None and report.status.ledger_id == genesis.ledger_id
    }
    epoch = max((status.epoch for status in own.values()), default=0)
    asked = {report.site for report in reports}
    return Look(
        genesis=genesis,
        reports=tuple(reports),
        asked_at_ms=asked_at_ms,
        answers={site: status for site, status in own.items() if status.epoch == epoch},
        strangers=tuple(r.site for r in reports if r.status is not None and r.site not in own),
        outdated=tuple(site for site, status in own.items() if status.epoch != epoch),
        not_asked=tuple(site.name for site in genesis.sites if site.name not in asked),
    )
