"""A site's word in a file: a body that it signed, in the one envelope that arrival receipts and erasure certificates travel in.

    file    {"format": name of the kind, "site": name, "body": base64, "signatures": [{"suite": n, "data": base64}]}
    signed  PAE(type of the kind, ledger id || SHA-256(body)), by the site's Ed25519 key, and its ML-DSA-44 key where it has one

The body travels as the bytes that were signed and is never written anew. What a body says is its kind's matter. Pure.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable
from typing import NamedTuple

from sento_proto import strict_json
from sento_proto.checkpoint import SiteKeys, SiteSigners
from sento_proto.keys import Signature, verifies
from sento_proto.pae import pae
from sento_proto.strict_json import Fields
from sento_proto.wire import Malformed

_SIGNATURES_MAX = 2


class Kind(NamedTuple):
    """A kind of such files. `what`: for errors; `pae_type`: what its signatures are over."""

    what: str
    format: str
    pae_type: str
    max_bytes: int


class SiteWord(NamedTuple):
    """A decoded file. Whether its signatures hold is asked by `word_holds`."""

    site: str
    body: bytes
    signatures: tuple[Signature, ...]


def sign_word(kind: Kind, ledger_id: bytes, site: str, body: bytes, signers: SiteSigners) -> bytes:
    """The file, under every signature that the site's keys demand."""
    message = _signed(kind, ledger_id, body)
    signatures = [signers.ed25519.sign(message)]
    if signers.ml_dsa_44 is not None:
        signatures.append(signers.ml_dsa_44.sign(message))
    value = {
        "format": kind.format,
        "site": site,
        "body": base64.b64encode(body).decode(),
        "signatures": [
            {"suite": one.suite, "data": base64.b64encode(one.data).decode()} for one in signatures
        ],
    }
    return json.dumps(value, indent=1).encode() + b"\n"


def decode_word(kind: Kind, data: bytes) -> SiteWord:
    """The file's parts; form only, no signature is verified. Raises Malformed."""
    if len(data) > kind.max_bytes:
        raise Malformed(f"{kind.what}: over {kind.max_bytes} bytes")
    fields = strict_json.load(data, kind.what)
    fields.choice("format", (kind.format,))
    site, body = fields.institution("site"), fields.blob("body")
    signatures = fields.objects("signatures", _signature)
    fields.end()
    if not 1 <= len(signatures) <= _SIGNATURES_MAX:
        raise Malformed(f"{kind.what}: {len(signatures)} signatures; 1 to {_SIGNATURES_MAX} are allowed")
    return SiteWord(site, body, signatures)


def word_holds(
    kind: Kind, ledger_id: bytes, body: bytes, signatures: tuple[Signature, ...], keys: Iterable[SiteKeys]
) -> bool:
    """Whether exactly one of these sets of keys (those the site has or had) signed the body for this ledger, with no signature left out."""
    message = _signed(kind, ledger_id, body)
    return any(_signed_by(signatures, one, message) for one in keys)


def _signed_by(signatures: tuple[Signature, ...], keys: SiteKeys, message: bytes) -> bool:
    wanted = [keys.ed25519] if keys.ml_dsa_44 is None else [keys.ed25519, keys.ml_dsa_44]
    return len(signatures) == len(wanted) and all(
        verifies(key, one, message) for key, one in zip(wanted, signatures, strict=True)
    )


def _signed(kind: Kind, ledger_id: bytes, body: bytes) -> bytes:
    return pae(kind.pae_type, ledger_id + hashlib.sha256(body).digest())


def _signature(fields: Fields) -> Signature:
    return Signature(fields.number("suite", 0, 0xFFFF), fields.blob("data"))
