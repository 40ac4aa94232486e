"""Who is at the other end: the SPIFFE URI in a certificate, as role and name.

    spiffe://sento.internal/<role>/<name>        role: site, author, reader, operator, officer, pseudonyms, key-agent

mTLS proves the certificate; this says what it stands for. A certificate with no such URI, or with two, is nobody.

Source: SPIFFE ID and X509-SVID specifications (exactly one URI SAN).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

TRUST_DOMAIN = "sento.internal"
ROLES = ("site", "author", "reader", "operator", "officer", "pseudonyms", "key-agent")
_URI = re.compile(rf"spiffe://{re.escape(TRUST_DOMAIN)}/({'|'.join(ROLES)})/([a-z0-9][a-z0-9-]{{0,31}})")


class Identity(NamedTuple):
    """A role and the name of the site, institution, operator, officer, pseudonym service or key agent."""

    role: str
    name: str

    @property
    def uri(self) -> str:
        """The SPIFFE ID."""
        return f"spiffe://{TRUST_DOMAIN}/{self.role}/{self.name}"


def parse_identity(uris: Iterable[str]) -> Identity | None:
    """The identity in a certificate's URI names, or None unless there is exactly one URI and it is ours."""
    found = list(uris)
    if len(found) != 1:
        return None
    match = _URI.fullmatch(found[0])
    return Identity(match[1], match[2]) if match else None


def server_name(site: str) -> str:
    """The DNS name in a site's certificate: what a client checks, whatever address it dialled."""
    return f"{site}.{TRUST_DOMAIN}"


def pseudonyms_host(service: str) -> str:
    """What stands for a pseudonym service where a site's name would: `server_name` of it is in its certificate. No site's: those have no dot."""
    return f"{service}.pseudonyms"


def agent_host(agent: str) -> str:
    """The same for a key agent."""
    return f"{agent}.key-agents"
