"""A site's word on which rules numbers its release knows: a record it signs itself, so that officers raise the number only when all can follow.

    author    "/sites/<site>", signed with the site's key          registry `governance`, kind `site-rules`
    content   {"format": "sento-site-rules-1", "site": "jp-fukuoka", "rules": [1, 2, 3], "release": "0.4.0"}

Each site's announcements are versions of one fact. An announcement that says nothing new is refused, so that no site can fill the ledger with them.
"""

from __future__ import annotations

import hashlib
import json
from typing import NamedTuple

from sento_proto.errors import Code
from sento_proto.governance.acts import REGISTRY
from sento_proto.governance.changing import with_entry
from sento_proto.governance.state import Governance, site_author, site_of_author
from sento_proto.header import ZERO16, ZERO32, Header
from sento_proto.strict_json import load
from sento_proto.wire import Malformed

__all__ = [
    "FORMAT",
    "KIND",
    "SiteRules",
    "decode_site_rules",
    "encode_site_rules",
    "judge_site_rules",
    "site_author",
    "site_of_author",
    "site_rules_header",
    "subject_of_site",
]

FORMAT = "sento-site-rules-1"
KIND = "site-rules"
U32_MAX = 2**32 - 1
RULES_MAX = 64
RELEASE_MAX_CHARACTERS = 64
CONTENT_MAX_BYTES = 1024
"""An announcement is small: every client keeps all of them, and no budget stands between a bought site and the ledger."""


class SiteRules(NamedTuple):
    """What a site announces."""

    site: str
    rules: tuple[int, ...]
    release: str


def subject_of_site(site: str) -> bytes:
    """The subject under which a site's announcements stand, 32 bytes; its first 16 are their fact."""
    return hashlib.sha256(b"sento site rules" + site.encode("ascii")).digest()


def encode_site_rules(announced: SiteRules) -> bytes:
    """The clear content."""
    value = {
        "format": FORMAT,
        "site": announced.site,
        "rules": list(announced.rules),
        "release": announced.release,
    }
    return json.dumps(value, separators=(",", ":")).encode("ascii")


def decode_site_rules(content: bytes) -> SiteRules:
    """The announcement in clear content. Raises Malformed."""
    if len(content) > CONTENT_MAX_BYTES:
        raise Malformed(f"site rules: over {CONTENT_MAX_BYTES} bytes")
    fields = load(content, "site rules")
    if fields.text("format") != FORMAT:
        raise Malformed(f"site rules: format must be {FORMAT}")
    announced = SiteRules(
        fields.institution("site"), fields.numbers("rules", 1, U32_MAX), fields.text("release")
    )
    fields.end()
    if len(announced.rules) > RULES_MAX or len(announced.release) > RELEASE_MAX_CHARACTERS:
        raise Malformed(
            f"site rules: at most {RULES_MAX} rules, and a release of {RELEASE_MAX_CHARACTERS} characters"
        )
    return announced


def site_rules_header(
    record_id: bytes, site_key_id: bytes, time_ms: int, announced: SiteRules, previous: bytes = ZERO32
) -> Header:
    """The header of an announcement that follows the one with record hash `previous`."""
    subject = subject_of_site(announced.site)
    return Header(
        record_id=record_id,
        author_key_id=site_key_id,
        time_ms=time_ms,
        key_epoch=0,
        payload_bytes=0,
        subject=subject,
        fact=subject[:16],
        previous=previous,
        group=ZERO16,
        dek_commit=ZERO32,
        registry=REGISTRY,
        compartment="",
        kind=KIND,
        content=encode_site_rules(announced),
    )


def judge_site_rules(governance: Governance, site: str, header: Header) -> tuple[Code | None, Governance]:
    """Why a site's own record may not stand, or None and the governance after it. Its fact's `previous` is asked elsewhere."""
    try:
        announced = decode_site_rules(header.content)
    except Malformed:
        return Code.MALFORMED, governance
    wanted = site_rules_header(
        header.record_id, header.author_key_id, header.time_ms, announced, header.previous
    )
    standing = governance.sites.get(site)
    if standing is None or standing.key.key_id != header.author_key_id:
        return Code.KEY_ENDED, governance
    if announced.site != site or header._replace(content=b"") != wanted._replace(content=b""):
        return Code.NOT_PERMITTED, governance
    known = governance.site_rules.get(site)
    rules = frozenset(announced.rules)
    if known == rules:
        return Code.NOT_PERMITTED, governance
    return None, governance.changed(site_rules=with_entry(governance.site_rules, site, rules))
