"""The bootstrap file: how a new site knows which ledger it copies. It comes by another way than the ledger, signed by the officers of today.

    file    {"format": "sento-bootstrap-1", "body": base64, "signatures": [{"officer_key_id": hex, "suite": n, "data": base64}, ...]}
    signed  PAE("application/vnd.sento.bootstrap.v1", ledger id || SHA-256(body)), by an officer or a deputy
    body    JSON: ledger_id, name, epoch, size, root, genesis (base64 of the file), receipt_set {sites [{name, key}], quorum},
            sites [{name, country, address, ordering_url, votes, ledger}], officers [{name, keys}], threshold, made_at_ms

`epoch`, `size` and `root` are of a checkpoint that a receipt-set quorum cosigned. Old keys, bought later, sign nothing that passes: who joins copies until its
own tree has that root at that size, and answers nobody before. Officers are named with their keys (the deputy's second), so that signatures can be judged
before a single record is there; that those are the officers of this ledger shows when the copied ledger's own governance says so. Pure.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from typing import NamedTuple

from sento_proto import limits, strict_json
from sento_proto.genesis import Genesis, decode_genesis
from sento_proto.governance.parts import ReceiptSet, Site, read_address, read_key, read_ordering_url
from sento_proto.governance.state import Governance
from sento_proto.keys import PublicKey, Signature, Signer, Suite, verifies
from sento_proto.merkle import HASH_BYTES
from sento_proto.pae import TYPE_BOOTSTRAP, pae
from sento_proto.strict_json import Fields
from sento_proto.submission import LEDGER_ID_BYTES, OfficerSignature
from sento_proto.wire import Malformed

FORMAT = "sento-bootstrap-1"
BOOTSTRAP_MAX_BYTES = 3 * limits.GENESIS_MAX_BYTES
KEY_ID_BYTES = 16
_NUMBER_MAX = 2**63 - 1
_SUITE_NAMES = {Suite.ED25519: "ed25519", Suite.ECDSA_P256: "ecdsa-p256"}


class BootstrapSite(NamedTuple):
    """A site as the file names it: where it is reached, whether it votes and keeps the ledger."""

    name: str
    country: str
    address: str
    ordering_url: str
    votes: bool
    ledger: bool


class BootstrapOfficer(NamedTuple):
    """An office: its own key, and the deputy's second if there is one."""

    name: str
    keys: tuple[PublicKey, ...]


class Bootstrap(NamedTuple):
    """What the file says. `genesis_file`: its bytes, whose hash is the ledger id."""

    ledger_id: bytes
    name: str
    epoch: int
    size: int
    root: bytes
    genesis_file: bytes
    receipt_set: ReceiptSet
    receipt_keys: tuple[tuple[str, PublicKey], ...]
    sites: tuple[BootstrapSite, ...]
    officers: tuple[BootstrapOfficer, ...]
    threshold: int
    made_at_ms: int

    @property
    def genesis(self) -> Genesis:
        """The genesis, decoded. Raises Malformed."""
        return decode_genesis(self.genesis_file)

    def site(self, name: str) -> BootstrapSite | None:
        """The site of that name."""
        return next((site for site in self.sites if site.name == name), None)


class SignedBootstrap(NamedTuple):
    """A decoded file, with the bytes that were signed. Whether enough signed is asked by `check_signed`."""

    content: Bootstrap
    body: bytes
    signatures: tuple[OfficerSignature, ...]


class NotSigned(Exception):
    """The signatures under the file do not make it count. The text is one sentence."""


def bootstrap_of(
    governance: Governance, genesis_file: bytes, checkpoint: tuple[int, int, bytes], made_at_ms: int
) -> Bootstrap:
    """What governance, as it stands at the checkpoint (epoch, size, root), makes of a file."""
    epoch, size, root = checkpoint
    return Bootstrap(
        ledger_id=governance.ledger_id,
        name=governance.name,
        epoch=epoch,
        size=size,
        root=root,
        genesis_file=genesis_file,
        receipt_set=governance.receipt_set,
        receipt_keys=tuple((name, governance.sites[name].key) for name in governance.receipt_set.sites),
        sites=tuple(_site_of(site) for site in governance.sites.values()),
        officers=tuple(
            BootstrapOfficer(name, officer.keys) for name, officer in governance.officers.people.items()
        ),
        threshold=governance.officers.threshold,
        made_at_ms=made_at_ms,
    )


def _site_of(site: Site) -> BootstrapSite:
    return BootstrapSite(site.name, site.country, site.address, site.ordering_url, site.votes, site.ledger)


def signed_bytes(ledger_id: bytes, body: bytes) -> bytes:
    """What an officer signs."""
    return pae(TYPE_BOOTSTRAP, ledger_id + hashlib.sha256(body).digest())


def sign_bootstrap(signed: SignedBootstrap, signer: Signer) -> SignedBootstrap:
    """The file with one more signature. Raises NotSigned for a key that is not of an officer whom it names, and for an office that signed already."""
    key_id = signer.public_key.key_id
    office = office_of(signed.content, key_id)
    if office is None:
        raise NotSigned("This key is of nobody who is in office by this file.")
    if office in {office_of(signed.content, known.officer_key_id) for known in signed.signatures}:
        raise NotSigned(f"{office} or the deputy signed already; an officer and the deputy count once.")
    signature = signer.sign(signed_bytes(signed.content.ledger_id, signed.body))
    return signed._replace(signatures=(*signed.signatures, OfficerSignature(key_id, signature)))


def office_of(content: Bootstrap, key_id: bytes) -> str | None:
    """The office that a key signs for by the file's own word."""
    for officer in content.officers:
        if any(key.key_id == key_id for key in officer.keys):
            return officer.name
    return None


def signers_of(signed: SignedBootstrap) -> tuple[str, ...]:
    """The offices that signed, by the file's own word on who is in office. Raises NotSigned for a signature of somebody else, one that does not verify, and
    an office that stands twice."""
    message = signed_bytes(signed.content.ledger_id, signed.body)
    keys = {key.key_id: key for officer in signed.content.officers for key in officer.keys}
    offices: list[str] = []
    for key_id, signature in signed.signatures:
        office = office_of(signed.content, key_id)
        if office is None:
            raise NotSigned("A signature is of a person who is not in office by this file.")
        if not verifies(keys[key_id], signature, message):
            raise NotSigned(f"The signature of {office} does not verify: the file was altered.")
        if office in offices:
            raise NotSigned(f"{office} stands twice under the file; an officer and the deputy count once.")
        offices.append(office)
    return tuple(offices)


def check_signed(signed: SignedBootstrap) -> tuple[str, ...]:
    """The offices that signed, at least as many as act together. Raises NotSigned."""
    offices, needed = signers_of(signed), signed.content.threshold
    if len(offices) < needed:
        raise NotSigned(f"{len(offices)} officers signed the file and {needed} are needed.")
    return offices


def differs_from_ledger(content: Bootstrap, governance: Governance, root: bytes) -> str:
    """Why the file is not of the ledger whose tree at the file's size has `root` and whose governance, there or later, is `governance`; "" when it is."""
    if governance.ledger_id != content.ledger_id:
        return "it is of another ledger"
    if root != content.root:
        return f"the ledger's tree at size {content.size} has another root"
    quorum = governance.receipt_quorum_at(content.size)
    named = {name: key.key_id for name, key in content.receipt_keys}
    if {name: keys.ed25519.key_id for name, keys in quorum.keys.items()} != named:
        return f"the ledger's receipt set at size {content.size} is another"
    if quorum.quorum != content.receipt_set.quorum:
        return f"the ledger's quorum at size {content.size} is another"
    for officer in content.officers:
        if any(governance.officer_keys_ever.get(key.key_id) != key for key in officer.keys):
            return f"{officer.name} was never in office with that key"
    return ""


def others_in_office(content: Bootstrap, governance: Governance) -> str:
    """Why the file's officers are not those in office by `governance`, which is the ledger's at the file's size; "" when they are. Without this question
    officers who left could sign a file of today with the keys that they kept."""
    place = (content.epoch, content.size, content.root)
    ours = bootstrap_of(governance, content.genesis_file, place, content.made_at_ms)
    if (content.officers, content.threshold) != (ours.officers, ours.threshold):
        return f"other officers were in office at size {content.size}"
    return ""


def encode_bootstrap(signed: SignedBootstrap) -> bytes:
    """The file."""
    value = {
        "format": FORMAT,
        "body": base64.b64encode(signed.body).decode(),
        "signatures": [
            {
                "officer_key_id": one.officer_key_id.hex(),
                "suite": one.signature.suite,
                "data": base64.b64encode(one.signature.data).decode(),
            }
            for one in signed.signatures
        ],
    }
    return json.dumps(value, indent=1).encode() + b"\n"


def unsigned(content: Bootstrap) -> SignedBootstrap:
    """The file before anybody signed."""
    return SignedBootstrap(content, encode_body(content), ())


def decode_bootstrap(data: bytes) -> SignedBootstrap:
    """The file; form only, but its genesis hashes to its ledger id. Raises Malformed."""
    if len(data) > BOOTSTRAP_MAX_BYTES:
        raise Malformed(f"bootstrap: over {BOOTSTRAP_MAX_BYTES} bytes")
    fields = strict_json.load(data, "bootstrap")
    fields.choice("format", (FORMAT,))
    body = fields.blob("body")
    signatures = fields.objects("signatures", _signature)
    fields.end()
    return SignedBootstrap(_decode_body(body), body, signatures)


def _signature(fields: Fields) -> OfficerSignature:
    key_id = fields.hex("officer_key_id", KEY_ID_BYTES)
    return OfficerSignature(key_id, Signature(fields.number("suite", 0, 255), fields.blob("data")))


def encode_body(content: Bootstrap) -> bytes:
    """The bytes that are signed and travel."""
    value = {
        "ledger_id": content.ledger_id.hex(),
        "name": content.name,
        "epoch": content.epoch,
        "size": content.size,
        "root": content.root.hex(),
        "genesis": base64.b64encode(content.genesis_file).decode(),
        "receipt_set": {
            "sites": [{"name": name, "key": _key_value(key)} for name, key in content.receipt_keys],
            "quorum": content.receipt_set.quorum,
        },
        "sites": [site._asdict() for site in content.sites],
        "officers": [
            {"name": officer.name, "keys": [_key_value(key) for key in officer.keys]}
            for officer in content.officers
        ],
        "threshold": content.threshold,
        "made_at_ms": content.made_at_ms,
    }
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def _key_value(key: PublicKey) -> dict[str, str]:
    return {"suite": _SUITE_NAMES[Suite(key.suite)], "public_key": base64.b64encode(key.data).decode()}


def _decode_body(body: bytes) -> Bootstrap:
    fields = strict_json.load(body, "bootstrap's body")
    receipt_keys, quorum = fields.inner("receipt_set", _receipt_set)
    content = Bootstrap(
        ledger_id=fields.hex("ledger_id", LEDGER_ID_BYTES),
        name=fields.text("name"),
        epoch=fields.number("epoch", 0, 2**32 - 1),
        size=fields.number("size", 1, _NUMBER_MAX),
        root=fields.hex("root", HASH_BYTES),
        genesis_file=fields.blob("genesis"),
        receipt_set=ReceiptSet(tuple(name for name, _ in receipt_keys), quorum),
        receipt_keys=receipt_keys,
        sites=fields.objects("sites", _read_site),
        officers=fields.objects("officers", _read_officer),
        threshold=fields.number("threshold", 1, 255),
        made_at_ms=fields.number("made_at_ms", 0, _NUMBER_MAX),
    )
    fields.end()
    _check(content)
    return content


def _check(content: Bootstrap) -> None:
    if hashlib.sha256(content.genesis_file).digest() != content.ledger_id:
        raise Malformed("bootstrap's body: genesis is not the file whose hash is ledger_id")
    _once("sites", [site.name for site in content.sites])
    _once("officers", [officer.name for officer in content.officers])
    _once("keys", [key.key_id.hex() for officer in content.officers for key in officer.keys])
    if not content.receipt_set.is_majority or not set(content.receipt_set.sites) <= {
        site.name for site in content.sites
    }:
        raise Malformed("bootstrap's body: receipt_set is not a majority of sites that it names")
    if not len(content.officers) // 2 < content.threshold <= len(content.officers):
        raise Malformed("bootstrap's body: threshold must be more than half of the officers")


def _once(what: str, names: Sequence[str]) -> None:
    if len(set(names)) != len(names):
        raise Malformed(f"bootstrap's body: {what} has one entry twice")


def _receipt_set(fields: Fields) -> tuple[tuple[tuple[str, PublicKey], ...], int]:
    return fields.objects("sites", _read_receipt_key), fields.number("quorum", 1, 1000)


def _read_receipt_key(fields: Fields) -> tuple[str, PublicKey]:
    return fields.institution("name"), fields.inner("key", read_key)


def _read_site(fields: Fields) -> BootstrapSite:
    return BootstrapSite(
        name=fields.institution("name"),
        country=fields.text("country"),
        address=read_address(fields),
        ordering_url=read_ordering_url(fields),
        votes=fields.flag("votes"),
        ledger=fields.flag("ledger"),
    )


def _read_officer(fields: Fields) -> BootstrapOfficer:
    name, keys = fields.text("name"), fields.objects("keys", read_key)
    if not 1 <= len(keys) <= 2:
        raise fields.wrong("keys", "must be the officer's, and the deputy's if there is one")
    return BootstrapOfficer(name, keys)
