#!/usr/bin/env python3
"""Sento's audit kit: proves receipts, trust files, exports, checkpoints, erasure certificates and proofs of fraud, with no site and no network.

    python audit_kit.py [--ledger-id HEX] [--genesis FILE] [--trust FILE] [--fork EPOCH:SIZE:ROOT] [--explain] [--json] FILES...

One file on Python 3.9+ and `cryptography` alone; it shares no line with the rest of Sento. FORMAT.md beside it says what every byte means. Results:

    ok                what the item says is proven         failed            it is not: something is false, or not in its one form
    not checked       the files do not say enough to tell  could not check   a key or ML-DSA is missing here, or this kit is too old
    lost with epoch   it was true, and a recovery went on from a smaller tree

Exit code: 0 nothing failed; 1 something failed; 2 wrong use; 3 nothing failed, but something could not be checked or is lost with its epoch.
"""

from __future__ import annotations

import argparse
import base64
import functools
import gzip
import hashlib
import json
import re
import struct
import sys
from collections import Counter, namedtuple
from pathlib import Path
from types import SimpleNamespace as Told
from typing import Any, Callable, Iterable, Iterator

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
try:
    from cryptography.hazmat.primitives.asymmetric import mldsa
except ImportError:  # an older library: what ML-DSA signed is then "could not check"
    mldsa = None

OK, FAILED, NOT_CHECKED, COULD_NOT, LOST = "ok", "failed", "not checked", "could not check", "lost with epoch"
RULES_KNOWN = (1, 2, 3, 4)
ZERO16, ZERO32, FILE_MAX_BYTES, LINE_MAX_BYTES = bytes(16), bytes(32), 1 << 28, 1 << 22
SUITES = {"ed25519": 1, "ecdsa-p256": 2}  # 3 is ML-DSA-65, 4 is ML-DSA-44
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
PRIME, ORDER_8_Y = 2**255 - 19, 0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826
SMALL_ORDER_Y = (0, 1, PRIME - 1, ORDER_8_Y, PRIME - ORDER_8_Y)  # with such an Ed25519 key anybody can sign
Explain = Told(on=False)

# ---- words -----------------------------------------------------------------------------------------------------------

class Finding(Exception):
    """An item's end other than ok: (result, why)."""

def must(holds: Any, why: str) -> None:
    """Go on only if it holds; None says that it cannot be told here."""
    if not holds:
        raise Finding(COULD_NOT if holds is None else FAILED, why)

def explain(words: str) -> None:
    if Explain.on:
        print("    " + words)

def shown(data: bytes) -> str:
    return data.hex() if len(data) <= 256 else f"{data[:128].hex()}...{data[-64:].hex()} ({len(data)} bytes)"

def sha(rule: str, data: bytes) -> bytes:
    digest = hashlib.sha256(data).digest()
    if Explain.on:
        explain(f"{rule}: SHA-256 of {shown(data)} is {digest.hex()}")
    return digest

# ---- JSON with nothing missing, doubled or left over -----------------------------------------------------------------

def load(text: Any) -> Any:
    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        must(len(dict(pairs)) == len(pairs), "a JSON member stands twice")
        return dict(pairs)
    return json.loads(text.decode("utf-8") if isinstance(text, bytes) else text, object_pairs_hook=once)

@functools.lru_cache(maxsize=None)
def parts_of(shape: str) -> list[tuple[str, str, bool]]:
    pairs = [part.split(":") for part in shape.split()]
    return [(name.rstrip("?"), kind, name.endswith("?")) for name, kind in pairs]

def take(value: Any, shape: str) -> Any:
    """The members of an object, decoded, by a shape such as `size:n path:32* record?:o`: a missing optional one is None.

    Kinds: n number, N number or null, f flag, s text, o object, b base64, <n> hex of n bytes, c checkpoint, h head statement, k block; * a list."""
    must(type(value) is dict, "a JSON object is missing")
    parts = parts_of(shape)
    odd = set(value) ^ {name for name, _, optional in parts if not optional or name in value}
    must(not odd, f"a member is missing or unknown: {min(odd, default='')!a}")
    return Told(**{name: decoded(value[name], kind) if name in value else None for name, kind, _ in parts})

def decoded(value: Any, kind: str) -> Any:
    if kind.endswith("*"):
        must(type(value) is list, "a list is missing")
        return [decoded(item, kind[:-1]) for item in value]
    if kind in "nN":
        must((type(value) is int and 0 <= value < 2**63) or (kind == "N" and value is None), "a number is missing")
        return value
    must(type(value) is {"f": bool, "o": dict}.get(kind, str), f"a member is not of its kind {kind}")
    if kind.isdigit():
        must(bool(re.fullmatch("[0-9a-f]{%d}" % (2 * int(kind)), value)), f"no hex of {kind} bytes")
        return bytes.fromhex(value)
    if kind in "bhk":
        data = base64.b64decode(value, validate=True)
        must(base64.b64encode(data).decode() == value, "not in its one base64 form")
        return {"b": bytes, "h": read_head, "k": read_block}[kind](data)
    return read_note(value) if kind == "c" else value

# ---- keys and signatures: a key is (suite, bytes), a signature too ---------------------------------------------------

def key_id(key: Any) -> bytes:
    return hashlib.sha256(bytes((key[0],)) + key[1]).digest()[:16]

def verifies(key: Any, signature: Any, message: bytes) -> bool | None:
    """None where this computer cannot tell. What anybody could sign with, and a second form of a signature, is no."""
    (suite, data), (number, signed) = key, signature
    try:
        if suite != number:
            return False
        if suite == 1:
            y = int.from_bytes(data, "little") % 2**255
            if y >= PRIME or y in SMALL_ORDER_Y:
                return False
            ed25519.Ed25519PublicKey.from_public_bytes(data).verify(signed, message)
        elif suite == 2:
            r, s = int.from_bytes(signed[:32], "big"), int.from_bytes(signed[32:], "big")
            if len(signed) != 64 or len(data) != 33 or not (0 < r < P256_ORDER and 0 < s <= P256_ORDER // 2):
                return False
            point = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), data)
            point.verify(encode_dss_signature(r, s), message, ec.ECDSA(hashes.SHA256()))
        elif mldsa is None or not any(data[32:]):
            return None if mldsa is None else False
        else:
            kind = mldsa.MLDSA65PublicKey if suite == 3 else mldsa.MLDSA44PublicKey
            kind.from_public_bytes(data).verify(signed, message)
    except (InvalidSignature, ValueError):
        return False
    except UnsupportedAlgorithm:
        return None
    return True

def best(results: Iterable[bool | None]) -> bool | None:
    found = set(results)
    return True if True in found else None if None in found else False

def all_verify(who: str, keys: Any, signatures: Any, message: bytes) -> bool | None:
    """Whether exactly these keys signed, each once, in this order."""
    held = [verifies(key, signature, message) for key, signature in zip(keys, signatures)]
    for key, holds in zip(keys, held):
        told = "holds" if holds else "could not be checked" if holds is None else "does NOT hold"
        explain(f"signature of {who}, suite {key[0]}, key {shown(key[1])}, over {shown(message)}: {told}")
    return len(keys) == len(signatures) and False not in held and (None if None in held else True)

def pae(kind: str, body: bytes) -> bytes:
    name = f"application/vnd.sento.{kind}.v1".encode()
    return b"DSSEv1 %d %s %d %s" % (len(name), name, len(body), body)

# ---- bytes: headers, head statements, blocks, checkpoints ------------------------------------------------------------

HEADER = "record_id author_key_id time_ms key_epoch payload_bytes subject fact previous group dek_commit registry compartment kind"
Header = namedtuple("Header", HEADER + " content")
Head = namedtuple("Head", "ledger_id epoch size root registry subject last link site signatures body")
Block = namedtuple("Block", "ledger_id epoch lane seq key digest signatures")
Note = namedtuple("Note", "ledger_id epoch size root text lines")

class Bytes:
    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def take(self, count: int) -> bytes:
        must(self.at + count <= len(self.data), "the bytes end too early")
        self.at += count
        return self.data[self.at - count : self.at]

    def number(self, count: int) -> int:
        return int.from_bytes(self.take(count), "big")

    def name(self, least: int = 1) -> str:
        name = self.take(self.number(1)).decode("ascii")
        must(bool(re.fullmatch("[a-z0-9/-]{%d,64}" % least, name)), "a name is none")
        return name

    def signatures(self, count: int) -> Any:
        found = [(self.number(1), self.take(self.number(2))) for _ in range(count)]
        must(self.at == len(self.data) and [f[0] for f in found] == sorted({f[0] for f in found}), "signatures not in form")
        return found

def read_header(data: bytes) -> Header:
    read = Bytes(data)
    version, *fixed = struct.unpack(">I16s16sQII32s16s32s16s32s", read.take(180))
    header = Header(*fixed, read.name(), read.name(0), read.name(), read.take(read.number(4)))
    must(version == 0x01010000 and read.at == len(data), "the header is of no known version, or goes on")
    must(header.record_id[6] >> 4 == 7 and header.record_id[8] >> 6 == 2, "the record id is no UUID of version 7")
    must((header.payload_bytes == 0) == (header.dek_commit == ZERO32), "a payload without its key's commitment")
    must(not header.content or header.registry in ("governance", "keys"), "clear content outside its registries")
    return header

def read_head(data: bytes) -> Head:
    read = Bytes(data)
    must(read.number(1) == 1, "no head statement")
    ledger_id, epoch, size, root = read.take(32), read.number(4), read.number(8), read.take(32)
    registry, subject, has, last, link = read.name(), read.take(32), read.number(1), read.number(8), read.take(32)
    must(last < size if has == 1 else (has, last, link) == (0, 0, ZERO32), "the head is not in its one form")
    body, site = data[1 : read.at], read.name()
    signatures = read.signatures(read.number(1))
    return Head(ledger_id, epoch, size, root, registry, subject, last if has else None, link, site, signatures, body)

def read_block(data: bytes) -> Block:
    read = Bytes(data)
    must(read.number(1) == 1, "no block")
    ledger_id, epoch, key, lane, seq = read.take(32), read.number(4), read.take(16), read.name(), read.number(8)
    for _ in range(read.number(4)):
        read.take(read.number(4))
    return Block(ledger_id, epoch, lane, seq, key, sha("block", data[: read.at]), read.signatures(1))

def read_note(text: str) -> Note:
    """A C2SP signed note of three lines; its signature lines as (name, key hash, data)."""
    body, _, rest = text.partition("\n\n")
    form = r"([0-9a-f]{64})/(0|[1-9][0-9]{0,9})\n(0|[1-9][0-9]{0,18})\n([A-Za-z0-9+/]{43}=)"
    match, lines = re.fullmatch(form, body), re.findall("— ([a-z0-9-]{1,32}) ([A-Za-z0-9+/=]+)\n", rest)
    must(match and "".join(f"— {name} {data}\n" for name, data in lines) == rest or False, "no checkpoint in form")
    origin, epoch, size, root = match.groups()  # type: ignore[union-attr]
    blobs = [(name, decoded(data, "b")) for name, data in lines]
    found = [(name, blob[:4], blob[4:]) for name, blob in blobs]
    return Note(bytes.fromhex(origin), int(epoch), int(size), decoded(root, "b"), body.encode() + b"\n", found)

def vouched(note: Note, site: str, keys: Any, bare: bool = False) -> bool | None:
    """Whether the site cosigned with all its keys (0x04, and 0x06 of one time). `bare`: or, having one key, signed the note (0x01)."""
    def lines(kind: int, key: Any) -> list[bytes]:
        known = hashlib.sha256(site.encode() + b"\n" + bytes((kind,)) + key[1]).digest()[:4]
        return [data for name, key_hash, data in note.lines if (name, key_hash) == (site, known) and len(data) > 8]
    found: list[bool | None] = []
    for first in lines(4, keys[0]):
        message = b"cosignature/v1\ntime %d\n" % int.from_bytes(first[:8], "big") + note.text
        held = all_verify(site, keys[:1], [(1, first[8:])], message)
        if held and len(keys) == 2:
            name, origin = site.encode(), note.text.partition(b"\n")[0]
            message = b"subtree/v1\n\0%c%b%b%c%b" % (len(name), name, first[:8], len(origin), origin)
            message += struct.pack(">QQ", 0, note.size) + note.root
            twins = [data[8:] for data in lines(6, keys[1]) if data[:8] == first[:8]]
            held = best(all_verify(site, keys[1:], [(4, data)], message) for data in twins)
        found.append(held)
    if bare and len(keys) == 1:
        found += [all_verify(site, keys, [(1, data)], note.text) for data in lines(1, keys[0])]
    return best(found)

# ---- the tree: RFC 6962 ----------------------------------------------------------------------------------------------

def node(left: bytes, right: bytes) -> bytes:
    return sha("node (01, left, right)", b"\1" + left + right)

def path_root(leaf: bytes, index: int, size: int, path: list[bytes]) -> bytes | None:
    """The root that an inclusion path leads to (RFC 9162, 2.1.3.2); None when it does not fit a tree of that size."""
    last = size - 1
    for sibling in path:
        if not 0 <= index <= last or last == 0:
            return None
        leaf = node(sibling, leaf) if index & 1 or index == last else node(leaf, sibling)
        while index == last and not index & 1 and index:
            index, last = index >> 1, last >> 1
        index, last = index >> 1, last >> 1
    return leaf if index == last == 0 else None

class Tree:
    """The complete subtrees at a growing tree's right edge, largest first."""
    def __init__(self) -> None:
        self.size, self.edge = 0, []  # type: int, list[bytes]

    def append(self, leaf: bytes) -> None:
        size, self.size = self.size, self.size + 1
        while size & 1:
            leaf, size = node(self.edge.pop(), leaf), size >> 1
        self.edge.append(leaf)

    def root(self) -> bytes:
        return functools.reduce(lambda right, left: node(left, right), self.edge[::-1]) if self.edge else sha("", b"")

# ---- records ---------------------------------------------------------------------------------------------------------

BARE = "position:n record_hash:32 header:b payload_hash:32"
RECORD = BARE + " submission:o payload?:b link?:32 previous_of_subject?:N"
HIDDEN = "position:n record_hash:32 link:32 previous_of_subject:N hidden:f"

def read_record(value: Any, shape: str = RECORD) -> Any:
    """A record, its `head` decoded, once its hash covers header and payload."""
    record = take(value, shape)
    body = b"\0" + struct.pack(">I", len(record.header)) + record.header + record.payload_hash
    must(sha("leaf (00, header length, header, payload hash)", body) == record.record_hash, "the record hash is not its own")
    record.head = read_header(record.header)
    if getattr(record, "payload", None) is not None:
        must(sha("payload", record.payload) == record.payload_hash, "the payload is not the one that was hashed")
    return record

# ---- governance: whose keys counted when, by the genesis file and officers' acts -------------------------------------

NO_EFFECT_HERE = set(
    "retire-key permit withdraw set-budget grant-budget set-policy enrol-reader revoke-reader replace-seal-key add-registry"
    " start-key-epoch close-key-epoch set-recovery-key unlock delay-read-log release-read-log require-key-agent"
    " end-key-agent".split())
SUBMISSION = "author_key_id:16 count:n index:n path:32* signatures:o* officers:o* epoch:n"
ACTS = hashlib.sha256(b"sento governance").digest()

def read_keys(told: Any) -> list[Any]:
    """A key, and its ML-DSA-65 companion if it has one. What a hash covers needs no strictness here: its author answered for it."""
    key = [(SUITES[told["suite"]], base64.b64decode(told["public_key"]))]
    return key + ([(3, base64.b64decode(told["ml_dsa_65"]))] if "ml_dsa_65" in told else [])

class Governance:
    """Keys, receipt sets, officers and erasure orders. `size`: below it acts are known; what an act at p changes holds from p + 1."""
    def __init__(self, genesis: bytes) -> None:
        told = load(genesis)
        must(told["format"] == "sento-genesis-1", "no genesis file")
        self.ledger_id = sha("ledger id: the genesis file", genesis)
        self.rules, self.size, self.epoch, self.last_act, self.memo = told["rules"], 0, 0, ZERO32, None
        self.sites, self.site_keys = {}, []  # type: dict[str, Any], list[Any]  # name to keys, now; (name, keys), ever
        self.signers: dict[bytes, Any] = {}  # by key id, ever
        self.officers: dict[str, Any] = {}  # name: [own key, deputy's key]
        self.orders: dict[int, Any] = {}  # erasures by position
        self.receipt_sets, self.acts = [], {}  # type: list[Any], dict[int, bytes]
        for kind, many in (("site", "sites"), ("author", "authors")):
            for one in told[many]:
                self.change({"do": "enrol-" + kind, **({"site": one} if kind == "site" else one)}, -1)
        for officer in told["officers"]["people"]:
            self.change({"do": "enrol-officer", "officer": officer}, -1)
        self.threshold = told["officers"]["threshold"]
        self.change({"do": "set-receipt-set", **told["receipt_set"]}, -1)

    def enrol(self, who: str, keys: list[Any], at: int) -> None:
        must(key_id(keys[0]) not in self.signers, f"a key of {who} was enrolled before")
        self.signers[key_id(keys[0])] = Told(who=who, keys=keys, since=at, until=None, suspect=None)

    def seat(self, name: str, told: Any, at: int) -> None:
        keys = read_keys(told["key"]) + ([(4, base64.b64decode(told["ml_dsa_44"]))] if "ml_dsa_44" in told else [])
        self.enrol("/sites/" + name, keys[:1], at)
        self.sites[name] = keys
        self.site_keys.append((name, keys))

    def receipts(self, names: list[str], quorum: int, at: int) -> None:
        must(len(names) // 2 < quorum <= len(set(names)) == len(names), "a receipt set has no majority for quorum")
        earlier = [entry for entry in self.receipt_sets if entry[0] <= at]
        self.receipt_sets = [*earlier, (at + 1, {name: self.sites[name] for name in names}, quorum)]

    def change(self, told: Any, at: int) -> None:  # noqa: C901 - one branch a change
        do = told["do"]
        if do == "enrol-author":
            for key in told["keys"]:
                self.enrol(told["name"], read_keys(key), at)
        elif do == "enrol-key":
            self.enrol(told["author"], read_keys(told["key"]), at)
        elif do in ("close-key", "revoke-key"):
            signer = self.signers[bytes.fromhex(told["key_id"])]
            signer.until, signer.suspect = at, told.get("suspect_from_position")
        elif do == "enrol-site":
            self.seat(told["site"]["name"], told["site"], at)
        elif do in ("rotate-site-key", "retire-site"):
            self.signers[key_id(self.sites.pop(told["name"])[0])].until = at
            if do == "rotate-site-key":
                self.seat(told["name"], told, at)
                _, sites, quorum = self.receipt_sets[-1]
                if told["name"] in sites:
                    self.receipts(list(sites), quorum, at)
        elif do == "set-receipt-set":
            self.receipts(told["sites"], told["quorum"], at)
        elif do == "enrol-officer":
            officer = told["officer"]
            self.officers[officer["name"]] = [read_keys(each["key"])[0] for each in (officer, officer.get("deputy")) if each]
        elif do == "set-deputy":
            deputy = [read_keys(told["deputy"]["key"])[0]] if "deputy" in told else []
            self.officers[told["officer"]] = self.officers[told["officer"]][:1] + deputy
        elif do == "retire-officer":
            del self.officers[told["name"]]
        elif do == "set-threshold":
            self.threshold = told["threshold"]
        elif do == "set-rules":
            self.rules = told["rules"]
        elif do in ("erase", "erase-subject", "carry-out-erasure", "withdraw-erasure"):
            order = self.orders.setdefault(told.get("order", at), Told(records=set(), subjects=set(), done=None, withdrawn=False))
            order.records.update(map(bytes.fromhex, told.get("records", ())))
            order.subjects.update([(told["registry"], bytes.fromhex(told["subject"]))] if do == "erase-subject" else [])
            order.done, order.withdrawn = at if do[0] == "c" else order.done, order.withdrawn or do[0] == "w"
        else:
            must(do in NO_EFFECT_HERE or None, f"an act says {do!a}, which this kit does not know")
        must(self.rules in RULES_KNOWN or None, f"this kit does not know rules {self.rules}")

    def order_over(self, record: Any) -> Any:
        """The order that covers the record's payload, one that was carried out before others."""
        about, at = (record.head.registry, record.head.subject), record.position
        over = [order for order in self.orders.values() if not order.withdrawn and (record.record_hash in order.records
                or (about in order.subjects and (order.done is None or at < order.done)))]
        return max(over, key=lambda order: order.done is not None, default=None)

    def act(self, record: Any, told: Any, epoch: int) -> str:
        """An act at its place: signed by enough officers in office, following the act before it; it takes effect."""
        head, given = record.head, [take(value, "key_id:16 suite:n data:b") for value in told.officers]
        ids = [one.key_id for one in given]
        fixed = (head.key_epoch, head.subject, head.fact, head.group, head.registry, head.compartment, head.kind)
        alone = (told.count, told.index, told.path, told.signatures) == (1, 0, [], []) and ids == sorted(set(ids))
        must(alone and fixed == (0, ACTS, ACTS[:16], ZERO16, "governance", "", "act"), "no act in form")
        must(head.previous == self.last_act, "it does not follow the act before it: one is left out, or a history is false")
        must(self.rules > 1 and self.epoch <= told.epoch <= epoch, "it has no power in this epoch or under these rules")
        offices = {key_id(key): (name, key) for name, keys in self.officers.items() for key in keys}
        must(set(ids) <= set(offices), "one of those who signed was not in office")
        message = pae("officers-act", self.ledger_id + struct.pack(">I", told.epoch) + record.record_hash)
        keys, signed = [offices[each][1] for each in ids], {offices[each][0] for each in ids}
        must(all_verify("officers", keys, [(one.suite, one.data) for one in given], message), "an officer's signature is false")
        must(len(signed) >= self.threshold > 0, f"{len(signed)} officers signed, {self.threshold} are needed")
        for change in load(head.content)["changes"]:
            self.change(change, record.position)
        must(len(self.officers) // 2 < self.threshold <= len(self.officers), "the threshold is no majority")
        self.last_act = self.acts[record.position] = record.record_hash
        self.epoch = told.epoch
        return "officers"

    def author(self, record: Any, epoch: int) -> str:
        """Who signed a record, by the keys in force at its position. An act takes effect: give each once, in order."""
        told, at, key = take(record.submission, SUBMISSION), record.position, record.head.author_key_id
        must(told.author_key_id == key, "header and submission name two keys")
        if key == ZERO16:
            return self.act(record, told, epoch)
        must(key in self.signers, "nobody that governance knows ever had this key")
        signer = self.signers[key]
        must(signer.since < at and (signer.until is None or at < signer.until), f"{signer.who}'s key was not in force at {at}")
        own = record.head.kind in ("site-rules", "kek-seals") or record.head.compartment == "access"
        must(own or signer.who[0] != "/", "a site wrote what only an institution may write")
        root, count = path_root(record.record_hash, told.index, told.count, told.path), struct.pack(">I", told.count)
        must(root and not told.officers, "the path does not fit the submission")
        memo = (root, count, key, [tuple(vars(take(frame, "suite:n data:b")).values()) for frame in told.signatures])
        if memo != self.memo:  # neighbours share a submission and its signature
            message = pae("submission", self.ledger_id + root + count + key)  # type: ignore[operator]
            must(all_verify(signer.who, signer.keys, memo[3], message), f"the signature is not {signer.who}'s over this record")
            self.memo = memo  # type: ignore[assignment]
        return str(signer.who)

    def receipt_set(self, size: int) -> Any:
        return [entry for entry in self.receipt_sets if entry[0] <= size][-1]

    def judge(self, note: Note) -> None:
        """A checkpoint, by the receipt set in force at its size."""
        must(note.ledger_id == self.ledger_id, "the checkpoint is of another ledger")
        _, sites, quorum = self.receipt_set(note.size)
        held = [vouched(note, site, keys) for site, keys in sites.items()]
        enough = True if held.count(True) >= quorum else None if len(held) - held.count(False) >= quorum else False
        must(enough, f"{held.count(True)} of {len(sites)} sites cosigned size {note.size}, {quorum} are needed")

# ---- files -----------------------------------------------------------------------------------------------------------

def proven(told: Any) -> bool:
    record = told.record = read_record(told.record, BARE)
    return path_root(record.record_hash, record.position, told.statement.size, told.path) == told.statement.root

def about(told: Any) -> bool:
    return (told.record.head.registry, told.record.head.subject) == told.statement[4:6] if False else (
        told.record.head.registry, told.record.head.subject) == (told.statement.registry, told.statement.subject)

def leads(told: Any, side: str, note: Note) -> bool:
    return path_root(getattr(told, "leaf_" + side), told.position, note.size, getattr(told, "path_" + side)) == note.root

FRAUD: dict[str, Any] = {  # kind: shape; what must hold, once all is signed by the site; what the site did
    "two-checkpoints": ("a:c b:c", lambda t: t.a[:3] == t.b[:3] and t.a.root != t.b.root, "signed two trees of one size"),
    "two-histories": ("a:c b:c position:n leaf_a:32 path_a:32* leaf_b:32 path_b:32*", lambda t: t.a[:2] == t.b[:2] and t.a.size
        != t.b.size and t.leaf_a != t.leaf_b and leads(t, "a", t.a) and leads(t, "b", t.b), "signed two records at one position"),
    "two-heads": ("a:h b:h", lambda t: t.a[:6] == t.b[:6] and t.a[6:8] != t.b[6:8], "signed two heads of one subject in one tree"),
    "head-root": ("statement:h checkpoint:c", lambda t: t.statement[:3] == t.checkpoint[:3]
        and t.statement.root != t.checkpoint.root, "signed a head and a checkpoint of two trees of one size"),
    "head-omits": ("statement:h record:o path:32*", lambda t: proven(t) and about(t) and t.record.position
        > (-1 if t.statement.last is None else t.statement.last), "left out a later record of a subject"),
    "head-invents": ("statement:h record:o path:32*", lambda t: proven(t) and not about(t) and t.record.position
        == t.statement.last, "named a record that is not the subject's"),
    "head-against-quorum": ("statement:h others:h*", lambda t: {o[:8] for o in t.others} == {t.others[0][:8]}
        and t.others[0][:6] == t.statement[:6] and t.others[0][6:8] != t.statement[6:8], "signed against a quorum of sites"),
    "two-blocks": ("a:k b:k", lambda t: t.a[:4] == t.b[:4] and t.a.digest != t.b.digest, "signed two blocks of one number"),
}

class Chains:
    """What a ledger's records must follow: each subject's chain, each fact's versions, one record an author and id."""
    def __init__(self) -> None:
        self.heads, self.subjects, self.facts = {}, {}, {}  # type: Any, Any, Any  # position: (link, whose); whose: position
        self.hidden, self.names = set(), set()  # type: set[bytes], set[Any]

    def add(self, record: Any, who: str) -> None:
        before, head = record.previous_of_subject, getattr(record, "head", None)
        link, whose = self.heads.pop(before, (None, None)) if before is not None else (ZERO32, None)
        must(link is not None and record.link is not None, "its subject's record before it is not the newest one, or no link is there")
        must(sha("link (02, link before, record hash)", b"\2" + link + record.record_hash) == record.link, "its link does not follow")
        if head is None:
            self.hidden.add(record.record_hash)
        else:
            mine, fact, name = (head.registry, head.subject), (head.registry, head.fact), (who, head.record_id)
            must(whose in (None, mine) and self.subjects.get(mine, before) == before, "a record of its subject is left out before it")
            must(head.previous == self.facts.get(fact, ZERO32) or head.previous in self.hidden, "it is not its fact's next version")
            must(name not in self.names, "its author's record id stands twice")
            whose, self.facts[fact] = mine, record.record_hash
            self.names.add(name)
        if whose is not None:
            self.subjects[whose] = record.position
        self.heads[record.position] = record.link, whose

class Audit:
    """One run. `known`: governance followed furthest; `roots`, `leaves`: by (epoch, size) and (epoch, position), what was proven and where."""
    def __init__(self, ledger_id: bytes | None, forks: dict[int, Any], sizes: set[int], positions: set[int]) -> None:
        self.ledger_id, self.forks, self.sizes, self.positions = ledger_id, forks, sizes, positions
        self.known, self.results = None, []  # type: Any, list[Any]
        self.roots = {(epoch, size): (root, "the fork") for epoch, (size, root) in forks.items()}
        self.leaves: dict[Any, Any] = {}

    def item(self, file: str, item: str, work: Callable[[], str]) -> bool:
        explain(f"-- {file}: {item}")
        try:
            result, why = OK, work()
        except Finding as finding:
            result, why = finding.args
        except Exception as error:  # noqa: BLE001 - whatever a file does to this program, nothing is proven by it
            result, why = FAILED, f"not in its one form ({type(error).__name__}: {error})"
        self.results.append({"file": file, "item": item, "result": result, "why": why})
        return result == OK

    def keys(self) -> Governance:
        must(self.known, "whose keys count is not known: give --genesis, --trust or an export that is ok")
        return self.known

    def begin(self, genesis: bytes) -> Governance:
        governance = Governance(genesis)
        must(self.ledger_id in (None, governance.ledger_id), "it is of another ledger than the one that was asked for")
        must(self.ledger_id, f"give --ledger-id or --genesis; by its own word it is {governance.ledger_id.hex()}")
        return governance

    def adopt(self, governance: Governance) -> str:
        if self.known is None or governance.size > self.known.size:
            self.known = governance
        return f"acts below size {governance.size} are known, {len(governance.acts)} of them"

    def agree(self, known: dict[Any, Any], place: Any, value: bytes, file: str) -> None:
        other, whose = known.setdefault(place, (value, file))
        must(other == value, f"{whose} has something else at {place}: two histories, keep both")

    def checkpoint(self, file: str, note: Note, governance: Governance | None = None) -> str:
        (governance or self.keys()).judge(note)
        self.agree(self.roots, (note.epoch, note.size), note.root, file)
        return f"a quorum cosigned size {note.size} of epoch {note.epoch}"

    def receipt(self, file: str, value: Any) -> None:
        told = take(value, "format:s ledger_id:32 position:n record_hash:32 path:32* checkpoint:c record?:o")
        at, leaf, note = told.position, told.record_hash, told.checkpoint

        def stands() -> str:
            must(told.ledger_id == note.ledger_id, "receipt and checkpoint are of two ledgers")
            must(path_root(leaf, at, note.size, told.path) == note.root, "the path does not lead to the checkpoint's root")
            self.checkpoint(file, note)
            self.agree(self.leaves, (note.epoch, at), leaf, file)
            size = self.forks.get(note.epoch, (note.size,))[0]
            if at >= size:
                raise Finding(LOST, f"position {at} was lost when a recovery left epoch {note.epoch} at size {size}")
            return f"record {leaf.hex()} stands at position {at} of epoch {note.epoch}"

        def known() -> str:
            if note.size > self.keys().size:
                raise Finding(NOT_CHECKED, f"acts from {self.keys().size} on are not known: another receipt set may be in force")
            return "every act below its size is known"

        def signed() -> str:
            record = read_record(told.record)
            must((record.position, record.record_hash) == (at, leaf), "the record is not the receipt's")
            if record.head.author_key_id == ZERO16:
                must(self.keys().acts.get(at) == leaf or None, "the act is not among those that are known")
                return "an act of officers"
            return "signed by " + self.keys().author(record, note.epoch)

        if self.item(file, "receipt", stands):
            self.item(file, "receipt set", known)
        if told.record is not None:
            self.item(file, "record", signed)

    def trust(self, file: str, value: Any) -> str:
        told = take(value, "format:s genesis:b records:o* checkpoint:c proofs:32**")
        governance, note, last = self.begin(told.genesis), told.checkpoint, -1
        must(len(told.proofs) == len(told.records), "not one proof a record")
        for value, path in zip(told.records, told.proofs):
            record = read_record(value)
            held = last < record.position and path_root(record.record_hash, record.position, note.size, path) == note.root
            must(held, f"position {record.position} is not proven")
            governance.author(record, note.epoch)
            self.agree(self.leaves, (note.epoch, record.position), record.record_hash, file)
            last = record.position
        self.checkpoint(file, note, governance)
        governance.size = note.size
        return self.adopt(governance)

    def certificate(self, value: Any) -> str:
        told = take(value, "format:s site:s body:b signatures:o*")
        body, known = load(told.body), self.keys()
        message = pae("erasure-certificate", known.ledger_id + sha("certificate body", told.body))
        must((body["ledger_id"], body["site"]) == (known.ledger_id.hex(), told.site), "it is of another ledger or site")
        every = [keys for name, keys in known.site_keys if name == told.site]
        must(best(all_verify(told.site, keys, frames(told.signatures), message) for keys in every), "it is not signed by its site")
        order = known.orders.get(body["order"])
        must(order and order.done or None, "the acts that are known carry out no such order")
        named = set(map(bytes.fromhex, body["records"]))
        must(order.done == body["carried_out"] and order.records <= named, "it is not what officers ordered")
        return f"{told.site} says that it destroyed {body['payloads_destroyed']} payloads by the order at {body['order']}"

    def fraud(self, value: Any) -> str:
        must(value.get("kind") in FRAUD, "no kind of fraud that this kit knows")
        shape, contradict, did = FRAUD[value["kind"]]
        told, known = take(value, "format:s kind:s ledger_id:32 site:s " + shape), self.keys()
        for part in [part for each in vars(told).values() for part in (each if type(each) is list else [each])]:
            site = getattr(part, "site", told.site)
            every = [keys for name, keys in known.site_keys if name == site]
            if isinstance(part, Note):
                held = best(vouched(part, site, keys, bare=True) for keys in every)
            elif isinstance(part, Head):
                held = best(all_verify(site, keys, part.signatures, pae("head", part.body)) for keys in every)
            elif isinstance(part, Block):
                mine = [keys[:1] for keys in every if key_id(keys[0]) == part.key and part.lane.split("/")[0] == site]
                held = best(all_verify(site, keys, part.signatures, pae("block", part.digest)) for keys in mine)
            else:
                continue
            must(part.ledger_id == told.ledger_id == known.ledger_id, "it is about another ledger")
            must(site == told.site or part in getattr(told, "others", ()), "a part is not by the site that is accused")
            must(held, f"a part is not signed by {site} with all its keys")
        if "others" in vars(told):
            names, (_, sites, quorum) = {other.site for other in told.others}, known.receipt_set(told.statement.size)
            must(len(names) == len(told.others) >= quorum and names <= set(sites) - {told.site}, "no quorum of other sites")
        must(bool(contradict(told)), "the parts do not contradict each other")
        return f"PROVEN: {told.site} {did}"

    def export(self, file: str, lines: Callable[[], Iterator[bytes]]) -> None:
        """A whole ledger: its tree made again, and everything in it proven. What fails first ends it."""
        *_, last = lines()
        end, rows = take(load(last), "end:f records:n checkpoints:c* erasure_certificates:o* fraud:o*"), lines()
        told = take(load(next(rows)), "format:s genesis:b ledger_id:32 epoch:n size:n checkpoint:c made_at_ms:n")
        counts: Counter[str] = Counter()

        def ledger() -> str:
            governance, note, tree, chains = self.begin(told.genesis), told.checkpoint, Tree(), Chains()
            same = (note.ledger_id, note.epoch, note.size) == (told.ledger_id, told.epoch, told.size)
            must(same and end.records == told.size and end.end, "first line, checkpoint and last line do not agree")
            sizes = self.sizes | {each.size for each in end.checkpoints} | {size for size, _ in self.forks.values()}
            roots = {0: tree.root()}
            for at in range(told.size):
                try:
                    self.row(load(next(rows)), at, governance, chains, tree, counts, told.epoch)
                except Finding as finding:
                    raise Finding(finding.args[0], f"position {at}: {finding.args[1]}") from None
                if at + 1 in sizes:
                    roots[at + 1] = tree.root()
                if at in self.positions:
                    self.agree(self.leaves, (told.epoch, at), chains.last, file)
            must(next(rows) == last and next(rows, None) is None and tree.root() == note.root, "the tree has another root")
            roots[told.size], governance.size = note.root, told.size
            for each in (note, *end.checkpoints):
                must(roots.get(each.size) == each.root and each.epoch == told.epoch, f"checkpoint {each.size} is of another tree")
            for epoch, (size, root) in self.forks.items():
                must(epoch > told.epoch or roots.get(size, root) == root, f"another root at the fork of epoch {epoch}")
            for size, root in roots.items():
                self.agree(self.roots, (told.epoch, size), root, file)
            for each in (note, *end.checkpoints):
                self.checkpoint(file, each, governance)
            self.adopt(governance)
            return f"{told.size} records are ledger {told.ledger_id.hex()} to root {note.root.hex()}"

        def payloads(governance)...
