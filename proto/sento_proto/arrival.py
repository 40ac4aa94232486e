"""An arrival receipt: a site's signed word about a set of volumes that was brought to it: what of it was good, and how far its ledger has come with it.

    file    a site's word (`site_word.py`) of format "sento-arrival-1", signed as "application/vnd.sento.arrival.v1"
    body    JSON: ledger_id, epoch, site, set, volumes [{number, verdict, digest}], size, block and root (of this site's ledger now), payloads_awaited, time_s

The volumes' verdicts are what the courier's program told the site; size, root and what is awaited the site says of itself. Pure.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import NamedTuple

from sento_proto import strict_json
from sento_proto.checkpoint import SiteKeys, SiteSigners
from sento_proto.keys import Signature
from sento_proto.merkle import HASH_BYTES
from sento_proto.pae import TYPE_ARRIVAL
from sento_proto.site_word import Kind, decode_word, sign_word, word_holds
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
_KIND = Kind("arrival", FORMAT, TYPE_ARRIVAL, ARRIVAL_MAX_BYTES)


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
    return sign_word(_KIND, content.ledger_id, content.site, _encode_body(content), signers)


def decode_arrival(data: bytes) -> SignedArrival:
    """The receipt in `data`; form only, no signature is verified. Raises Malformed."""
    word = decode_word(_KIND, data)
    content = _decode_body(word.body)
    if content.site != word.site:
        raise Malformed("arrival: the file names another site than what was signed")
    return SignedArrival(content, word.body, word.signatures)


def arrival_holds(signed: SignedArrival, ledger_id: bytes, keys: Iterable[SiteKeys]) -> bool:
    """Whether the receipt is of this ledger and one of these sets of keys (those the site has or had) signed it, with no signature left out."""
    return signed.content.ledger_id == ledger_id and word_holds(
        _KIND, ledger_id, signed.body, signed.signatures, keys
    )


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
