"""Writing the genesis file: the plan and the public keys as JSON that people read; its bytes are the ledger's name.

The decoder in `sento_proto.genesis` is the authority on the form: what is written here is decoded before it is handed out, so that a world that no
site would accept is never written.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping

from sento_drill.keys import DevelopmentKeys, public_bytes
from sento_drill.places import Place
from sento_drill.plan import AuthorPlan, ReaderPlan, WorldPlan
from sento_proto.genesis import FORMAT, Scope, decode_genesis
from sento_proto.kek_seal import xwing_public
from sento_proto.software_signers import MlDsa44Signer

BUDGET_PER_10000_POSITIONS = {"records": 10_000, "subjects": 10_000}
"""A drill may fill the ledger alone; a ministry's budget is what it usually writes and a margin."""


def genesis_bytes(
    plan: WorldPlan, keys: DevelopmentKeys, created: str, ordering_urls: Mapping[str, str] | None = None
) -> bytes:
    """The file, UTF-8, indented by two. `created` is an RFC 3339 time; `ordering_urls`: site -> where its member is or would be reached, where the file
    is to say it. Raises Malformed when the plan cannot be a genesis."""
    document = {
        "format": FORMAT,
        "name": plan.name,
        "purpose": plan.purpose,
        "created": created,
        "rules": plan.rules,
        "registries": list(plan.registries),
        "sites": [_site(place, keys) | _member(place, ordering_urls or {}) for place in plan.sites],
        "receipt_set": {"sites": list(plan.receipt_sites), "quorum": plan.receipt_quorum},
        "officers": {
            "threshold": plan.officers_threshold,
            "people": [_officer(officer, plan, keys) for officer in plan.officers],
        },
        "authors": [_author(author, keys) for author in plan.authors],
        "readers": [_reader(reader, keys) for reader in plan.readers],
    }
    data = (json.dumps(document, indent=2, ensure_ascii=False) + "\n").encode("utf-8")
    decode_genesis(data)
    return data


def _site(place: Place, keys: DevelopmentKeys) -> dict[str, object]:
    return {
        "name": place.site,
        "key": _key(keys.site_seeds[place.site]),
        "ml_dsa_44": _base64(MlDsa44Signer(keys.site_ml_dsa_seeds[place.site]).public_key.data),
        "votes": place.votes,
        **({} if place.ledger else {"ledger": False}),
        "country": place.country,
        "region": place.region,
        "hazard_zone": place.hazard_zone,
        "power": place.power,
        "carrier": place.carrier,
        "provider": place.provider,
        "legal_basis": place.legal_basis,
    }


def _member(place: Place, ordering_urls: Mapping[str, str]) -> dict[str, object]:
    url = ordering_urls.get(place.site)
    return {} if url is None else {"ordering_url": url}


def _officer(officer: str, plan: WorldPlan, keys: DevelopmentKeys) -> dict[str, object]:
    deputy = plan.deputy_of.get(officer)
    acting = {} if deputy is None else {"deputy": _person(deputy, keys)}
    return {**_person(officer, keys), **acting}


def _person(name: str, keys: DevelopmentKeys) -> dict[str, object]:
    seal_key = xwing_public(keys.share_secrets[name])
    return {"name": name, "key": _key(keys.officer_seeds[name]), "seal_key": _base64(seal_key)}


def _author(author: AuthorPlan, keys: DevelopmentKeys) -> dict[str, object]:
    return {
        "name": author.name,
        "keys": [_key(keys.author_seeds[author.name])],
        "may_write": [_scope(scope) for scope in author.may_write],
        "budget_per_10000_positions": BUDGET_PER_10000_POSITIONS,
        "seal_key": _base64(keys.seal_public(author.name)),
    }


def _reader(reader: ReaderPlan, keys: DevelopmentKeys) -> dict[str, object]:
    may_see = {"may_see": [_scope(scope) for scope in reader.may_see]} if reader.may_see else {}
    return {
        "name": reader.name,
        "may_read": [_scope(scope) for scope in reader.may_read],
        **may_see,
        "seal_key": _base64(keys.seal_public(reader.name)),
    }


def _scope(scope: Scope) -> dict[str, str]:
    return {"registry": scope.registry, "compartment": scope.compartment}


def _key(seed: bytes) -> dict[str, str]:
    return {"suite": "ed25519", "public_key": _base64(public_bytes(seed))}


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
