#!/usr/bin/env python3
"""Sento's audit kit: proves receipts, trust files, exports, checkpoints, erasure certificates and proofs of fraud.

    python audit_kit.py [--ledger-id HEX] [--genesis F] [--trust F] [--fork EPOCH:SIZE:ROOT] [--explain] [--json] FILES

Without any site or network: one file on Python 3.9+ and `cryptography`, which shares no line with the rest of Sento.
FORMAT.md says what each byte and each result means. Exit code: 0 nothing failed; 1 something failed; 2 wrong use;
3 nothing failed, but something could not be checked here or is lost with its epoch.
"""
from __future__ import annotations

import argparse, base64, gzip, hashlib, json, re, struct, sys  # noqa: E401 - the kit is to be at most 400 lines
from collections import Counter, namedtuple
from functools import reduce
from types import SimpleNamespace as Told

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
try:
    from cryptography.hazmat.primitives.asymmetric import mldsa
except ImportError:  # an older library: what ML-DSA signed is then "could not check"
    mldsa = None

OK, FAILED, NOT_CHECKED, COULD_NOT, LOST = "ok", "failed", "not checked", "could not check", "lost with epoch"
ZERO16, ZERO32, RULES_KNOWN, LINE_MAX_BYTES, FILE_MAX_BYTES = bytes(16), bytes(32), (1, 2, 3, 4), 1 << 22, 1 << 28
SUITES = {"ed25519": 1, "ecdsa-p256": 2, "ml_dsa_65": 3, "ml_dsa_44": 4}
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
PRIME, ORDER_8_Y = 2**255 - 19, 0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826
SMALL_ORDER_Y = (0, 1, PRIME - 1, ORDER_8_Y, PRIME - ORDER_8_Y)  # of Ed25519 keys under which anybody can sign
SAY = Told(steps=False)
unhex = bytes.fromhex

class Finding(Exception):
    """An item's end other than ok: (result, why)."""

def must(holds, why):
    """Go on only if it holds; None says that it cannot be told here."""
    if not holds: raise Finding(COULD_NOT if holds is None else FAILED, why)

def sha(rule, data):
    digest = hashlib.sha256(data).digest()
    if SAY.steps: print(f"    {rule}: SHA-256 of the {len(data)} bytes {data.hex()} is {digest.hex()}")
    return digest

# ---- reading: JSON with nothing missing, doubled or left over; fields off bytes ------------------------------------
def load(text):
    def once(pairs):
        must(len(dict(pairs)) == len(pairs), "a JSON member stands twice")
        return dict(pairs)
    return json.loads(text.decode() if isinstance(text, bytes) else text, object_pairs_hook=once)

def take(value, needed, optional=""):
    """An object with exactly these members; optional ones that are missing are None."""
    fits = type(value) is dict and set(needed.split()) <= set(value) <= set(f"{needed} {optional}".split())
    must(fits, f"not an object with the members {needed}")
    return Told(**{**dict.fromkeys(optional.split()), **value})

def b64(text): return base64.b64decode(text, validate=True)

def cut(data, form):
    """Fields off the front, and the rest. n4: a number of 4 bytes; v1: bytes behind a 1-byte length; 32: so many bytes."""
    found, at = [], 0
    for part in form.split():
        at += int(part.strip("nv"))
        value = data[at - int(part.strip("nv")) : at]
        if part[0] == "v": value, at = data[at : at + int.from_bytes(value, "big")], at + int.from_bytes(value, "big")
        found.append(int.from_bytes(value, "big") if part[0] == "n" else value)
    must(at <= len(data), "the bytes end too early")
    return (*found, data[at:])

FIXED = "version record_id author_key_id time_ms key_epoch payload_bytes subject fact previous group dek_commit"
Header = namedtuple("Header", FIXED + " registry compartment kind content rest")
Head = namedtuple("Head", "ledger_id epoch size root registry subject has last link site signatures body")
Block = namedtuple("Block", "ledger_id epoch lane seq key signatures digest")
Note = namedtuple("Note", "ledger_id epoch size root text lines")

def read_header(data):
    header = Header(*cut(data, "n4 16 16 n8 n4 n4 32 16 32 16 32 v1 v1 v1 v4"))
    must(header.version == 0x01010000 and not header.rest, "the header is of no known version, or goes on")
    return header

def read_head(text):
    form, *body, rest = cut(b64(text), "n1 32 n4 n8 32 v1 32 n1 n8 32")
    site, count, rest = cut(rest, "v1 n1")
    *pairs, rest = cut(rest, "n1 v2 " * count)
    stands = body[6] == 1 and body[7] < body[2] or body[6:] == [0, 0, ZERO32]
    must(form == 1 and stands and not rest, "no head statement in form")
    return Head(*body, site.decode(), list(zip(pairs[::2], pairs[1::2])), b64(text)[1 : 151 + len(body[4])])

def read_block(text):
    form, ledger_id, epoch, key, lane, seq, count, rest = cut(b64(text), "n1 32 n4 16 v1 n8 n4")
    signed = cut(rest, "v4 " * count)[-1]
    suite, signature, rest = cut(signed, "n1 v2")
    must(form == 1 and not rest, "no block in form")
    digest = sha("block without its signature", b64(text)[: -len(signed)])
    return Block(ledger_id, epoch, lane.decode(), seq, key, [(suite, signature)], digest)

def read_note(text):
    """A C2SP signed note of three lines; its signature lines as (name, key hash, data)."""
    body, _, rest = text.partition("\n\n")
    match = re.fullmatch("([0-9a-f]{64})/(0|[1-9][0-9]{0,9})\n(0|[1-9][0-9]{0,18})\n([A-Za-z0-9+/]{43}=)", body)
    lines = re.findall("— ([a-z0-9-]{1,32}) ([A-Za-z0-9+/=]+)\n", rest)
    must(bool(match) and "".join(f"— {name} {data}\n" for name, data in lines) == rest, "no checkpoint in form")
    found = [(name, b64(data)[:4], b64(data)[4:]) for name, data in lines]
    return Note(unhex(match[1]), int(match[2]), int(match[3]), b64(match[4]), body.encode() + b"\n", found)

# ---- keys and signatures: (suite, bytes) ---------------------------------------------------------------------------
def key_id(key): return hashlib.sha256(bytes((key[0],)) + key[1]).digest()[:16]

def verifies(key, signature, message):
    """None where this computer cannot tell. A key under which anybody can sign, or a second form of a signature: no."""
    (suite, data), (number, signed) = key, signature
    y = int.from_bytes(data, "little") % 2**255 if suite == 1 else PRIME
    if suite != number or (y >= PRIME or y in SMALL_ORDER_Y if suite == 1 else not any(data[32:])): return False
    try:
        if suite == 1: ed25519.Ed25519PublicKey.from_public_bytes(data).verify(signed, message)
        elif suite == 2:
            r, s = int.from_bytes(signed[:32], "big"), int.from_bytes(signed[32:], "big")
            point = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), data)
            point.verify(encode_dss_signature(r, s), message, ec.ECDSA(hashes.SHA256()))
            return len(data) == 33 and len(signed) == 64 and s <= P256_ORDER // 2
        elif mldsa is None: return None
        elif suite == 3: mldsa.MLDSA65PublicKey.from_public_bytes(data).verify(signed, message)
        else: mldsa.MLDSA44PublicKey.from_public_bytes(data).verify(signed, message)
    except (InvalidSignature, ValueError): return False
    except UnsupportedAlgorithm: return None
    return True

def best(results):
    found = set(results)
    return True if True in found else None if None in found else False

def all_verify(who, keys, signatures, message):
    """Whether exactly these keys signed, each once, in this order."""
    held = [verifies(key, signature, message) for key, signature in zip(keys, signatures)]
    for key, holds in zip(keys, held) if SAY.steps else ():
        told = "holds" if holds else "could not be checked" if holds is None else "does NOT hold"
        print(f"    signature of {who}, suite {key[0]}, key {key[1].hex()}, over {message.hex()}: {told}")
    return len(keys) == len(signatures) and False not in held and (None if None in held else True)

def frames(values): return [(each.suite, b64(each.data)) for each in (take(value, "suite data") for value in values)]

def pae(kind, body):
    name = f"application/vnd.sento.{kind}.v1".encode()
    return b"DSSEv1 %d %s %d %s" % (len(name), name, len(body), body)

def vouched(note, site, keys, bare=False):
    """Whether the site cosigned with all its keys (0x04; 0x06 of one time). `bare`: or, with one key, signed it (0x01)."""
    def lines(kind, key):
        known = hashlib.sha256(site.encode() + b"\n" + bytes((kind,)) + key[1]).digest()[:4]
        return [data for name, key_hash, data in note.lines if (name, key_hash) == (site, known)]
    held, name, origin = [], site.encode(), note.text.partition(b"\n")[0]
    for first in lines(4, keys[0]):
        message = b"cosignature/v1\ntime %d\n" % int.from_bytes(first[:8], "big") + note.text
        held.append(all_verify(site, keys[:1], [(1, first[8:])], message))
        if held[-1] and len(keys) == 2:
            message = b"subtree/v1\n\0%c%b%b%c%b" % (len(name), name, first[:8], len(origin), origin)
            message += struct.pack(">QQ", 0, note.size) + note.root
            twins = [data[8:] for data in lines(6, keys[1]) if data[:8] == first[:8]]
            held[-1] = best(all_verify(site, keys[1:], [(4, data)], message) for data in twins)
    alone = lines(1, keys[0]) if bare and len(keys) == 1 else []
    return best(held + [all_verify(site, keys, [(1, data)], note.text) for data in alone])

# ---- the tree (RFC 6962), the records in it, and what follows what -------------------------------------------------
def node(left, right): return sha("node (01, left, right)", b"\1" + left + right)

def path_root(leaf, index, size, path):
    """The root that an inclusion path leads to (RFC 9162, 2.1.3.2); None when it does not fit a tree of that size."""
    last = size - 1
    for sibling in map(unhex, path):
        if not 0 <= index <= last or last == 0: return None
        leaf = node(sibling, leaf) if index & 1 or index == last else node(leaf, sibling)
        while index == last and not index & 1 and index: index, last = index >> 1, last >> 1
        index, last = index >> 1, last >> 1
    return leaf if index == last == 0 else None

def append(edge, size, leaf):
    """`edge`: the complete subtrees at the right edge of a tree of `size` leaves, largest first."""
    while size & 1: leaf, size = node(edge.pop(), leaf), size >> 1
    edge.append(leaf)

def root_of(edge): return reduce(lambda right, left: node(left, right), edge[::-1]) if edge else sha("no leaf", b"")

def read_record(value, more=" submission", optional="payload link previous_of_subject"):
    """A record, its `head` decoded, once its hash covers header and payload."""
    record = take(value, "position record_hash header payload_hash" + more, optional)
    header, record.leaf = b64(record.header), unhex(record.record_hash)
    body = b"\0" + struct.pack(">I", len(header)) + header + unhex(record.payload_hash)
    must(sha("leaf (00, header length, header, payload hash)", body) == record.leaf, "its record hash is false")
    record.head, payload = read_header(header), getattr(record, "payload", None)
    same = payload is None or sha("payload", b64(payload)) == unhex(record.payload_hash)
    must(same, "its payload is not the one that was hashed")
    return record

class Chains:
    """Each subject's chain, each fact's versions, and once only each author's record id."""
    def __init__(self): self.heads, self.subjects, self.facts, self.hidden, self.names = {}, {}, {}, set(), set()
    def add(self, record, who):
        before, head = record.previous_of_subject, record.head
        link, whose = self.heads.pop(before, (None, None)) if before is not None else (ZERO32, None)
        must(None not in (link, record.link), "it has no link, or names no newest record of a subject before it")
        must(sha("link (02, link before, leaf)", b"\2" + link + record.leaf) == unhex(record.link), "its link is false")
        if head:
            mine, fact, name = (head.registry, head.subject), (head.registry, head.fact), (who, head.record_id)
            whole = whose in (None, mine) and self.subjects.get(mine, before) == before
            must(whole, "a record of its subject is left out before it")
            follows = head.previous == self.facts.get(fact, ZERO32) or head.previous in self.hidden
            must(follows and name not in self.names, "it is not its fact's next version, or its record id stands twice")
            whose, self.facts[fact] = mine, record.leaf
        (self.names.add(name) if head else self.hidden.add(record.leaf))
        if whose: self.subjects[whose] = record.position
        self.heads[record.position] = unhex(record.link), whose

# ---- governance: whose keys counted when, by the genesis file and officers' acts -----------------------------------
NO_EFFECT_HERE = (
    "retire-key permit withdraw set-budget grant-budget set-policy enrol-reader revoke-reader replace-seal-key unlock"
    " add-registry start-key-epoch close-key-epoch set-recovery-key delay-read-log release-read-log require-key-agent"
    " end-key-agent").split()
ACTS = hashlib.sha256(b"sento governance").digest()

def read_keys(told, second=""):
    """A key, and the one that must sign beside it. Genesis and acts stand under hashes: no strictness is needed."""
    first = told.get("key", told)
    beside = [(SUITES[second], b64(told[second]))] if second in told else []
    return [(SUITES[first["suite"]], b64(first["public_key"])), *beside]

class Governance:
    """Keys, receipt sets, officers, erasures. `size`: acts below it are known. An act at p holds from p + 1 on."""
    def __init__(self, genesis):
        told, self.ledger_id = load(genesis), sha("ledger id: the genesis file", genesis)
        must(told["format"] == "sento-genesis-1", "no genesis file")
        self.rules, self.size, self.epoch, self.last_act, self.memo = told["rules"], 0, 0, ZERO32, None
        self.sites, self.site_keys, self.signers = {}, [], {}  # keys now; (site, keys) ever; by key id, ever
        self.officers, self.orders, self.receipt_sets, self.acts = {}, {}, [], {}
        for site in told["sites"]: self.change({"do": "enrol-site", "site": site}, -1)
        for author in told["authors"]: self.change({"do": "enrol-author", **author}, -1)
        for officer in told["officers"]["people"]: self.change({"do": "enrol-officer", "officer": officer}, -1)
        self.threshold = told["officers"]["threshold"]
        self.change({"do": "set-receipt-set", **told["receipt_set"]}, -1)
    def enrol(self, who, keys, at):
        must(key_id(keys[0]) not in self.signers, f"a key of {who} was enrolled before")
        self.signers[key_id(keys[0])] = Told(who=who, keys=keys, since=at, until=None)
    def seat(self, told, at):
        self.sites[told["name"]] = keys = read_keys(told, "ml_dsa_44")
        self.enrol("/sites/" + told["name"], keys[:1], at)
        self.site_keys.append((told["name"], keys))
    def receipts(self, names, quorum, at):
        must(len(names) // 2 < quorum <= len(set(names)) == len(names), "a receipt set has no majority for quorum")
        earlier = [entry for entry in self.receipt_sets if entry[0] <= at]
        self.receipt_sets = [*earlier, (at + 1, {name: self.sites[name] for name in names}, quorum)]
    def change(self, told, at):
        do, name = told["do"], told.get("name")
        if do == "enrol-author":
            for key in told["keys"]: self.enrol(name, read_keys(key, "ml_dsa_65"), at)
        elif do == "enrol-key": self.enrol(told["author"], read_keys(told["key"], "ml_dsa_65"), at)
        elif do in ("close-key", "revoke-key"): self.signers[unhex(told["key_id"])].until = at
        elif do == "enrol-site": self.seat(told["site"], at)
        elif do in ("rotate-site-key", "retire-site"):
            self.signers[key_id(self.sites.pop(name)[0])].until = at
            if do == "rotate-site-key": self.seat(told, at)
            _, sites, quorum = self.receipt_sets[-1]
            if name in sites and name in self.sites: self.receipts(list(sites), quorum, at)
        elif do == "set-receipt-set": self.receipts(told["sites"], told["quorum"], at)
        elif do == "enrol-officer":
            people = [each for each in (told["officer"], told["officer"].get("deputy")) if each]
            self.officers[told["officer"]["name"]] = [read_keys(each)[0] for each in people]
        elif do == "set-deputy":
            deputy = [read_keys(told["deputy"])[0]] if "deputy" in told else []
            self.officers[told["officer"]] = self.officers[told["officer"]][:1] + deputy
        elif do == "retire-officer": del self.officers[name]
        elif do == "set-threshold": self.threshold = told["threshold"]
        elif do == "set-rules": self.rules = told["rules"]
        elif do in ("erase", "erase-subject", "carry-out-erasure", "withdraw-erasure"):
            fresh = Told(records=set(), subjects=set(), done=None, withdrawn=False)
            order = self.orders.setdefault(told.get("order", at), fresh)
            order.records.update(map(unhex, told.get("records", ())))
            if do == "erase-subject": order.subjects.add((told["registry"].encode(), unhex(told["subject"])))
            order.done, order.withdrawn = at if do[0] == "c" else order.done, order.withdrawn or do[0] == "w"
        else: must(do in NO_EFFECT_HERE or None, f"an act says {do!a}, which this kit does not know")
        must(self.rules in RULES_KNOWN or None, f"this kit does not know rules {self.rules}")
    def order_over(self, record):
        """The order that covers the record's payload; one that was carried out before others."""
        about, at = (record.head.registry, record.head.subject), record.position
        over = [order for order in self.orders.values() if not order.withdrawn and (
            record.leaf in order.records or (about in order.subjects and (order.done is None or at < order.done)))]
        return max(over, key=lambda order: order.done is not None, default=None)
    def act(self, record, told, epoch):
        """An act at its place: signed by enough officers in office, following the act before it; it takes effect."""
        given, head = [take(value, "key_id suite data") for value in told.officers], record.head
        ids, signatures = [unhex(one.key_id) for one in given], [(one.suite, b64(one.data)) for one in given]
        fixed = (head.key_epoch, head.subject, head.fact, head.group, head.registry, head.compartment, head.kind)
        alone = (told.count, told.index, told.path, told.signatures) == (1, 0, [], []) and ids == sorted(set(ids))
        must(alone and fixed == (0, ACTS, ACTS[:16], ZERO16, b"governance", b"", b"act"), "it is no act in form")
        must(head.previous == self.last_act, "it does not follow the act before it: one is left out, or one is false")
        must(self.rules > 1 and self.epoch <= told.epoch <= epoch, "it has no power in this epoch, or by these rules")
        offices = {key_id(key): (name, key) for name, keys in self.officers.items() for key in keys}
        must(set(ids) <= set(offices), "one of those who signed was not in office")
        message = pae("officers-act", self.ledger_id + struct.pack(">I", told.epoch) + record.leaf)
        must(all_verify("officers", [offices[each][1] for each in ids], signatures, message), "a false signature")
        signed = len({offices[each][0] for each in ids})
        must(signed >= self.threshold > 0, f"{signed} officers signed and {self.threshold} are needed")
        for change in load(head.content)["changes"]: self.change(change, record.position)
        must(len(self.officers) // 2 < self.threshold <= len(self.officers), "the threshold is no majority")
        self.epoch, self.last_act, self.acts[record.position] = told.epoch, record.leaf, record.leaf
        return "officers"
    def author(self, record, epoch):
        """Who signed a record, by the keys in force at its position. An act takes effect: give each once, in order."""
        told = take(record.submission, "author_key_id count index path signatures officers epoch")
        at, key, head = record.position, unhex(told.author_key_id), record.head
        must(key == head.author_key_id, "header and submission name two keys")
        if key == ZERO16: return self.act(record, told, epoch)
        must(key in self.signers, "nobody that governance knows ever had this key")
        signer = self.signers[key]
        in_force = signer.since < at and (signer.until is None or at < signer.until)
        must(in_force, f"the key of {signer.who} was not in force at position {at}")
        own = head.kind in (b"site-rules", b"kek-seals") or head.compartment == b"access"
        must(own or signer.who[0] != "/", "a site wrote what only an institution may write")
        root, count = path_root(record.leaf, told.index, told.count, told.path), struct.pack(">I", told.count)
        must(root and not told.officers, "its path does not fit its submission")
        memo = (root, count, key, frames(told.signatures))
        if memo != self.memo:  # neighbours share a submission and its signatures
            message = pae("submission", self.ledger_id + root + count + key)
            must(all_verify(signer.who, signer.keys, memo[3], message), f"it is not signed by {signer.who}")
        self.memo = memo
        return signer.who
    def receipt_set(self, size): return [entry for entry in self.receipt_sets if entry[0] <= size][-1]
    def judge(self, note):
        """A checkpoint, by the receipt set in force at its size."""
        must(note.ledger_id == self.ledger_id, "the checkpoint is of another ledger")
        _, sites, quorum = self.receipt_set(note.size)
        held = [vouched(note, site, keys) for site, keys in sites.items()]
        enough = held.count(True) >= quorum or (None if len(held) - held.count(False) >= quorum else False)
        must(enough, f"{held.count(True)} of {len(sites)} sites cosigned size {note.size}, {quorum} are needed")
    def signed_by(self, site, what):
        """Whether the site signed it with all its keys of some time. `what`: Note, Head, Block or (signatures, message)."""
        every = [keys for name, keys in self.site_keys if name == site]
        if isinstance(what, Note): return best(vouched(what, site, keys, bare=True) for keys in every)
        if isinstance(what, Block):
            every = [keys[:1] for keys in every if key_id(keys[0]) == what.key and what.lane.split("/")[0] == site]
            what = (what.signatures, pae("block", what.digest))
        if isinstance(what, Head): what = (what.signatures, pae("head", what.body))
        return best(all_verify(site, keys, *what) for keys in every)

# ---- proofs of fraud: members that the site signed; others ---------------------------------------------------------
FRAUD = {"two-checkpoints": ("a b", ""), "two-histories": ("a b", "position leaf_a path_a leaf_b path_b"),
         "two-heads": ("a b", ""), "head-root": ("statement checkpoint", ""), "head-omits": ("statement", "record path"),
         "head-invents": ("statement", "record path"), "head-against-quorum": ("statement", "others"), "two-blocks": ("a b", "")}

def contradicts(kind, t):
    """Whether an honest site could not have signed all of this."""
    if kind == "two-blocks": return t.a[:4] == t.b[:4] and t.a.digest != t.b.digest
    if kind == "two-checkpoints": return t.a[:3] == t.b[:3] and t.a.root != t.b.root
    if kind == "head-root": return t.statement[:3] == t.checkpoint[:3] and t.statement.root != t.checkpoint.root
    if kind == "two-heads": return t.a[:6] == t.b[:6] and t.a[6:9] != t.b[6:9]
    if kind == "two-histories":
        sides = [(t.leaf_a, t.path_a, t.a), (t.leaf_b, t.path_b, t.b)]
        stand = all(path_root(unhex(leaf), t.position, tree.size, path) == tree.root for leaf, path, tree in sides)
        return stand and t.leaf_a != t.leaf_b and t.a[:2] == t.b[:2] and t.a.size != t.b.size
    if kind == "head-against-quorum":
        one = t.others[0]
        return {o[:9] for o in t.others} == {one[:9]} and one[:6] == t.statement[:6] and one[6:9] != t.statement[6:9]
    record, head = read_record(t.record, "", ""), t.statement
    stands = path_root(record.leaf, record.position, head.size, t.path) == head.root
    about = (record.head.registry, record.head.subject) == head[4:6]
    if kind == "head-omits": return stands and about and record.position >= head.last + head.has
    return stands and not about and head.has and record.position == head.last

def judge_fraud(known, value):
    kind = value.get("kind")
    must(kind in FRAUD, "no kind of fraud that this kit knows")
    signed, others = FRAUD[kind]
    told = take(value, f"format kind ledger_id site {signed} {others}")
    for name in signed.split():
        read = read_note if name == "checkpoint" or kind in ("two-checkpoints", "two-histories") else read_head
        part = (read_block if kind == "two-blocks" else read)(getattr(told, name))
        setattr(told, name, part)
        must(part.ledger_id == unhex(told.ledger_id) == known.ledger_id, "it is about another ledger")
        must(getattr(part, "site", told.site) == told.site, "a part is by another site")
        must(known.signed_by(told.site, part), f"{name} is not signed by {told.site} with all its keys")
    if kind == "head-against-quorum":
        told.others, (_, sites, quorum) = list(map(read_head, told.others)), known.receipt_set(told.statement.size)
        names = {other.site for other in told.others if other.site in sites and other.site != told.site}
        must(len(names) == len(told.others) >= quorum, "the others are no quorum of the receipt set")
        for other in told.others: must(known.signed_by(other.site, other), f"a statement is not {other.site}'s")
    must(bool(contradicts(kind, told)), "its parts do not contradict each other")
    return f"PROVEN against {told.site}: {kind}"

# ---- files ---------------------------------------------------------------------------------------------------------
class Audit:
    """One run. `known`: governance followed furthest; `seen`: what was proven at (epoch, "size" or "position", number)."""
    def __init__(self, ledger_id, forks, asked):
        self.ledger_id, self.forks, self.asked, self.known, self.results = ledger_id, forks, asked, None, []
        self.seen = {(epoch, "size", size): (root, "the fork") for epoch, (size, root) in forks.items()}
    def say(self, file, item, result, why):
        self.results.append({"file": file, "item": item, "result": result, "why": why})
    def item(self, file, item, work, *given):
        if SAY.steps: print(f"-- {file}: {item}")
        try: self.say(file, item, OK, work(*given))
        except Finding as finding: self.say(file, item, *finding.args)
        except Exception as error:  # noqa: BLE001 - whatever a file does to this program, it is not proven by that
            self.say(file, item, FAILED, f"not in its form ({type(error).__name__}: {error})")
    def begin(self, genesis):
        known = Governance(genesis)
        must(self.ledger_id in (None, known.ledger_id), "it is of another ledger than the one that was asked for")
        must(self.ledger_id, f"which ledger is meant? Give --ledger-id; of itself it says {known.ledger_id.hex()}")
        return known
    def adopt(self, known, size):
        known.size = size
        if self.known is None or size > self.known.size: self.known = known
        return f"{len(known.acts)} acts below size {size} followed, of ledger {known.ledger_id.hex()}"
    def keys(self):
        must(self.known, "whose keys count is not known: give --genesis, --trust or an export that is ok")
        return self.known
    def agree(self, file, epoch, what, number, value):
        other, whose = self.seen.setdefault((epoch, what, number), (value, file))
        must(other == value, f"{whose} has something else at {what} {number}: two histories, keep both files")
    def checkpoint(self, file, note, known=None):
        (known or self.keys()).judge(note)
        self.agree(file, note.epoch, "size", note.size, note.root)
        return f"a quorum cosigned size {note.size} of epoch {note.epoch}"
    def receipt(self, file, value):
        told = take(value, "format ledger_id position record_hash path checkpoint", "record")
        at, leaf, note = told.position, unhex(told.record_hash), read_note(told.checkpoint)
        must(unhex(told.ledger_id) == note.ledger_id, "receipt and checkpoint are of two ledgers")
        must(path_root(leaf, at, note.size, told.path) == note.root, "the path does not lead to the checkpoint's root")
        who = self.checkpoint(file, note)
        self.agree(file, note.epoch, "position", at, leaf)
        if told.record is not None:
            record = read_record(told.record)
            must((record.position, record.leaf) == (at, leaf), "the record is not the receipt's")
            act = record.head.author_key_id == ZERO16
            must(not act or self.known.acts.get(at) == leaf or None, "the act is not among those that are known")
            who = "signed by " + ("officers" if act else self.known.author(record, note.epoch))
        size = self.forks.get(note.epoch, (note.size,))[0]
        if at >= size: raise Finding(LOST, f"position {at}: a recovery left epoch {note.epoch} at size {size}")
        why = f"from {self.known.size} on they are not known: another receipt set may be in force at size {note.size}"
        if note.size > self.known.size: self.say(file, "later acts", NOT_CHECKED, why)
        return f"record {leaf.hex()} stands at position {at} of epoch {note.epoch}, {who}"
    def trust(self, file, value):
        told = take(value, "format genesis records checkpoint proofs")
        known, note, last = self.begin(b64(told.genesis)), read_note(told.checkpoint), -1
        must(len(told.proofs) == len(told.records), "not one proof a record")
        for record, path in zip(map(read_record, told.records), told.proofs):
            held = last < record.position and path_root(record.leaf, record.position, note.size, path) == note.root
            must(held, f"position {record.position} is not proven")
            known.author(record, note.epoch)
            self.agree(file, note.epoch, "position", record.position, record.leaf)
            last = record.position
        self.checkpoint(file, note, known)
        return self.adopt(known, note.size)
    def certificate(self, value):
        told, known = take(value, "format site body signatures"), self.keys()
        body, digest = load(b64(told.body)), sha("certificate's body", b64(told.body))
        must((body["ledger_id"], body["site"]) == (known.ledger_id.hex(), told.site), "it is of another ledger or site")
        signed = frames(told.signatures), pae("erasure-certificate", known.ledger_id + digest)
        must(known.signed_by(told.site, signed), f"it is not signed by {told.site} with all its keys")
        order = known.orders.get(body["order"])
        must(order and order.done or None, "the acts that are known carry out no such order")
        same = order.done == body["carried_out"] and order.records <= set(map(unhex, body["records"]))
        must(same, "it is not what officers ordered")
        return f"{told.site} says that {body['payloads_destroyed']} payloads of order {body['order']} are destroyed"
    def row(self, value, at, known, chains, counts, epoch):
        """The record at a position of an export; its leaf."""
        if "hidden" in value:
            record, who = take(value, "position record_hash link previous_of_subject hidden"), ""
            record.head, record.leaf = None, unhex(record.record_hash)
            counts["hidden: only place and chain", NOT_CHECKED] += 1
        else:
            record = read_record(value)
            try: who = known.author(record, epoch)
            except Finding as finding:
                if finding.args[0] != COULD_NOT or record.head.author_key_id == ZERO16: raise
                who = known.signers[record.head.author_key_id].who
                counts["ML-DSA signature", COULD_NOT] += 1
        must(record.position == at, "another position stands in its place")
        chains.add(record, who)
        return record.leaf
    def payload(self, value, known, counts):
        """A payload is absent where an order over it was carried out, and only then proven to be."""
        record = None if "hidden" in value else read_record(value)
        if record is None or not record.head.payload_bytes: return
        over, given = known.order_over(record), record.payload is not None
        done = over is not None and over.done is not None
        must(not (done and given), f"position {record.position}: its payload was to be destroyed")
        if given or done: counts["payload erased by order" if done else "payload", OK] += 1
        else: counts["payload withheld by an order" if over else "payload not in the file", NOT_CHECKED] += 1
    def export(self, file, lines):
        """A whole ledger: its tree made again, and everything in it proven. What fails first ends it."""
        for last in lines(): pass
        end, rows, counts = take(load(last), "end records checkpoints erasure_certificates fraud"), lines(), Counter()
        told = take(load(next(rows)), "format genesis ledger_id epoch size checkpoint made_at_ms")
        notes = [read_note(text) for text in (told.checkpoint, *end.checkpoints)]
        known, note, edge, chains = self.begin(b64(told.genesis)), notes[0], [], Chains()
        same = note[:3] == (unhex(told.ledger_id), told.epoch, told.size) and end.records == told.size
        must(same and end.end is True, "first line, checkpoint and last line do not agree")
        sizes = self.asked | {each.size for each in notes} | {size for size, _ in self.forks.values()}
        for at in range(told.size):
            try: leaf = self.row(load(next(rows)), at, known, chains, counts, told.epoch)
            except Finding as finding: raise Finding(finding.args[0], f"position {at}: {finding.args[1]}") from None
            append(edge, at, leaf)
            if at in self.asked: self.agree(file, told.epoch, "position", at, leaf)
            if at + 1 in sizes: self.agree(file, told.epoch, "size", at + 1, root_of(edge))
        must(next(rows) == last and root_of(edge) == note.root, "the records make another tree than the checkpoint's")
        for each in notes: self.checkpoint(file, each, known)
        rows = lines()
        for at in range(-1, told.size): self.payload({"hidden": next(rows)} if at < 0 else load(next(rows)), known, counts)
        said = self.adopt(known, told.size)
        for (item, result), count in sorted(counts.items()): self.say(file, item, result, f"{count} records")
        for value in end.erasure_certificates: self.item(file, "erasure certificate", self.certificate, value)
        for value in end.fraud: self.item(file, "fraud", judge_fraud, known, value)
        return f"{told.size} records and {len(notes)} checkpoints; {said}"
    def file(self, name, kind, value):
        works = {"sento-export-1": lambda: self.export(name, value), "sento-trust-2": lambda: self.trust(name, value),
                 "sento-receipt-1": lambda: self.receipt(name, value), "sento-fraud-1": lambda: judge_fraud(self.keys(), value),
                 "sento-erasure-certificate-1": lambda: self.certificate(value),
                 "checkpoint": lambda: self.checkpoint(name, read_note(value))}
        self.item(name, kind if kind in works else "file", works.get(kind, lambda: must(False, f"no file of ours: {kind}")))

def opened(path):
    """What kind of file it is, what is in it (of an export: its lines), and its text."""
    def lines():
        with (gzip.open if zipped else open)(path, "rb") as file: yield from iter(lambda: file.readline(LINE_MAX_BYTES), b"")
    try:
        with open(path, "rb") as file: zipped = file.read(2) == b"\x1f\x8b"
        if b'"sento-export-1"' in next(lines(), b"")[:64]: return "sento-export-1", lines, ""
        with open(path, "rb") as file: text = file.read(FILE_MAX_BYTES).decode()
        if re.match("[0-9a-f]{64}/", text): return "checkpoint", text, text
        return load(text)["format"], load(text), text
    except Exception as error:  # noqa: BLE001 - what cannot be read is no file of ours
        return f"{type(error).__name__}: {error}", None, ""

def fork_of(text):
    epoch, size, root = text.split(":")
    return int(epoch), (int(size), unhex(root))

def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ledger-id", type=unhex, metavar="HEX", help="the ledger that is meant")
    parser.add_argument("--genesis", metavar="FILE", help="its genesis file")
    parser.add_argument("--trust", metavar="FILE", help="a trust file whose genesis file is believed")
    parser.add_argument("--fork", type=fork_of, action="append", default=[], metavar="EPOCH:SIZE:ROOT", help="an epoch's end")
    parser.add_argument("--explain", action="store_true", help="print every hash and signature step")
    parser.add_argument("--json", action="store_true", help="print the results as JSON")
    parser.add_argument("files", nargs="*", metavar="FILES")
    given = parser.parse_args()
    SAY.steps, files = given.explain, [(name, *opened(name)) for name in [given.trust, *given.files] if name]
    wanted = r'"position": ?(\d+)|[0-9a-f]/\d+(?:\\n|\n)(\d+)'  # positions and sizes that exports are asked about
    asked = {int(number) for *_, text in files for found in re.findall(wanted, text) for number in found if number}
    audit = Audit(given.ledger_id, dict(given.fork), asked)
    def anchor():
        genesis = open(given.genesis, "rb").read() if given.genesis else b64(files[0][2]["genesis"])
        audit.ledger_id = audit.ledger_id or hashlib.sha256(genesis).digest()
        return audit.adopt(audit.begin(genesis), 0)
    if given.genesis or given.trust: audit.item(given.genesis or given.trust, "genesis", anchor)
    order = ["sento-trust-2", "sento-export-1"]
    for name, kind, value, _ in sorted(files, key=lambda file: order.index(file[1]) if file[1] in order else 2):
        audit.file(name, kind, value)
    found = {each["result"] for each in audit.results}
    code = 1 if FAILED in found else 3 if found & {COULD_NOT, LOST} or not found else 0
    if given.json: print(json.dumps({"exit_code": code, "results": audit.results}, indent=1))
    for each in () if given.json else audit.results: print("{result:16} {file}  {item}: {why}".format(**each))
    sys.exit(code)

if __name__ == "__main__":
    main()
