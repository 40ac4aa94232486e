"""The placement of a ledger's sites, or of the voters that a plan would make, judged whole: findings, losses, timeouts. Pure.

Before a ledger runs only the genesis file is there: places are judged, nothing is measured and nothing can be said of numbers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sento_client.placement.findings import Finding, findings, refused
from sento_client.placement.losses import Known, Loss, losses
from sento_client.placement.round_trips import RoundTrips, round_trips_of
from sento_client.placement.timeouts import InUse, Timeouts, timeouts_for, timeouts_in_use
from sento_client.site_status.report import HOLDS, VOTES
from sento_proto.governance.parts import Site
from sento_proto.v1 import admin_pb2

FORMAT = "sento-placement-1"


@dataclass(frozen=True, slots=True)
class Placement:
    """`voters`: who votes, or would; `called_for`: the timeouts that round trips between them call for, None where those are not all measured."""

    voters: tuple[str, ...]
    findings: tuple[Finding, ...]
    accepts: tuple[str, ...]
    losses: tuple[Loss, ...]
    trips: RoundTrips
    timeouts: tuple[InUse, ...]
    called_for: Timeouts | None

    @property
    def refused(self) -> tuple[Finding, ...]:
        """Findings that nobody accepted."""
        return refused(self.findings, self.accepts)


def judge_placement(
    sites: Sequence[Site],
    voters: Sequence[str],
    accepts: Sequence[str],
    answers: Mapping[str, admin_pb2.StatusReply] | None,
) -> Placement:
    """`answers`: what sites of this ledger said; None before it runs."""
    trips = RoundTrips() if answers is None else round_trips_of(answers)
    longest_us = trips.longest(voters)
    return Placement(
        tuple(voters),
        findings(sites, voters, trips),
        tuple(accepts),
        losses(sites, voters, None if answers is None else _known(voters, answers)),
        trips,
        () if answers is None else timeouts_in_use(answers),
        None if longest_us is None else timeouts_for(longest_us),
    )


def _known(voters: Sequence[str], answers: Mapping[str, admin_pb2.StatusReply]) -> Known:
    return Known(
        {site: status.flushed_size for site, status in answers.items() if status.state in HOLDS},
        tuple(site for site in voters if site in answers and answers[site].state in VOTES),
        tuple(site for site in voters if site in answers and answers[site].state in HOLDS),
    )


def placement_value(placement: Placement) -> dict[str, object]:
    """The judgement as one JSON object, `sento-placement-1`."""
    return {
        "format": FORMAT,
        "voters": list(placement.voters),
        "findings": [
            {
                "name": one.name,
                "sites": list(one.sites),
                "words": one.words,
                "remedy": one.remedy,
                "accepted": one.accepted(placement.accepts),
            }
            for one in placement.findings
        ],
        "losses": [
            {
                "event": str(loss.event),
                "name": loss.name,
                "sites": list(loss.sites),
                "ordering_goes_on": loss.goes_on,
                "acknowledged_may_be_lost": loss.may_lose,
                "records_at_risk": loss.at_risk if loss.may_lose else 0,
                "copies_left": list(loss.left),
                "words": loss.words,
            }
            for loss in placement.losses
        ],
        "round_trips": placement.trips.value(),
        "timeouts": [
            {
                "site": one.site,
                "runs": one.runs._asdict(),
                "wanted": None if one.wanted is None else one.wanted._asdict(),
                "fits": one.fits,
            }
            for one in placement.timeouts
        ],
        "called_for": None if placement.called_for is None else placement.called_for._asdict(),
    }
