#!/usr/bin/env python3
"""Sento's audit kit: proves receipts, trust files, exports, checkpoints, erasure certificates and proofs of fraud, offline.

    python audit_kit.py [--ledger-id HEX] [--trust F | --genesis F] [--fork EPOCH:SIZE:ROOT] [--explain] [--json] FILES

One file on Python 3.9+ and `cryptography`, which shares no line with the rest of Sento; FORMAT.md says what each byte means. Exit code:
0 nothing failed; 1 something failed; 2 wrong use; 3 nothing failed, but something could not be checked here or is lost with its epoch."""
import argparse, base64, gzip, hashlib, json, re, struct, sys, time
from collections import Counter, namedtuple; from functools import lru_cache, reduce; from types import SimpleNamespace as Told
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, utils
try: from cryptography.hazmat.primitives.asymmetric import mldsa
except ImportError: mldsa = None  # an older library: what ML-DSA signed is then "could not check"
OK, FAILED, NOT_CHECKED, COULD_NOT, LOST = "ok", "failed", "not checked", "could not check", "lost with epoch"
ZERO16, ZERO32, RULES_KNOWN, LINE_MAX_BYTES, FILE_MAX_BYTES = bytes(16), bytes(32), (1, 2, 3, 4, 5), 1 << 22, 1 << 28
SUITES = {"ed25519": 1, "ecdsa-p256": 2, "ml_dsa_65": 3, "ml_dsa_44": 4}; AS_OF = "; as of %Y-%m-%d %H:%M UTC: later entries may be missing"
P256_ORDER, PRIME = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551, 2**255 - 19
ORDER_8_Y = 0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826; WEAK_Y = (0, 1, PRIME - 1, ORDER_8_Y, PRIME - ORDER_8_Y)
SAY, TOLD = Told(steps=False), {True: "holds", False: "does NOT hold", None: "could not be checked"}
class Finding(Exception): """An item's end other than ok: (result, why)."""
def must(holds, why):  # go on only if it holds; None says that it cannot be told here
    if not holds: raise Finding(COULD_NOT if holds is None else FAILED, why)
def sha(rule, data):
    if SAY.steps: print(f"    {rule}: SHA-256 of the {len(data)} bytes {data.hex()} is {hashlib.sha256(data).hexdigest()}")
    return hashlib.sha256(data).digest()
# ---- reading: JSON with nothing missing, doubled or left over; fields off bytes ------------------------------------
def load(text):
    def once(pairs): return dict(pairs) if len(dict(pairs)) == len(pairs) else must(False, "a member stands twice")
    return json.loads(text.decode() if isinstance(text, bytes) else text, object_pairs_hook=once)
def take(value, needed, optional=""):  # an object with exactly these members; optional ones may be missing: None
    must(type(value) is dict and set(needed.split()) <= set(value) <= set(f"{needed} {optional}".split()), f"no object of {needed}")
    return Told(**{**dict.fromkeys(optional.split()), **value})
def b64(text): return data if base64.b64encode(data := base64.b64decode(text, validate=True)).decode() == text else must(False, "no base64")
def unhex(text): return data if (data := bytes.fromhex(text)).hex() == text else must(False, "no lower-case hex")
def cut(data, form):  # n4: a number of 4 bytes; v1: bytes behind a 1-byte length; 32: so many bytes; then the rest
    found, at = [], 0
    for kind, size in ((part[0], int(part.strip("nv"))) for part in form.split()):
        value, at = data[at : at + size], at + size; number = int.from_bytes(value, "big")
        if kind == "v": value, at = data[at : at + number], at + number
        found.append(number if kind == "n" else value)
    return (*found, data[at:]) if at <= len(data) else must(False, "the bytes end too early")
FIXED = "version record_id author_key_id time_ms key_epoch payload_bytes subject fact previous group dek_commit"
Header = namedtuple("Header", FIXED + " registry compartment kind content rest")
Head = namedtuple("Head", "ledger_id epoch size root registry subject has last link site signatures body")
Block = namedtuple("Block", "ledger_id epoch lane seq digest key signatures"); Note = namedtuple("Note", "ledger_id epoch size root text lines")
def read_header(data):
    header = Header(*cut(data, "n4 16 16 n8 n4 n4 32 16 32 16 32 v1 v1 v1 v4"))
    return header if header.version == 0x01010000 and not header.rest else must(False, "the header is of no known version, or goes on")
def read_head(text):
    form, *body, rest = cut(b64(text), "n1 32 n4 n8 32 v1 32 n1 n8 32")
    site, count, rest = cut(rest, "v1 n1"); *pairs, rest = cut(rest, "n1 v2 " * count)
    must(form == 1 and not rest and ((body[6] == 1 and body[7] < body[2]) or body[6:] == [0, 0, ZERO32]), "no head statement in form")
    return Head(*body, site.decode(), list(zip(pairs[::2], pairs[1::2])), b64(text)[1 : 151 + len(body[4])])
def read_block(text):
    form, ledger_id, epoch, key, lane, seq, count, rest = cut(b64(text), "n1 32 n4 16 v1 n8 n4")
    signed = cut(rest, "v4 " * count)[-1]; suite, signature, rest = cut(signed, "n1 v2"); must(form == 1 and not rest, "no block in form")
    return Block(ledger_id, epoch, lane.decode(), seq, sha("block, unsigned", b64(text)[: -len(signed)]), key, [(suite, signature)])
def read_note(text):  # a C2SP signed note of three lines; its signature lines as (name, key hash, data)
    body, _, rest = text.partition("\n\n")
    match = re.fullmatch("([0-9a-f]{64})/(0|[1-9][0-9]{0,9})\n(0|[1-9][0-9]{0,18})\n([A-Za-z0-9+/]{43}=)", body)
    lines = re.findall("— ([a-z0-9-]{1,32}) ([A-Za-z0-9+/=]+)\n", rest)
    must(match is not None and "".join(f"— {name} {data}\n" for name, data in lines) == rest, "no checkpoint in form")
    lines = [(name, b64(data)[:4], b64(data)[4:]) for name, data in lines]
    return Note(unhex(match[1]), int(match[2]), int(match[3]), b64(match[4]), body.encode() + b"\n", lines)
# ---- keys and signatures: (suite, bytes) ---------------------------------------------------------------------------
def key_id(key): return hashlib.sha256(bytes((key[0],)) + key[1]).digest()[:16]
@lru_cache(4096)  # neighbours share a submission and its signatures
def verifies(key, signature, message):  # None where this computer cannot tell
    (suite, data), (number, signed) = key, signature; y, weak = int.from_bytes(data, "little") % 2**255, suite > 2 and not any(data[32:])
    if suite != number or weak or (suite == 1 and (y >= PRIME or y in WEAK_Y)): return False  # weak: anybody can sign
    try:
        if suite == 1: ed25519.Ed25519PublicKey.from_public_bytes(data).verify(signed, message)
        elif suite == 2:  # of two signatures that would verify the one with the lower s counts
            r, s = int.from_bytes(signed[:32], "big"), int.from_bytes(signed[32:], "big")
            point = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), data)
            point.verify(utils.encode_dss_signature(r, s), message, ec.ECDSA(hashes.SHA256()))
            return len(data) == 33 and len(signed) == 64 and s <= P256_ORDER // 2
        elif mldsa is None: return None
        else: (mldsa.MLDSA65PublicKey if suite == 3 else mldsa.MLDSA44PublicKey).from_public_bytes(data).verify(signed, message)
        return True
    except (InvalidSignature, ValueError): return False
    except UnsupportedAlgorithm: return None
def best(results): return max(results, key=(False, None, True).index, default=False)
def all_verify(who, keys, signatures, message):  # whether exactly these keys signed, each once, in this order
    held = [verifies(key, signature, message) for key, signature in zip(keys, signatures)]
    for (suite, key), holds in zip(keys, held) if SAY.steps else ():
        print(f"    signature of {who}, suite {suite}, key {key.hex()}, over {message.hex()}:", TOLD[holds])
    return len(keys) == len(signatures) and False not in held and (None if None in held else True)
def frames(values): return [(each.suite, b64(each.data)) for each in (take(value, "suite data") for value in values)]
def pae(kind, body): return b"DSSEv1 %d application/vnd.sento.%s.v1 %d %s" % (len(kind) + 25, kind.encode(), len(body), body)
def vouched(note, site, keys, bare=False):  # with all its keys: 0x04, and 0x06 of one time; `bare`: one key's 0x01 too
    held, name, origin = [], site.encode(), note.text.partition(b"\n")[0]
    def named(kind, key): return hashlib.sha256(name + b"\n" + bytes((kind,)) + key[1]).digest()[:4]
    def lines(kind, key): return [data for who, key_hash, data in note.lines if (who, key_hash) == (site, named(kind, key))]
    for first in lines(4, keys[0]):
        message = b"cosignature/v1\ntime %d\n" % int.from_bytes(first[:8], "big") + note.text
        held.append(all_verify(site, keys[:1], [(1, first[8:])], message))
        if held[-1] and len(keys) == 2:
            message = b"subtree/v1\n\0%c%b%b%c%b" % (len(name), name, first[:8], len(origin), origin)
            message += struct.pack(">QQ", 0, note.size) + note.root
            held[-1] = best(all_verify(site, keys[1:], [(4, d[8:])], message) for d in lines(6, keys[1]) if d[:8] == first[:8])
    if bare and len(keys) == 1: held += [all_verify(site, keys, [(1, data)], note.text) for data in lines(1, keys[0])]
    return best(held)
# ---- the tree (RFC 6962), the records in it, and what follows what -------------------------------------------------
def node(left, right): return sha("node (01, left, right)", b"\1" + left + right)
def path_root(leaf, index, size, path):  # RFC 9162, 2.1.3.2; None when the path does not fit a tree of that size
    last = size - 1
    for sibling in map(unhex, path):
        if not 0 <= index <= last or last == 0 or (len(leaf), len(sibling)) != (32, 32): return None
        leaf = node(sibling, leaf) if index & 1 or index == last else node(leaf, sibling)
        while index == last and not index & 1 and index: index, last = index >> 1, last >> 1
        index, last = index >> 1, last >> 1
    return leaf if index == last == 0 else None
def append(edge, size, leaf):  # `edge`: the complete subtrees at the right edge of a tree of `size` leaves
    while size & 1: leaf, size = node(edge.pop(), leaf), size >> 1
    edge.append(leaf)
def root_of(edge): return reduce(lambda right, left: node(left, right), edge[::-1]) if edge else sha("no leaf", b"")
def read_record(value, more=" submission", optional="payload link previous_of_subject"):
    record = take(value, "position record_hash header payload_hash" + more, optional)
    header, payload = b64(record.header), getattr(record, "payload", None); record.leaf, record.head = unhex(record.record_hash), read_header(header)
    body = b"\0" + struct.pack(">I", len(header)) + header + unhex(record.payload_hash)
    must(sha("leaf (00, header length, header, payload hash)", body) == record.leaf, "its record hash is false")
    must(payload is None or sha("payload", b64(payload)) == unhex(record.payload_hash), "its payload is not the one that was hashed"); return record
class Chains:  # each subject's chain and each fact's versions
    def __init__(self): self.heads, self.subjects, self.facts, self.hidden = {}, {}, {}, set()
    def add(self, record):
        before, head = record.previous_of_subject, record.head
        link, whose = self.heads.pop(before, (None, None)) if before is not None else (ZERO32, None)
        must(None not in (link, record.link), "it has no link, or names no newest record of a subject before it")
        must(sha("link (02, link before, leaf)", b"\2" + link + record.leaf) == unhex(record.link), "its link is false")
        if head is None: self.hidden.add(record.leaf)
        else:
            mine, fact = (head.registry, head.subject), (head.registry, head.fact)
            must(whose in (None, mine) and self.subjects.get(mine, before) == before, "a record of its subject is left out before it")
            must(head.previous in (self.facts.get(fact, ZERO32), *self.hidden & {head.previous}), "it does not follow its fact's last version")
            whose, self.facts[fact] = mine, record.leaf
        if whose: self.subjects[whose] = record.position
        self.heads[record.position] = unhex(record.link), whose
# ---- governance: whose keys counted when, by the genesis file and officers' acts -----------------------------------
NO_EFFECT = """retire-key permit end-key-agent set-budget grant-budget set-policy enrol-reader revoke-reader replace-seal-key unlock add-registry
start-key-epoch close-key-epoch set-recovery-key delay-read-log release-read-log require-key-agent withdraw set-site-place set-site-votes""".split()
ACTS, GAP = hashlib.sha256(b"sento governance").digest(), ("epoch", "as_of_ms", "known_missing", "from_size")
def as_of(gaps): return time.strftime(AS_OF, time.gmtime(min(gap["as_of_ms"] for gap in gaps) // 1000)) if gaps else ""
def read_keys(told, second=""):  # a key, and the one that must sign beside it
    first, beside = told.get("key", told), [second] if second in told else []
    return [(SUITES[first["suite"]], b64(first["public_key"])), *((SUITES[name], b64(told[name])) for name in beside)]
class Governance:  # genesis file and acts stand under hashes: nobody changes them, and little strictness is needed
    def __init__(self, genesis):  # `size`: acts below it are known
        told, self.ledger_id = load(genesis), sha("ledger id: the genesis file", genesis)
        self.rules, self.size, self.epoch, self.last_act, self.acts, self.officers = told["rules"], 0, 0, ZERO32, {}, {}
        self.sites, self.site_keys, self.signers, self.orders, self.receipt_sets, self.begun, self.gaps = {}, [], {}, {}, [], {}, {}  # keys: ever
        people = {"site": told["sites"], "officer": told["officers"]["people"], "author": told["authors"]}
        for do, each in ((kind, each) for kind in people for each in people[kind]): self.change({"do": "enrol-" + do, **each, do: each}, -1)
        self.threshold = told["officers"]["threshold"]; self.change({"do": "set-receipt-set", **told["receipt_set"]}, -1)
    def enrol(self, who, keys, at): self.signers[key_id(keys[0])] = Told(who=who, keys=keys, since=at, until=None)
    def seat(self, told, at):
        self.sites[told["name"]] = keys = read_keys(told, "ml_dsa_44")
        self.enrol("/sites/" + told["name"], keys[:1], at); self.site_keys.append((told["name"], keys))
    def receipts(self, sites, quorum, at):
        must(len(sites) // 2 < quorum <= len(set(sites)) == len(sites), "a receipt set has no majority for quorum")
        self.receipt_sets = [each for each in self.receipt_sets if each[0] <= at] + [(at + 1, {name: self.sites[name] for name in sites}, quorum)]
    def change(self, told, at):  # what an act at position `at` changes holds from the next position on
        do, name = told["do"], told.get("name")
        if do in ("enrol-author", "enrol-key"):
            for key in told["keys"] if name else [told["key"]]: self.enrol(name or told["author"], read_keys(key, "ml_dsa_65"), at)
        elif do in ("close-key", "revoke-key"): self.signers[unhex(told["key_id"])].until = at
        elif do in ("enrol-site", "enrol-tie-breaker"): self.seat(told["site"], at)
        elif do in ("rotate-site-key", "retire-site"):
            self.signers[key_id(self.sites.pop(name)[0])].until = at
            if do == "rotate-site-key": self.seat(told, at)
            _, sites, quorum = self.receipt_sets[-1]
            if name in sites and name in self.sites: self.receipts(list(sites), quorum, at)
        elif do == "set-receipt-set": self.receipts(told["sites"], told["quorum"], at)
        elif do == "begin-epoch":  # what stood from here on in epochs before it is lost
            parent, agreed = told["parent"], told.pop("agreed", 0) if told["reason"] == "recover" else at; self.receipts(**told["receipt_set"], at=at)
            must(agreed <= parent["size"] == at and parent["epoch"] < told["epoch"] == self.opens and "agreed" not in told, "none may begin here")
            self.begun[told["epoch"]] = {**parent, "agreed": max(agreed, self.begun.get(parent["epoch"], {"size": 0})["size"])}
        elif do == "set-gap": self.gaps[told["epoch"]] = {"from_size": self.begun[told["epoch"]]["size"], **told}
        elif do == "enrol-officer": one = told["officer"]; self.officers[one["name"]] = [read_keys(o)[0] for o in (one, one.get("deputy")) if o]
        elif do == "set-deputy": self.officers[told["officer"]][1:] = [read_keys(told["deputy"])[0]] if "deputy" in told else []
        elif do == "retire-officer": del self.officers[name]
        elif do in ("set-threshold", "set-rules"): setattr(self, do[4:], told[do[4:]])
        elif do in ("erase", "erase-subject", "carry-out-erasure", "withdraw-erasure"):
            order = self.orders.setdefault(told.get("order", at), Told(records=set(), subjects=set(), done=None, withdrawn=False))
            order.records.update(map(unhex, told.get("records", ())))
            if do == "erase-subject": order.subjects.add((told["registry"].encode(), unhex(told["subject"])))
            order.done, order.withdrawn = at if do[0] == "c" else order.done, order.withdrawn or do[0] == "w"
        else: must(do in NO_EFFECT or None, f"an act says {do!a}, which this kit does not know")
        must(self.rules in RULES_KNOWN or None, f"this kit does not know rules {self.rules}")
    def open_gaps(self, at=-1):  # of recoveries; those over a position
        return [{name: gap[name] for name in GAP} for _, gap in sorted(self.gaps.items()) if gap["open"] and at < gap["from_size"]]
    def order_over(self, leaf, about, at):  # the order that covers a record's payload, first one that was carried out
        named = [each for each in self.orders.values() if not each.withdrawn and (leaf in each.records or about in each.subjects)]
        over = [each for each in named if leaf in each.records or each.done is None or at < each.done]
        return max(over, key=lambda each: each.done is not None, default=None)
    def act(self, record, told, epoch):  # signed by enough officers in office, behind the act before it; takes effect
        given, head = [take(value, "key_id suite data") for value in told.officers], record.head
        ids, signatures = [unhex(one.key_id) for one in given], [(one.suite, b64(one.data)) for one in given]
        form = head._replace(key_epoch=0, subject=ACTS, fact=ACTS[:16], group=ZERO16, registry=b"governance", compartment=b"", kind=b"act")
        alone = (told.count, told.index, told.path, told.signatures) == (1, 0, [], []) and ids == sorted(set(ids))
        must(alone and head == form and self.rules > 1 and self.epoch <= told.epoch <= epoch, "no act in form, or not of this epoch")
        must(head.previous == self.last_act, "it does not follow the act before it: one is left out, or one is false")
        offices = {key_id(key): (name, key) for name, keys in self.officers.items() for key in keys}
        must(set(ids) <= set(offices), "one of those who signed was not in office")
        message = pae("officers-act", self.ledger_id + struct.pack(">I", told.epoch) + record.leaf)
        must(all_verify("officers", [offices[each][1] for each in ids], signatures, message), "a false signature")
        must(len({offices[each][0] for each in ids}) >= self.threshold > 0, f"fewer than {self.threshold} officers signed")
        changes = load(head.content)["changes"]; self.opens = told.epoch if len(changes) == 1 and told.epoch > self.epoch else None
        for change in changes: self.change(change, record.position)
        must(len(self.officers) // 2 < self.threshold <= len(self.officers), "the threshold is no majority")
        self.epoch, self.last_act, self.acts[record.position] = told.epoch, record.leaf, (record.leaf, told); return "officers"
    def author(self, record, epoch):  # who signed it, by the keys in force at its position; give acts once, in order
        told, at = take(record.submission, "author_key_id count index path signatures officers epoch"), record.position
        key, signer = unhex(told.author_key_id), self.signers.get(record.head.author_key_id)
        must(key == record.head.author_key_id and (signer or key == ZERO16), "nobody that governance knows ever had this key")
        if key == ZERO16: return self.act(record, told, epoch)
        must(signer.since < at and (signer.until is None or at < signer.until), f"the key of {signer.who} was not in force at position {at}")
        root, count = path_root(record.leaf, told.index, told.count, told.path), struct.pack(">I", told.count)
        must(root and not told.officers, "its path does not fit its submission")
        signed = frames(told.signatures), pae("submission", self.ledger_id + root + count + key)
        must(all_verify(signer.who, signer.keys, *signed), f"not signed by {signer.who}"); return signer.who
    def end_of(self, epoch, size, what="size"): return min([size, *(fork[what] for number, fork in self.begun.items() if number > epoch)])
    def maker(self, epoch, size): return self.maker(fork["epoch"], size) if (fork := self.begun.get(epoch)) and size <= fork["agreed"] else epoch
    def receipt_set(self, at): return [entry for entry in self.receipt_sets if entry[0] <= self.end_of(at.epoch, at.size)][-1]  # a note's or head's
    def judge(self, note):  # a checkpoint, by the receipt set in force at its size
        must(note.ledger_id == self.ledger_id, "the checkpoint is of another ledger")
        _, sites, quorum = self.receipt_set(note); held = [vouched(note, site, keys) for site, keys in sites.items()]
        enough = held.count(True) >= quorum or (None if len(held) - held.count(False) >= quorum else False)
        must(enough, f"{held.count(True)} of {len(sites)} sites cosigned size {note.size}, {quorum} are needed")
    def signed_by(self, site, what):  # with all its keys of some time; Note, Head, Block or (signatures, message)
        every = [keys for name, keys in self.site_keys if name == site]
        if isinstance(what, Note): return best(vouched(what, site, keys, bare=True) for keys in every)
        if isinstance(what, Head): what = (what.signatures, pae("head", what.body))
        if isinstance(what, Block):
            every = [keys[:1] for keys in every if key_id(keys[0]) == what.key and what.lane.split("/")[0] == site]
            what = (what.signatures, pae("block", what.digest))
        return best(all_verify(site, keys, *what) for keys in every)
# ---- proofs of fraud: members that the site signed, and how they are read; others ----------------------------------
FRAUD = {"two-checkpoints": ("a b", read_note, ""), "two-heads": ("a b", read_head, ""), "two-blocks": ("a b", read_block, ""),
    "two-histories": ("a b", read_note, "position leaf_a path_a leaf_b path_b"), "head-root": ("statement checkpoint", read_head, ""),
    "head-omits": ("statement", read_head, "record path"), "head-invents": ("statement", read_head, "record path"),
    "head-against-quorum": ("statement", read_head, "others")}
SAME = {"two-checkpoints": (3, 4), "head-root": (3, 4), "two-blocks": (4, 5), "two-heads": (6, 9)}  # fields about what; fields that say what
def clash(a, b, about, says): return a[:about] == b[:about] and a[about:says] != b[about:says]
def contradicts(kind, t):  # whether an honest site could not have signed all of this
    if kind in SAME: return clash(*(getattr(t, name) for name in FRAUD[kind][0].split()), *SAME[kind])
    if kind == "head-against-quorum": return len({o[:9] for o in t.others}) == 1 and clash(t.statement, t.others[0], 6, 9)
    if kind == "two-histories":
        stands = [path_root(unhex(leaf), t.position, note.size, path) == note.root for leaf, path, note in
                  ((t.leaf_a, t.path_a, t.a), (t.leaf_b, t.path_b, t.b))]
        return all(stands) and t.leaf_a != t.leaf_b and clash(t.a, t.b, 2, 3)
    record, head = read_record(t.record, "", ""), t.statement
    if path_root(record.leaf, record.position, head.size, t.path) != head.root: return False
    if (record.head.registry, record.head.subject) == head[4:6]: return kind == "head-omits" and record.position >= head.last + head.has
    return kind == "head-invents" and head.has == 1 and record.position == head.last
def judge_fraud(known, value):
    signed, read, others = FRAUD[value["kind"]]; told = take(value, f"format kind ledger_id site {signed} {others}")
    for name in signed.split():
        setattr(told, name, (part := (read_note if name == "checkpoint" else read)(getattr(told, name))))
        must(part.ledger_id == unhex(told.ledger_id) == known.ledger_id, "it is about another ledger")
        must(getattr(part, "site", told.site) == told.site and known.signed_by(told.site, part), f"{name} is not {told.site}'s, by all its keys")
    if told.kind == "head-against-quorum":
        told.others, (_, sites, quorum) = list(map(read_head, told.others)), known.receipt_set(told.statement)
        names = {other.site for other in told.others if other.site in sites and other.site != told.site}
        must(len(names) == len(told.others) >= quorum, "the others are no quorum of the receipt set")
        for other in told.others: must(known.signed_by(other.site, other), f"a statement is not {other.site}'s")
    must(bool(contradicts(told.kind, told)), "its parts do not contradict each other"); return f"PROVEN against {told.site}: {told.kind}"
# ---- files ---------------------------------------------------------------------------------------------------------
class Audit:  # `known`: governance followed furthest; `seen`: what stands at (epoch, "size" or "position", number)
    def __init__(self, ledger_id, forks, asked):
        self.ledger_id, self.forks, self.asked, self.known, self.results = ledger_id, forks, asked, None, []
        self.seen = {(epoch, "size", size): (root, "the fork") for epoch, (size, root) in forks.items()}
    def say(self, file, item, result, why): self.results.append(dict(file=file, item=item, result=result, why=why))
    def item(self, file, item, work, *given):
        if SAY.steps: print(f"-- {file}: {item}")
        try: self.say(file, item, OK, work(*given))
        except Finding as finding: self.say(file, item, *finding.args)
        except Exception as error:  # noqa: BLE001 - whatever a file does to this program, it is not proven by that
            self.say(file, item, FAILED, f"not in its form ({type(error).__name__}: {error})")
    def begin(self, genesis):
        must(self.ledger_id, f"which ledger is meant? Give --ledger-id; of itself it says {hashlib.sha256(genesis).hexdigest()}")
        must(self.ledger_id == hashlib.sha256(genesis).digest(), "it is of another ledger than was asked for"); return Governance(genesis)
    def adopt(self, known, size):
        known.size, old = size, self.known; self.known = known if old is None or (known.epoch, size) > (old.epoch, old.size) else old
        return f"{len(known.acts)} acts below size {size} followed, of ledger {known.ledger_id.hex()}"
    def keys(self): return self.known or must(None, "whose keys count? Give --genesis, --trust or an export that is ok")
    def checkpoint(self, file, note, stand=(), known=None):  # by a quorum; `stand`: what stands under it, no other file says otherwise
        known = known or self.keys(); known.judge(note)
        for what, number, value in (("size", note.size, note.root), *stand):
            other, whose = self.seen.setdefault((known.maker(note.epoch, number + (what == "position")), what, number), (value, file))
            must(other == value, f"{whose} has something else at {what} {number}: two histories, keep both files")
        return f"a quorum cosigned size {note.size} of epoch {note.epoch}"
    def kept(self, note, position):  # above a later epoch's fork it is lost; above what was agreed on, another copy may have gone on
        size = self.known.end_of(note.epoch, self.forks.get(note.epoch, (note.size,))[0])
        if position >= size: raise Finding(LOST, f"position {position}: a recovery left epoch {note.epoch} at size {size}")
        must(position < self.known.end_of(note.epoch, size, "agreed") or None, "not proven by this file alone: another copy went on; ask a site")
    def note(self, file, note): said = self.checkpoint(file, note); self.kept(note, note.size - 1); return said
    def receipt(self, file, value):
        told = take(value, "format ledger_id position record_hash path checkpoint", "record")
        at, leaf, note = told.position, unhex(told.record_hash), read_note(told.checkpoint)
        must(unhex(told.ledger_id) == note.ledger_id, "receipt and checkpoint are of two ledgers")
        must(path_root(leaf, at, note.size, told.path) == note.root, "the path does not lead to the checkpoint's root")
        who = self.checkpoint(file, note, [("position", at, leaf)]); record = None if told.record is None else read_record(told.record)
        must(record is None or (record.position, record.leaf) == (at, leaf), "the record is not the receipt's"); self.kept(note, at)
        if record is not None:
            act = record.head.author_key_id == ZERO16; stands, signed = self.known.acts.get(at, (None, None))
            must(not act or stands == leaf or None, "no act that is known"); must(not act or vars(signed) == record.submission, "false signatures")
            who = "signed by " + ("officers" if act else self.known.author(record, note.epoch))
        if note.size > self.known.size: self.say(file, "later acts", NOT_CHECKED, f"not known from {self.known.size} on: another receipt set?")
        return f"record {leaf.hex()} stands at position {at} of epoch {note.epoch}, {who}{as_of(self.known.open_gaps(at))}"
    def trust(self, file, value):
        told = take(value, "format genesis records checkpoint proofs")
        known, note, last, stand = self.begin(b64(told.genesis)), read_note(told.checkpoint), -1, []
        must(len(told.proofs) == len(told.records), "not one proof a record")
        for record, path in zip(map(read_record, told.records), told.proofs):
            before, last = last, record.position
            must(before < last and path_root(record.leaf, last, note.size, path) == note.root, f"position {last} is not proven")
            known.author(record, note.epoch); stand.append(("position", last, record.leaf))
        self.checkpoint(file, note, stand, known); return self.adopt(known, note.size)
    def certificate(self, file, value):
        told, known = take(value, "format site body signatures"), self.keys()
        body, message = load(b64(told.body)), pae("erasure-certificate", known.ledger_id + sha("certificate's body", b64(told.body)))
        must((body["ledger_id"], body["site"]) == (known.ledger_id.hex(), told.site), "it is of another ledger or site")
        must(known.signed_by(told.site, (frames(told.signatures), message)), f"it is not signed by {told.site} with all its keys")
        order = known.orders.get(body["order"]); must((order and order.done) or None, "the acts that are known carry out no such order")
        must(order.done == body["carried_out"] and order.records <= set(map(unhex, body["records"])), "it is not what officers ordered")
        return f"{told.site} says that {body['payloads_destroyed']} payloads of order {body['order']} are destroyed"
    def row(self, value, known, chains, counts, payloads, epoch):  # a record of an export
        if "hidden" in value:
            record = take(value, "position record_hash link previous_of_subject hidden"); record.head, record.leaf = None, unhex(record.record_hash)
            must(len(record.leaf) == 32 and record.hidden is True, "its hash has another length, or it is not hidden")
        else:
            record = read_record(value)
            try: known.author(record, epoch)
            except Finding as finding:
                if finding.args[0] != COULD_NOT or record.head.author_key_id == ZERO16: raise
                counts["ML-DSA signature", COULD_NOT] += 1
            about, given = (record.head.registry, record.head.subject), record.payload is not None
            if record.head.payload_bytes: payloads.append((given, record.leaf, about, record.position))
        what = ("record", OK) if record.head else ("hidden: only place and chain", NOT_CHECKED); chains.add(record); counts[what] += 1; return record
    def export(self, file, lines):  # a whole ledger: its tree made again, all in it proven; what fails first ends it
        for last in lines(): pass
        end, rows, counts = take(load(last), "end records checkpoints erasure_certificates fraud"), lines(), Counter()
        told = take(load(next(rows)), "format genesis ledger_id epoch size checkpoint made_at_ms", "gaps")
        notes = [read_note(text) for text in (told.checkpoint, *end.checkpoints)]
        known, note, edge, chains, payloads, stand = self.begin(b64(told.genesis)), notes[0], [], Chains(), [], []
        must(note[:3] == (unhex(told.ledger_id), told.epoch, told.size) and end.records == told.size and end.end is True, "its lines disagree")
        sizes = self.asked | {each.size for each in notes} | {size for size, _ in self.forks.values()}
        for at in range(told.size):
            try: record = self.row(load(next(rows)), known, chains, counts, payloads, told.epoch)
            except Finding as finding: raise Finding(finding.args[0], f"position {at}: {finding.args[1]}") from None
            must(record.position == at, f"position {record.position} stands where {at} must stand"); fork = known.begun.get(known.epoch, {"size": -1})
            must(fork["size"] != at or unhex(fork["root"]) == root_of(edge), "an epoch forks off from another tree"); append(edge, at, record.leaf)
            stand += [("position", at, record.leaf)] * (at in self.asked) + [("size", n, root_of(edge)) for n in {at + 1} & sizes]
        must(next(rows) == last and root_of(edge) == note.root, "the records make another tree than the checkpoint's")
        for each in notes: self.checkpoint(file, each, [one for one in stand if one[1] + (one[0] == "position") <= each.size], known)
        for given, *record in payloads:  # absent where an order was carried out, and only there proven to be absent
            over = known.order_over(*record); must(not (given and over and over.done), f"position {record[-1]}: its payload was to be destroyed")
            item = "payload" if given else "no payload in the file" if over is None else "payload erased" if over.done else "payload withheld"
            counts[item, OK if given or (over and over.done) else NOT_CHECKED] += 1
        must((told.gaps or []) == known.open_gaps(), "it names other gaps than officers did"); said = self.adopt(known, told.size)
        for gap in known.open_gaps(): self.say(file, "gap", NOT_CHECKED, f"below {gap['from_size']}{as_of([gap])}, {gap['known_missing']} known")
        for (item, result), count in sorted(counts.items()): self.say(file, item, result, f"{count} records")
        for value in end.erasure_certificates: self.item(file, "erasure certificate", self.certificate, file, value)
        for value in end.fraud: self.item(file, "fraud", judge_fraud, known, value)
        return f"{told.size} records and {len(notes)} checkpoints; {said}"
def opened(path):  # what kind of file it is, what is in it (of an export: its lines), and its text
    def lines():
        with (gzip.open if zipped else open)(path, "rb") as file: yield from iter(lambda: file.readline(LINE_MAX_BYTES), b"")
    try:
        with open(path, "rb") as file: zipped = file.read(2) == b"\x1f\x8b"
        if b'"sento-export-1"' in next(lines(), b"")[:64]: return "sento-export-1", lines, ""
        with open(path, "rb") as file: data = file.read(FILE_MAX_BYTES)
        if re.match(b"[0-9a-f]{64}/", data): return "checkpoint", read_note(data.decode()), data.decode()
        value = load(data); return value["format"], data if value["format"] == "sento-genesis-1" else value, data.decode()
    except Exception as error:  # noqa: BLE001 - what cannot be read is no file of ours
        return f"{type(error).__name__}: {error}", None, ""
def fork_of(text): return int(text.split(":")[0]), (int(text.split(":")[1]), unhex(text.split(":")[2]))
def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ledger-id", type=unhex, metavar="HEX", help="the ledger that is meant")
    parser.add_argument("--trust", "--genesis", metavar="FILE", help="a trust or genesis file of the ledger that is meant")
    parser.add_argument("--fork", type=fork_of, action="append", default=[], metavar="EPOCH:SIZE:ROOT", help="an epoch's end")
    for flag in ("--explain", "--json"): parser.add_argument(flag, action="store_true")
    parser.add_argument("files", nargs="*", metavar="FILES"); given = parser.parse_args()
    SAY.steps, files = given.explain, [(name, *opened(name)) for name in [given.trust, *given.files] if name]
    asked = re.findall(r'(?:"position": ?|[0-9a-f]/\d+(?:\\n|\n))(\d+)', " ".join(text for *_, text in files))
    audit = Audit(given.ledger_id, dict(given.fork), set(map(int, asked)))  # exports are asked about these positions and sizes
    works = {"sento-genesis-1": lambda file, value: audit.adopt(audit.begin(value), 0), "sento-trust-2": audit.trust,  # in this order
             "sento-export-1": audit.export, "sento-receipt-1": audit.receipt, "checkpoint": audit.note,
             "sento-erasure-certificate-1": audit.certificate, "sento-fraud-1": lambda file, value: judge_fraud(audit.keys(), value)}
    if given.trust and audit.ledger_id is None and files[0][1] in ("sento-genesis-1", "sento-trust-2"):
        genesis = files[0][2] if files[0][1] == "sento-genesis-1" else b64(files[0][2]["genesis"]); audit.ledger_id = hashlib.sha256(genesis).digest()
    for name, kind, value, _ in sorted(files, key=lambda file: [*works, file[1]].index(file[1]) // 3):
        audit.item(name, kind, works.get(kind, lambda file, value: must(False, "no file of ours")), name, value)
    found = {each["result"] for each in audit.results}; code = 1 if FAILED in found else 3 if found & {COULD_NOT, LOST} or not found else 0
    lines = ("{result:16} {file}  {item}: {why}".format(**each) for each in audit.results)
    print(json.dumps({"exit_code": code, "results": audit.results}, indent=1) if given.json else "\n".join(lines)); sys.exit(code)
if __name__ == "__main__": main()
