"""Governance from a ledger: the genesis file, and behind it every act and announcement that stands, in order.

A site starts with this and goes on with apply; verification of a disk uses it for keys that were enrolled later. Acts are the versions of one fact, and each
site's announcements those of one more, so no table of their own is needed: a few hundred rows are read. They stand, so each was judged; here each is put into
effect again, and one that does not fit means that the disk does not hold the ledger it says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, Protocol

from sento_node.ledger.apply import check_rules_known
from sento_node.ledger.results import NOWHERE
from sento_node.ledger.state import FactHead
from sento_node.ledger.store import KeptRecord, LedgerDamaged
from sento_proto import header as header_layout
from sento_proto.errors import Code
from sento_proto.genesis import Genesis
from sento_proto.governance.acts import (
    FACT,
    OFFICERS_AUTHOR,
    REGISTRY,
    begun_epoch,
    decode_act,
    effect_of,
    judge_act,
    with_act,
)
from sento_proto.governance.changing import Unfit
from sento_proto.governance.site_changes import EnrolSite
from sento_proto.governance.site_rules import judge_site_rules, site_of_author, subject_of_site
from sento_proto.governance.state import Governance, from_genesis
from sento_proto.header import Header
from sento_proto.rules import RULES
from sento_proto.wire import Malformed


class GovernedLedger(Protocol):
    """What is asked of a store."""

    def fact_head(self, registry: str, fact: bytes) -> FactHead | None:
        """The standing version of a fact."""
        ...

    def record(self, position: int, *, with_payload: bool = True) -> KeptRecord:
        """The record at a position."""
        ...


class Standing(NamedTuple):
    """A record of registry `governance` that stands."""

    position: int
    author: str
    header: Header
    record_hash: bytes


SignersAt = Callable[[int], Sequence[bytes]]
"""Key ids of the officers under the act at a position."""


def governance_of(
    genesis: Genesis,
    ledger: GovernedLedger,
    signers_at: SignersAt | None = None,
    size: int | None = None,
) -> Governance:
    """The governance in force behind everything flushed, or behind the first `size` records. With `signers_at` it is also asked of each act whether enough of
    those in office had signed it.

    Raises LedgerDamaged, and UnknownRules before an act or announcement that only a newer release can judge."""
    governance = from_genesis(genesis)
    if governance.rules in RULES and not RULES[governance.rules].acts:
        return governance
    for standing in standing_governance(governance, ledger):
        if size is not None and standing.position >= size:
            break
        check_rules_known(governance)
        try:
            if signers_at is not None and standing.author == OFFICERS_AUTHOR:
                _check_signers(governance, standing, signers_at(standing.position))
            governance = take(governance, standing).next_block
        except (Unfit, Malformed) as error:
            raise LedgerDamaged(
                f"The act at position {standing.position} does not fit what stands before it: {error}"
            ) from None
    return governance


def _check_signers(governance: Governance, standing: Standing, signers: Sequence[bytes]) -> None:
    begun = begun_epoch(standing.header.content)
    opens = None if begun is None else begun.epoch
    judged = judge_act(governance, standing.header.content, signers, standing.position, opens)
    if judged.code is not Code.ACCEPTED:
        raise Unfit(judged.why)


def take(governance: Governance, standing: Standing) -> Governance:
    """The governance behind a record that stands. Raises Unfit or Malformed."""
    if standing.author == OFFICERS_AUTHOR:
        after = effect_of(governance, decode_act(standing.header.content), standing.position)
        return with_act(after, standing.record_hash, standing.position)
    refusal, after = judge_site_rules(governance, site_of_author(standing.author) or "", standing.header)
    if refusal is not None:
        raise Unfit("An announcement of rules says nothing new, or is not the site's.")
    return after


def standing_governance(governance: Governance, ledger: GovernedLedger) -> list[Standing]:
    """Acts and announcements in order of position. A site may have been enrolled by an act."""
    acts = list(versions(ledger, FACT))
    sites = set(governance.sites)
    for act in acts:
        sites |= _enrolled_sites(act)
    announced = [item for site in sites for item in versions(ledger, subject_of_site(site)[:16])]
    return sorted(acts + announced)


def _enrolled_sites(act: Standing) -> set[str]:
    """An act that this release cannot read enrols nobody here: whoever puts it into effect says what is needed for it."""
    try:
        changes = decode_act(act.header.content).changes
    except Malformed:
        return set()
    return {change.site.name for change in changes if isinstance(change, EnrolSite)}


def versions(ledger: GovernedLedger, fact: bytes) -> Iterator[Standing]:
    """Versions of a fact of registry `governance`, newest first. Raises LedgerDamaged."""
    head = ledger.fact_head(REGISTRY, fact)
    position = NOWHERE if head is None else head.position
    while position != NOWHERE:
        kept = ledger.record(position, with_payload=False)
        try:
            header = header_layout.decode(kept.header_bytes)
        except Malformed as error:
            raise LedgerDamaged(f"Record {position} is not in form ({error}).") from None
        yield Standing(position, kept.author, header, kept.record_hash)
        position = kept.previous_of_fact
