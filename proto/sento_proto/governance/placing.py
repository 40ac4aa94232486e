"""Where sites stand: which country is home, and which sites stand abroad, so that a record may be asked to survive the country.

Home is the country in which most of the voting sites with a ledger stand; of two with as many, the first in the alphabet. A site abroad is one with a ledger
in another country, whether it votes or not; a tie-breaker keeps nothing and counts for neither. Both follow from governance, so that every client says the
same of one ledger. Pure.
"""

from __future__ import annotations

from collections import Counter

from sento_proto.checkpoint import SiteKeys
from sento_proto.governance.site_keys import keys_of_site
from sento_proto.governance.state import Governance


def home_country(governance: Governance) -> str:
    """The country as governance spells it; empty where no site votes and keeps a ledger."""
    votes = Counter(site.country for site in governance.sites.values() if site.votes and site.ledger)
    return min(votes, key=lambda country: (-votes[country], country), default="")


def sites_abroad(governance: Governance) -> tuple[str, ...]:
    """Names of the sites with a ledger outside of the home country, in governance's order."""
    home = home_country(governance)
    return tuple(site.name for site in governance.sites.values() if site.ledger and site.country != home)


def keys_abroad(governance: Governance) -> dict[str, SiteKeys]:
    """The keys with which these sites cosign now."""
    return {name: keys_of_site(governance.sites[name]) for name in sites_abroad(governance)}
