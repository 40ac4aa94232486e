"""An arrival receipt: a site's signed word about a set of volumes that was brought to it: what of it was good, and how far its ledger has come with it.

    file    {"format": "sento-arrival-1", "site": name, "body": base64, "signatures": [{"suite": n, "data": base64}]}
    signed  PAE("application/vnd.sento.arrival.v1", ledger id || SHA-256(body)), by the site's Ed25519 key, and its ML-DSA-44 key where it has one
    body    JSON: ledger_id, epoch, site, set, volumes [{number, verdict, digest}], size, block and root (of this site's ledger now), payloads_awaited, time_s

The volumes' verdicts are what the courier's program told the site; size, root and what is awaited the site says of itself. The body travels as the bytes that
were signed. Pure.
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
from sento_proto.merkle import HASH_BYTES
from sento_proto.pae import TYPE_ARRIVAL, pae
from sento_proto.strict_json import Fields
from sento_proto.submission import LEDGER_ID_BYTES
from sento_proto.volume import VOLUMES_MAX
from sento_proto.wire import Malformed

FORMAT = "sento-arrival-1"
VERDICTS = ("used", "damaged", "missing", "duplicate", "foreign")
ARRIVAL_MAX_BYTES = 3 * 1024 * 1024
"""A receipt is answered in one message."""
TEXT_MAX_CHARACTERS = 64
_NUMBER_MAX = 2**63 - 1


class ArrivedVolume(NamedTuple):
    """What became of one volume. `number`: what stands on its label; `digest`: SHA-256 of the file, empty where there is none."""

    number: str
    verdict: str
    digest: bytes


class Arrival(NamedTuple):
    """What a site says of a set that was brought to it. `size`, `block`, `root`: of its ledger behind the import, flushed."""

    ledger_id: bytes
    epoch: int
    site: str
    set_name: str
    volumes: tuple[ArrivedVolume, ...]
    size: int
    block: int
    root: bytes
    payloads_awaited: int
    time_s: int


class SignedArrival(NamedTuple):
    """A decoded receipt with the bytes that were signed. Whether its signatures hold is asked by `arrival_holds`."""

    content: Arrival
    body: bytes
    signatures: tuple[Signature, ...]


def check_arrived(volume: ArrivedVolume) -> None:
    """Raises Malformed unless the volume can stand in a receipt."""
    _read_volume(Fields(_volume_value(volume), "", "arrival"))


def sign_arrival(content: Arrival, signers: SiteSigners) -> bytes:
    """The receipt's file, under every signature that the site's keys demand."""
    body = _encode_body(content)
    message = _signed(content.ledger_id, body)
    signatures = [signers.ed25519.sign(message)]
    if signers.ml_dsa_44 is not None:
        signatures.append(signers.ml_dsa_44.sign(message))
    value = {
        "format": FORMAT,
        "site": content.site,
        "body": base64.b64encode(body).decode(),
        "signatures": [
            {"suite": one.suite, "data": base64.b64encode(one.data).decode()} for one in signatures
        ],
    }
    return json.dumps(value, indent=1).encode() + b"\n"


def decode_arrival(data: bytes) -> SignedArrival:
    """The receipt in `data`; form only, no signature is verified. Raises Malformed."""
    if len(data) > ARRIVAL_MAX_BYTES:
        raise Malformed(f"arrival: over {ARRIVAL_MAX_BYTES} bytes")
    fields = strict_json.load(data, "arrival")
    fields.choice("format", (FORMAT,))
    site, body = fields.institution("site"), fields.blob("body")
    signatures = fields.objects("signatures", _signature)
    fields.end()
    content = _decode_body(body)
    if content.site != site:
        raise Malformed("arrival: the file names another site than what was signed")
    return SignedArrival(content, body, signatures)


def arrival_holds(signed: SignedArrival, ledger_id: bytes, keys: Iterable[SiteKeys]) -> bool:
    """Whether the receipt is of this ledger and one of these sets of keys (those the site has or had) signed it, with no signature left out."""
    if signed.content.ledger_id != ledger_id:
        return False
    message = _signed(ledger_id, signed.body)
    return any(_signed_by(signed.signatures, one, message) for one in keys)


def _signed_by(signatures: tuple[Signature, ...], keys: SiteKeys, message: bytes) -> bool:
    wanted = [keys.ed25519] if keys.ml_dsa_44 is None else [keys.ed25519, keys.ml_dsa_44]
    return len(signatures) == len(wanted) and all(
        verifies(key, one, message) for key, one in zip(wanted, signatures, strict=True)
    )


def _signed(ledger_id: bytes, body: bytes) -> bytes:
    return pae(TYPE_ARRIVAL, ledger_id + hashlib.sha256(body).digest())


def _volume_value(volume: ArrivedVolume) -> dict[str, object]:
    return {"number": volume.number, "verdict": volume.verdict, "digest": volume.digest.hex()}


def _encode_body(content: Arrival) -> bytes:
    value = {
        "ledger_id": content.ledger_id.hex(),
        "epoch": content.epoch,
        "site": content.site,
        "set": content.set_name,
        "volumes": [_volume_value(volume) for volume in content.volumes],
        "size": content.size,
        "block": content.block,
        "root": content.root.hex(),
        "payloads_awaited": content.payloads_awaited,
        "time_s": content.time_s,
    }
    return json.dumps(value, separators=(",", ":")).encode()


def _decode_body(body: bytes) -> Arrival:
    fields = strict_json.load(body, "arrival's body")
    content = Arrival(
        ledger_id=fields.hex("ledger_id", LEDGER_ID_BYTES),
        epoch=fields.number("epoch", 0, 2**32 - 1),
        site=fields.institution("site"),
        set_name=_short(fields, "set"),
        volumes=fields.objects("volumes", _read_volume),
        size=fields.number("size", 0, _NUMBER_MAX),
        block=fields.number("block", 0, _NUMBER_MAX),
        root=fields.hex("root", HASH_BYTES),
        payloads_awaited=fields.number("payloads_awaited", 0, _NUMBER_MAX),
        time_s=fields.number("time_s", 0, _NUMBER_MAX),
    )
    fields.end()
    if len(content.volumes) > VOLUMES_MAX:
        raise Malformed(f"arrival: over {VOLUMES_MAX} volumes")
    return content


def _short(fields: Fields, name: str) -> str:
    text = fields.text(name)
    if not 0 < len(text) <= TEXT_MAX_CHARACTERS:
        raise fields.wrong(name, f"must have 1 to {TEXT_MAX_CHARACTERS} characters")
    return text


def _read_volume(fields: Fields) -> ArrivedVolume:
    number, verdict = _short(fields, "number"), fields.choice("verdict", VERDICTS)
    text = fields.text("digest")
    if len(text) not in (0, 2 * HASH_BYTES) or any(character not in "0123456789abcdef" for character in text):
        raise fields.wrong("digest", "must be 64 characters of 0-9 a-f, or empty")
    return ArrivedVolume(number, verdict, bytes.fromhex(text))


def _signature(fields: Fields) -> Signature:
    return Signature(fields.number("suite", 0, 0xFFFF), fields.blob("data"))
