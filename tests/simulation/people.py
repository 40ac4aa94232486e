"""Who there is in a world, and every private key: sites, institutions with keys to come, five officers with deputies, and further people who may take office.

Keys come from names, so that all worlds share them, and every signer can be found by the id of its key. An institution's first key is of Ed25519; its
spare ones are of Ed25519, of P-256, and with an ML-DSA-65 companion, in turn.
"""

from __future__ import annotations

import base64
import dataclasses
import functools
import json
from dataclasses import dataclass

from genesis_builder import TestWorld, build_genesis
from sento_client.testing.world import derived
from sento_proto.genesis import decode_genesis
from sento_proto.keys import CompanionSigner, Ed25519Signer, Signer
from sento_proto.software_signers import EcdsaP256Signer, HybridSigner, MlDsa65Signer

NAME = "sento-simulation"
AUTHORS = {
    "iizuka-city": (("residency", ""), ("tax", "")),
    "iizuka-hospital": (("health", "ward"),),
    "kaga-city": (("residency", ""),),
    "soo-village": (("residency", ""), ("tax", "")),
    "kaga-clinic": (("health", "clinic"),),
}
BUDGETS = {"soo-village": (14, 5)}
OFFICERS = ("mori", "abe", "ito", "kato", "ono")
WITHOUT_DEPUTY = ("ono",)
SPARE_KEYS = 9
WITH_COMPANION = ("iizuka-hospital", "kaga-clinic")
"""Under rules 3 they have a second key from the beginning, with a companion."""
Change = dict[str, object]


@dataclass(frozen=True, slots=True)
class People:
    """A world's beginning under one rules number, and how its people sign."""

    world: TestWorld
    genesis_bytes: bytes
    rules: int


@functools.cache
def beginning(sites: tuple[str, ...], rules: int, embassies: tuple[str, ...] = ()) -> People:
    """The genesis of all worlds with these sites and rules; nothing of it changes."""
    plain = build_genesis(
        sites, AUTHORS, budgets=BUDGETS, officers=(), rules=rules, name=NAME, embassies=embassies
    )
    document = json.loads(plain.genesis_bytes)
    people = []
    for name in OFFICERS:
        person: Change = {"name": name, "key": described(officer_signer(name))}
        if name not in WITHOUT_DEPUTY:
            person["deputy"] = {"name": f"{name}-deputy", "key": described(officer_signer(f"{name}-deputy"))}
        people.append(person)
    document["officers"] = {"threshold": 3, "people": people}
    document["readers"][0]["may_see"] = [{"registry": "tax", "compartment": ""}]
    document["readers"][0]["may_read"] = [{"registry": "residency", "compartment": ""}]
    if rules >= 3:
        for author in document["authors"]:
            if author["name"] in WITH_COMPANION:
                author["keys"].append(described(author_signer(author["name"], 3)))
    data = json.dumps(document, indent=1).encode()
    return People(dataclasses.replace(plain, genesis=decode_genesis(data), genesis_bytes=data), data, rules)


@functools.cache
def author_signer(author: str, number: int) -> Signer:
    """The key of that number; 0 stands in the genesis file."""
    if number == 0:
        return Ed25519Signer(derived(NAME, "author", author))
    seed = derived(NAME, "author", author, str(number))
    if number % 3 == 2:
        return EcdsaP256Signer.from_scalar(b"\x00" + seed[1:])
    if number % 3 == 0:
        return HybridSigner(
            Ed25519Signer(seed), MlDsa65Signer(derived(NAME, "companion", author, str(number)))
        )
    return Ed25519Signer(seed)


@functools.cache
def officer_signer(name: str, number: int = 0) -> Signer:
    """An officer's or deputy's key; `number` for those that come later."""
    seed = derived(NAME, "officer", name, *([str(number)] if number else []))
    return EcdsaP256Signer.from_scalar(b"\x00" + seed[1:]) if number % 3 == 2 else Ed25519Signer(seed)


@functools.cache
def author_signers(author: str) -> dict[bytes, Signer]:
    """All keys that an institution ever may have, by key id."""
    signers = (author_signer(author, number) for number in range(SPARE_KEYS))
    return {signer.public_key.key_id: signer for signer in signers}


def described(signer: Signer) -> dict[str, str]:
    """The key as genesis and acts name it."""
    key = signer.public_key
    value = {"suite": "ed25519" if key.suite == 1 else "ecdsa-p256", "public_key": base64_of(key.data)}
    if isinstance(signer, CompanionSigner):
        value["ml_dsa_65"] = base64_of(signer.companion_key.data)
    return value


def base64_of(data: bytes) -> str:
    """As JSON carries bytes."""
    return base64.b64encode(data).decode()


def scopes(*pairs: tuple[str, str]) -> list[dict[str, str]]:
    """Scopes as acts name them."""
    return [{"registry": registry, "compartment": compartment} for registry, compartment in pairs]
