"""What a site may write in its own name: which rules it knows, and where releases are recorded also access records and the seals of their KEKs."""

from __future__ import annotations

from sento_proto.access_record import judge_access_record
from sento_proto.errors import Code
from sento_proto.governance.site_rules import judge_site_rules
from sento_proto.governance.state import Governance, site_author
from sento_proto.header import Header
from sento_proto.kek_record import REGISTRY as KEYS_REGISTRY
from sento_proto.kek_record import kek_seals_refusal
from sento_proto.rules import RULES

GOVERNANCE_REGISTRY = "governance"


def judge_site_record(governance: Governance, site: str, header: Header) -> tuple[Code | None, Governance]:
    """Why a record that the site signed may not stand, or None and the governance behind it. Its fact's `previous` and its group are asked elsewhere."""
    if not RULES[governance.rules].read_log or header.registry == GOVERNANCE_REGISTRY:
        return judge_site_rules(governance, site, header)
    if header.registry != KEYS_REGISTRY:
        return judge_access_record(governance, site, header), governance
    standing = governance.sites.get(site)
    if standing is None or standing.key.key_id != header.author_key_id:
        return Code.KEY_ENDED, governance
    return kek_seals_refusal(governance, site_author(site), header), governance
