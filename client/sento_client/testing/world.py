"""A throw-away world: a genesis file, and the private side of every key that stands in it.

Keys come from names alone, so that the same names give the same bytes; whoever wants a world that nobody else has puts chance into `key_name`.
Such keys protect nothing and must never be enrolled in a ledger that holds anything real: the genesis file says `purpose: training`.
"""

from __future__ import annotations

import base64
import hashlib
import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sento_proto.genesis import FORMAT, Genesis, decode_genesis
from sento_proto.ids import uuid7
from sento_proto.kek_seal import XWING_SECRET_BYTES, xwing_public
from sento_proto.keys import Ed25519Signer

FIRST_TIME_MS = 1_767_225_600_000
"""2026-01-01T00:00:00Z."""
BUDGET = (10_000, 10_000)
"""(records, subjects) per 10,000 positions: more than can be written."""

Scopes = Sequence[tuple[str, str]]
"""(registry, compartment) pairs; compartment "*" is any."""


class Numbers:
    """Time and randomness from a seed: a clock that goes on 1 ms a question, and bytes."""

    def __init__(self, seed: int = 0) -> None:
        self._random = random.Random(seed)  # noqa: S311 - it is to be foreseen
        self.time_ms = FIRST_TIME_MS

    def next_time_ms(self) -> int:
        """One millisecond later than the last answer."""
        self.time_ms += 1
        return self.time_ms

    def take(self, count: int) -> bytes:
        """`count` bytes that only look random."""
        return self._random.randbytes(count)

    def fraction(self) -> float:
        """A number in [0, 1) that only looks random."""
        return self._random.random()

    def record_id(self) -> bytes:
        """The next UUIDv7, later than all before it."""
        return uuid7(self.next_time_ms(), self.take(10))


def derived(*names: str, size: int = 32) -> bytes:
    """`size` bytes that belong to these names and to nothing else: keys for tests, never for anything real."""
    return hashlib.shake_256("/".join(("sento test key", *names)).encode()).digest(size)


@dataclass(frozen=True, slots=True)
class World:
    """A genesis with the private side of every key in it. `seal_secrets`: X-Wing secrets (96 bytes) by institution."""

    genesis: Genesis
    genesis_bytes: bytes
    site_signers: dict[str, Ed25519Signer]
    author_signers: dict[str, Ed25519Signer]
    officer_signers: dict[str, Ed25519Signer]
    seal_secrets: dict[str, bytes]

    @property
    def ledger_id(self) -> bytes:
        """SHA-256 of the genesis file."""
        return self.genesis.ledger_id

    def key_id(self, author: str) -> bytes:
        """The 16-byte key id under which `author` signs."""
        return self.author_signers[author].public_key.key_id


def build_world(
    name: str,
    *,
    sites: Sequence[str],
    authors: Mapping[str, Scopes],
    readers: Mapping[str, Scopes],
    registries: Sequence[str],
    officers: Sequence[str] = (),
    budgets: Mapping[str, tuple[int, int]] | None = None,
    embassies: Sequence[str] = (),
    receipt_set: Sequence[str] | None = None,
    rules: int = 1,
    key_name: str | None = None,
) -> World:
    """A world of its own. `authors` and `readers`: institution -> what it may write, or read; an institution may be both.

    `budgets` are (records, subjects) per 10,000 positions, `BUDGET` for authors that are not named. `embassies` are sites without a vote. The receipt
    set is the voting sites unless named; its quorum is the smallest majority. Keys belong to `key_name`, or to the world's name. Raises Malformed when
    these cannot be a genesis."""
    keys_of = name if key_name is None else key_name
    site_signers = {site: _signer(keys_of, "site", site) for site in (*sites, *embassies)}
    author_signers = {author: _signer(keys_of, "author", author) for author in authors}
    officer_signers = {officer: _signer(keys_of, "officer", officer) for officer in officers}
    seal_secrets = {who: seal_secret(keys_of, who) for who in (*authors, *readers)}
    receipt_sites = list(sites if receipt_set is None else receipt_set)
    document = {
        "format": FORMAT,
        "name": name,
        "purpose": "training",
        "created": "2026-01-01T00:00:00Z",
        "rules": rules,
        "registries": list(registries),
        "sites": [_site(site, signer, site in sites) for site, signer in site_signers.items()],
        "receipt_set": {"sites": receipt_sites, "quorum": len(receipt_sites) // 2 + 1},
        "officers": {
            "threshold": len(officers) // 2 + 1 if officers else 0,
            "people": [{"name": officer, "key": _key(signer)} for officer, signer in officer_signers.items()],
        },
        "authors": [
            {
                "name": author,
                "keys": [_key(author_signers[author])],
                "may_write": _scopes(scopes),
                "budget_per_10000_positions": dict(
                    zip(("records", "subjects"), (budgets or {}).get(author, BUDGET), strict=True)
                ),
                "seal_key": _base64(xwing_public(seal_secrets[author])),
            }
            for author, scopes in authors.items()
        ],
        "readers": [
            {
                "name": reader,
                "may_read": _scopes(scopes),
                "seal_key": _base64(xwing_public(seal_secrets[reader])),
            }
            for reader, scopes in readers.items()
        ],
    }
    data = json.dumps(document, indent=2).encode() + b"\n"
    return World(
        genesis=decode_genesis(data),
        genesis_bytes=data,
        site_signers=site_signers,
        author_signers=author_signers,
        officer_signers=officer_signers,
        seal_secrets=seal_secrets,
    )


def seal_secret(key_name: str, institution: str) -> bytes:
    """An institution's X-Wing secret, 96 bytes."""
    return derived(key_name, "seal", institution, size=XWING_SECRET_BYTES)


def _signer(*names: str) -> Ed25519Signer:
    return Ed25519Signer(derived(*names))


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _key(signer: Ed25519Signer) -> dict[str, str]:
    return {"suite": "ed25519", "public_key": _base64(signer.public_key.data)}


def _scopes(scopes: Scopes) -> list[dict[str, str]]:
    return [{"registry": registry, "compartment": compartment} for registry, compartment in scopes]


def _site(name: str, signer: Ed25519Signer, votes: bool) -> dict[str, object]:
    return {
        "name": name,
        "key": _key(signer),
        "votes": votes,
        "country": name.partition("-")[0].upper(),
        "region": name.rpartition("-")[2],
        "hazard_zone": f"zone-{name}",
        "power": f"grid-{name}",
        "carrier": f"carrier-{name}",
        "provider": f"provider-{name}",
        "legal_basis": "test",
    }
