"""What the sites know of each other: who last heard from a site, when, and how far it was.

A node asks the others about once a second how far they are. All times in it are the asking site's own clock, so that only differences on one clock are used.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from sento_client.site_status.report import WATCHES_PEERS, Look
from sento_proto.v1 import admin_pb2

FRESH_MS = 3_500
"""A site heard so recently may have answered just before it was lost."""


class Contact(NamedTuple):
    """`by` last heard from a site `age_ms` ago, when that site had flushed `size` records."""

    by: str
    age_ms: int
    size: int


class Contacts(NamedTuple):
    """What all sites that answer and watch the others say of one: the latest first. `never`: they have not heard from it in their own lives."""

    heard: tuple[Contact, ...]
    never: tuple[str, ...]
    lost: tuple[str, ...]
    """Those who say that they do not reach it, also those who never did."""


def contacts_of(look: Look, site: str) -> Contacts:
    """What the others say of `site`."""
    heard: list[Contact] = []
    never: list[str] = []
    lost: list[str] = []
    for by, status, peer in _peers(look, site):
        if not peer.reachable:
            lost.append(by)
        if peer.last_contact_ms:
            heard.append(Contact(by, max(0, status.now_ms - peer.last_contact_ms), peer.size))
        else:
            never.append(by)
    return Contacts(tuple(sorted(heard, key=lambda contact: contact.age_ms)), tuple(never), tuple(lost))


def heard_since(look: Look, before: Look | None, site: str) -> tuple[str, ...]:
    """Sites that heard from `site` after the look `before`, at which it already did not answer: it lives, and it is this computer that does not reach it."""
    if before is None or (then := before.report(site)) is None or then.status is not None:
        return ()
    return tuple(
        by
        for by, _, peer in _peers(look, site)
        if by in before.answers and peer.last_contact_ms > before.answers[by].now_ms
    )


def _peers(look: Look, site: str) -> Iterator[tuple[str, admin_pb2.StatusReply, admin_pb2.PeerStatus]]:
    for by, status in look.answers.items():
        if by != site and status.state in WATCHES_PEERS:
            yield from ((by, status, peer) for peer in status.peers if peer.site == site)
