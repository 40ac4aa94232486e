"""A site's own word in the ledger: which rules its release knows, announced by itself whenever the ledger does not say so yet.

Pure: state in, a submission out. `announcer.py` asks every second and hands the submission to the site's own ingress, where it is ordered like any other;
officers raise the rules number once every site of the receipt set has spoken.
"""

from __future__ import annotations

from sento_node.ledger.state import LedgerState
from sento_proto.governance.acts import REGISTRY
from sento_proto.governance.site_rules import SiteRules, site_rules_header, subject_of_site
from sento_proto.header import ZERO32
from sento_proto.keys import Signer
from sento_proto.record import make_record
from sento_proto.rules import RULES
from sento_proto.submission import sign_submission


def announcement_due(state: LedgerState, site: str) -> bool:
    """Whether the ledger does not say yet what this release knows. Under rules without officers nobody asks."""
    governance = state.governance
    rules = RULES.get(governance.rules)
    if rules is None or not rules.acts or site not in governance.sites:
        return False
    return governance.site_rules.get(site) != frozenset(RULES)


def announcement(
    state: LedgerState, site: str, signer: Signer, release: str, record_id: bytes, time_ms: int
) -> bytes:
    """The submission that says it, behind the site's last one."""
    head = state.fact_head(REGISTRY, subject_of_site(site)[:16])
    said = SiteRules(site, tuple(sorted(RULES)), release)
    previous = ZERO32 if head is None else head.record_hash
    header = site_rules_header(record_id, signer.public_key.key_id, time_ms, said, previous)
    return sign_submission(state.governance.ledger_id, [make_record(header, b"")], signer)


def key_is_replaced(state: LedgerState, site: str, signer: Signer) -> bool:
    """Whether officers gave the site another key, or retired it: what it signs with this one does not count any more."""
    known = state.governance.sites.get(site)
    return known is None or known.key != signer.public_key
