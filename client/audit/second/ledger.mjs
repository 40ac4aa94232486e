// What a ledger is: records, its tree, checkpoints, and by genesis file and officers' acts whose keys count (FORMAT.md, sections 3 to 9).

import {
  alone, anyOf, anything, ascii, b64, bool, constant, demand, demandSigned, ED25519, fail, hex, isObject, key, KEY_BYTES, kind, Layout, list,
  ML_DSA_44, ML_DSA_65, nullable, optional, pae, parseJson, same, sha256, shape, SIGNATURE_BYTES, signedByAll, siteKey, sized, text, u, u32, u64,
  unable, utf8, verifies, whole, zeros,
} from './forms.mjs'

// --- Records and trees (sections 3 and 4) ---

const leafHash = (header, payloadHash) => sha256(u(1, 0), u(4, header.length), header, payloadHash)
const node = (left, right) => sha256(u(1, 1), left, right)

function rootOf(leaf, index, size, path) {
  demand(index < size, 'the position is not in the tree')
  let [at, last, hash] = [BigInt(index), BigInt(size) - 1n, leaf]
  for (const sibling of path) {
    demand(last !== 0n, 'the inclusion path is too long')
    if (at & 1n || at === last) {
      hash = node(sibling, hash)
      while (!(at & 1n) && at !== 0n) { at >>= 1n; last >>= 1n }
    } else hash = node(hash, sibling)
    at >>= 1n; last >>= 1n
  }
  demand(last === 0n, 'the inclusion path is too short')
  return hash
}

/** The tree hash of leaves as they come: the roots of the full subtrees, largest first. */
class Tree {
  constructor() { this.full = []; this.size = 0 }
  add(leaf) {
    for (let n = this.size++; n % 2; n = (n - 1) / 2) leaf = node(this.full.pop(), leaf)
    this.full.push(leaf)
  }
  get root() { return this.size ? this.full.reduceRight((right, left) => node(left, right)) : sha256() }
}

function decodeHeader(bytes) {
  const it = new Layout(bytes)
  demand(same(it.take(4), Buffer.from([1, 1, 0, 0])), 'an unknown header')
  it.take(16)
  const header = { author: it.take(16), time: it.take(8), keyEpoch: it.u(4), length: it.u(4), subject: it.take(32), fact: it.take(16),
    previous: it.take(32), group: it.take(16), commitment: it.take(32), registry: it.name(), compartment: it.name(), kind: it.name() }
  header.content = it.take(it.u(4))
  it.end()
  demand([header.registry, header.kind].every(n => /^[a-z0-9/-]{1,32}$/.test(n)) && /^[a-z0-9/-]{0,32}$/.test(header.compartment), 'a name in no form')
  return header
}

const SIGNATURE = shape({ suite: whole, data: b64 })
const SUBMISSION = shape({ author_key_id: hex(16), count: u32, index: u32, path: list(hex(32)), signatures: list(SIGNATURE),
  officers: list(shape({ key_id: hex(16), suite: whole, data: b64 })), epoch: u32 })
const BARE = { position: whole, record_hash: hex(32), header: b64, payload_hash: hex(32) }
const CHAIN = { link: hex(32), previous_of_subject: nullable(whole) }
const HIDDEN = shape({ position: whole, record_hash: hex(32), ...CHAIN, hidden: constant(true) })
const RECORD = shape({ ...BARE, submission: SUBMISSION })
const CHAINED = shape({ ...BARE, submission: SUBMISSION, payload: optional(b64), ...CHAIN })

/** A record object whose hash and payload are its own; `form` says which members this file has. */
const record = form => value => {
  const read = form(value)
  read.of = decodeHeader(read.header)
  demand(same(leafHash(read.header, read.payload_hash), read.record_hash), `the record at ${read.position} has another hash`)
  demand(read.of.length || same(read.payload_hash, sha256()), 'a hash of a payload that is none')
  if (read.payload) {
    demand(read.payload.length === read.of.length && same(sha256(read.payload), read.payload_hash), `the payload at ${read.position} is another`)
  }
  return read
}

// --- Checkpoints (section 5) ---

function parseNote(note) {
  const lines = note.split('\n')
  demand(lines.length > 5 && lines[3] === '' && lines.pop() === '', 'not a checkpoint')
  const [, ledger, epoch] = /^([0-9a-f]{64})\/(0|[1-9]\d{0,9})$/.exec(lines[0]) ?? fail('not a checkpoint\'s origin')
  demand(/^(0|[1-9]\d{0,18})$/.test(lines[1]), 'not a checkpoint\'s size')
  const root = b64(lines[2])
  demand(root.length === 32, 'not a checkpoint\'s root')
  const signatures = lines.slice(4).map(line => {
    const [, name, data] = /^\u2014 ([a-z0-9-]{1,32}) (\S+)$/.exec(line) ?? fail('not a signature line')
    return { name, hash: b64(data).subarray(0, 4), data: b64(data).subarray(4) }
  })
  return { ledger, epoch: u32(+epoch), size: whole(BigInt(lines[1])), root, origin: lines[0], text: ascii(lines.slice(0, 3).join('\n') + '\n'), signatures }
}
const NOTE = value => parseNote(text(value))

/** Whether a site signed a note with these keys. `proposing`: a line of type 0x01 counts too, of a site with one key. */
function cosigned(note, site, keys, proposing = false) {
  const lines = (type, bytes, length) => {
    const hash = sha256(ascii(site), Buffer.from([0x0a, type]), bytes).subarray(0, 4)
    return note.signatures.filter(line => line.name === site && same(line.hash, hash) && line.data.length === length)
  }
  const halves = lines(4, keys.ed, 72).filter(({ data }) => verifies(ED25519, keys.ed, data.subarray(8),
    Buffer.concat([ascii(`cosignature/v1\ntime ${data.readBigUInt64BE()}\n`), note.text])))
  if (!keys.ml) {
    return halves.length > 0 || (proposing && lines(1, keys.ed, 64).some(({ data }) => verifies(ED25519, keys.ed, data, note.text)))
  }
  const seconds = lines(6, keys.ml, 8 + SIGNATURE_BYTES[ML_DSA_44])
  return anyOf(halves.flatMap(half => seconds.filter(second => same(half.data.subarray(0, 8), second.data.subarray(0, 8)))), ({ data }) =>
    verifies(ML_DSA_44, keys.ml, data.subarray(8), Buffer.concat([ascii('subtree/v1\n'), u(1, 0), u(1, site.length), ascii(site), data.subarray(0, 8),
      u(1, note.origin.length), ascii(note.origin), u64(0), u64(note.size), note.root])))
}

// --- The genesis file and officers' acts (sections 6 and 7): whose keys count, and which sites make a quorum ---

const DEPUTY = shape({ name: text, key: alone, seal_key: optional(b64) })
const OFFICER = shape({ name: text, key: alone, seal_key: optional(b64), deputy: optional(DEPUTY) })
const SITE = shape({ name: kind(v => /^[a-z0-9-]{1,32}$/.test(v), 'a site\'s name'), key: siteKey, votes: bool, country: text, region: text,
  hazard_zone: text, power: text, carrier: text, provider: text, legal_basis: text, ml_dsa_44: optional(sized(KEY_BYTES[ML_DSA_44])),
  ledger: optional(bool), address: optional(text), ordering_url: optional(text) })
const AUTHOR = { name: text, keys: list(key), may_write: anything, budget_per_10000_positions: anything, seal_key: b64 }
const SET = { sites: list(text), quorum: whole }
const PARENT = shape({ epoch: u32, size: whole, root: hex(32), block: whole })
const GENESIS = shape({ format: constant('sento-genesis-1'), name: text, purpose: kind(v => v === 'production' || v === 'training', 'a purpose'),
  created: text, rules: whole, registries: list(text), sites: list(SITE), receipt_set: shape(SET),
  officers: shape({ threshold: whole, people: list(OFFICER) }), authors: list(shape(AUTHOR)), readers: anything })
const CONTENT = shape({ format: constant('sento-act-1'), reason: text, changes: list(kind(isObject, 'a change')) })
const GOVERNANCE = sha256(ascii('sento governance'))
const IGNORED = new Set(('retire-key permit withdraw set-budget grant-budget set-policy enrol-reader revoke-reader replace-seal-key add-registry start-key-epoch ' +
  'close-key-epoch set-recovery-key unlock delay-read-log release-read-log require-key-agent end-key-agent set-site-place set-site-votes').split(' '))

class Ledger {
  constructor(bytes) {
    const genesis = GENESIS(parseJson(utf8(bytes)))
    Object.assign(this, { id: sha256(bytes), keys: [], sites: new Map(), officers: new Map(), sets: [], acts: [], orders: new Map(), begun: new Map(),
      gaps: new Map() })
    this.setRules(genesis.rules)
    genesis.sites.forEach(site => this.enrolSite(site, -1))
    genesis.authors.forEach(({ name, keys }) => keys.forEach(each => this.enrolKey(name, each, -1)))
    genesis.officers.people.forEach(person => this.enrolOfficer(person))
    this.threshold = genesis.officers.threshold
    this.checkThreshold()
    this.setReceiptSet(genesis.receipt_set, -1)
    // Acts are known below this size. Under rules 1 there are none, ever.
    this.known = this.rules === 1 ? Infinity : 0
  }

  setRules(rules) { this.rules = rules >= 1 && rules <= 5 ? rules : unable(`rules ${rules} are not known here`) }
  enrolKey(owner, each, at) { this.keys.push({ ...each, owner, at, until: Infinity }) }
  endKeys(which, at) { this.keys.filter(each => each.until === Infinity && which(each)).forEach(each => { each.until = at }) }
  /** Of the newest act: what is known reaches into this epoch. */
  get epoch() { return this.acts.at(-1)?.epoch ?? 0 }
  site(name) { return this.sites.get(name) ?? fail(`the site ${name} is not enrolled`) }

  enrolSite({ name, key: main, ml_dsa_44: ml }, at) {
    this.sites.set(name, [...(this.sites.get(name) ?? []), { ed: main.bytes, ml }])
    this.enrolKey(`/sites/${name}`, main, at)
  }

  enrolOfficer(officer) {
    demand(!this.officers.has(officer.name), `the officer ${officer.name} is in office already`)
    this.officers.set(officer.name, officer)
  }

  setReceiptSet({ sites, quorum }, at) {
    demand(new Set(sites).size === sites.length && 2 * quorum > sites.length && quorum <= sites.length, 'a receipt set without a majority')
    this.sets.push({ at, quorum, keys: new Map(sites.map(name => [name, this.site(name).at(-1)])) })
  }

  checkThreshold() {
    const [k, n] = [this.threshold, this.officers.size]
    demand(n === 0 ? k === 0 : 2 * k > n && k <= n, `a threshold of ${k} for ${n} officers`)
  }

  setAt(size) { return this.sets.findLast(set => set.at < size) }

  /** How much of a tree that an epoch made stands: what a later epoch left behind does not (section 12). */
  standing(epoch, size) { return Math.min(size, ...[...this.begun].filter(([later]) => later > epoch).map(([, parent]) => parent.size)) }

  /** The gaps that officers hold open, by rising epoch (section 12); `over`: those whose fork lies above this position. */
  openGaps(over = -1) {
    return [...this.gaps.values()].filter(({ open, from_size: fork }) => open && over < fork).map(({ open, ...gap }) => gap).sort((a, b) => a.epoch - b.epoch)
  }

  /** How much of it a quorum is known to have agreed on when later epochs began: what it says behind that, its files alone do not prove (section 12). */
  sure(epoch) { return Math.min(Infinity, ...[...this.begun].filter(([later]) => later > epoch).map(([, parent]) => parent.agreed)) }

  /** The epoch that made the tree of this size first: up to what was agreed on, an epoch has its parent's. */
  home(epoch, size) {
    const parent = this.begun.get(epoch)
    return parent && size <= parent.agreed ? this.home(parent.epoch, size) : epoch
  }

  /** The site's every set of keys; `unable` where a later act may have brought it. */
  everyKeysOf(site) {
    return this.sites.get(site) ?? (this.known === Infinity ? fail : unable)(`the site ${site} is not known`)
  }

  /** Judges a checkpoint by the receipt set in force at its size, or at the fork that left it behind. */
  demandHolds(note) {
    demand(note.ledger === this.id.toString('hex'), 'a checkpoint of another ledger')
    const size = this.standing(note.epoch, note.size), { keys, quorum } = this.setAt(size)
    const worths = [...keys].map(([site, each]) => cosigned(note, site, each))
    const [sure, maybe] = [worths.filter(worth => worth === true).length, worths.filter(worth => worth === null).length]
    if (sure >= quorum) return
    if (this.known < size) unable(`${sure} of ${quorum} cosigned, by the receipt set of size ${this.known}`)
    demandSigned(sure + maybe >= quorum ? null : false, `the checkpoint of size ${note.size}: ${sure} of ${quorum} cosigned`)
  }

  /** Who signed a record: an author's name, a site, or officers. */
  demandSigned(one, ceilingEpoch) {
    const { submission: by, of: header, position, record_hash: hash } = one
    demand(same(by.author_key_id, header.author), `the record at ${position} is another author's`)
    if (same(header.author, zeros(16))) return this.demandKnownAct(one, ceilingEpoch)
    demand(!by.officers.length, 'officers under an author\'s record')
    const root = rootOf(hash, by.index, by.count, by.path)
    const message = pae('submission.v1', Buffer.concat([this.id, root, u(4, by.count), by.author_key_id]))
    const mine = this.keys.filter(each => each.id === by.author_key_id.toString('hex') && each.at < position && each.until >= position)
    if (!mine.length) (this.known < position ? unable : fail)(`the key that signed the record at ${position} does not count there`)
    const worth = anyOf(mine, each => signedByAll([[each.suite, each.bytes], ...(each.companion ? [[ML_DSA_65, each.companion]] : [])], by.signatures, message))
    demandSigned(worth, `the signature of the record at ${position}`)
    return mine[0].owner
  }

  /** An act that was followed before, or the next one. */
  demandKnownAct(one, ceilingEpoch) {
    const { position, record_hash: hash, submission: by } = one
    if (this.acts.some(act => act.position === position && same(act.hash, hash) && same(act.signed, signedBytes(by)))) return 'officers'
    demand(position >= this.known, `the act at ${position} is none of those that this ledger has`)
    if (this.known < position && !same(one.of.previous, this.acts.at(-1)?.hash ?? zeros(32))) unable(`the acts before position ${position} are not known`)
    return this.demandAct(one, ceilingEpoch)
  }

  demandAct(one, ceilingEpoch) {
    const { submission: by, of: header, position, record_hash: hash } = one
    demand(same(by.author_key_id, zeros(16)) && same(header.author, zeros(16)) && header.keyEpoch === 0 && same(header.subject, GOVERNANCE) &&
      same(header.fact, GOVERNANCE.subarray(0, 16)) && same(header.group, zeros(16)) &&
      header.registry === 'governance' && header.compartment === '' && header.kind === 'act', 'not an act, and no author')
    demand(by.count === 1 && by.index === 0 && !by.path.length && !by.signatures.length, 'an act in a submission')
    const last = this.acts.at(-1)
    demand(this.rules >= 2, 'an act under rules 1')
    demand(same(header.previous, last?.hash ?? zeros(32)), `an act is missing before position ${position}`)
    demand(by.epoch >= (last?.epoch ?? 0) && by.epoch <= ceilingEpoch, `the act at ${position} is of another epoch`)
    const message = pae('officers-act.v1', Buffer.concat([this.id, u(4, by.epoch), hash]))
    const signed = new Set()
    by.officers.forEach(({ key_id: id, suite, data }, i) => {
      demand(i === 0 || Buffer.compare(by.officers[i - 1].key_id, id) < 0, 'officers\' key ids do not rise')
      const [name, mine] = [...this.officers.values()].flatMap(each => [[each.name, each.key], ...(each.deputy ? [[each.name, each.deputy.key]] : [])])
        .find(([, each]) => each.id === id.toString('hex')) ?? fail(`the act at ${position} has a signature of nobody in office`)
      demand(suite === mine.suite && verifies(suite, mine.bytes, data, message), `an officer's signature of the act at ${position}`)
      signed.add(name)
    })
    demand(signed.size >= this.threshold && this.threshold > 0, `the act at ${position}: ${signed.size} of ${this.threshold} officers signed`)
    one.content = CONTENT(parseJson(utf8(header.content)))
    const { changes } = one.content
    if (changes.some(each => each.do === 'begin-epoch')) {
      demand(changes.length === 1 && changes[0].epoch === by.epoch && by.epoch > (last?.epoch ?? 0),
        `the act at ${position} begins another epoch than it is signed for, or does more`)
    }
    return 'officers'
  }

  /** The next act: judged, and what it changes from here on. */
  follow(one, ceilingEpoch) {
    this.demandAct(one, ceilingEpoch)
    const { position: at, submission: by } = one
    for (const change of one.content.changes) this.change(change, at)
    this.checkThreshold()
    this.acts.push({ position: at, hash: one.record_hash, epoch: by.epoch, signed: signedBytes(by) })
  }

  change(change, at) {
    const does = text(change.do)
    if (IGNORED.has(does)) return
    const [form, act] = CHANGES[does] ?? unable(`the act at ${at} does ${does}, which is not known here`)
    act.call(this, shape({ do: text, ...form })(change), at)
  }

  order(at) { return this.orders.get(at) ?? this.orders.set(at, { records: new Set(), subjects: [], out: null, withdrawn: false }).get(at) }
  /** Whether officers had a record's payload destroyed. */
  erased(one) {
    return [...this.orders.values()].some(({ out, records, subjects }) => out !== null && (records.has(one.record_hash.toString('hex')) ||
      (one.position < out && subjects.some(each => each.registry === one.of.registry && same(each.subject, one.of.subject)))))
  }
}
const signedBytes = by => sha256(u(4, by.epoch), ...by.officers.flatMap(each => [each.key_id, u(1, each.suite), each.data]))

const CHANGES = {
  'enrol-author': [AUTHOR, function ({ name, keys }, at) { keys.forEach(each => this.enrolKey(name, each, at)) }],
  'enrol-key': [{ author: text, key }, function (it, at) { this.enrolKey(it.author, it.key, at) }],
  'close-key': [{ author: text, key_id: hex(16) }, endKey],
  'revoke-key': [{ author: text, key_id: hex(16), suspect_from_position: optional(whole) }, endKey],
  'enrol-site': [{ site: SITE }, function ({ site }, at) { this.enrolSite(site, at) }],
  'rotate-site-key': [{ name: text, key: siteKey, ml_dsa_44: optional(sized(KEY_BYTES[ML_DSA_44])) }, function (site, at) {
    this.site(site.name)
    this.endKeys(each => each.owner === `/sites/${site.name}`, at)
    this.enrolSite(site, at)
    const { quorum, keys } = this.sets.at(-1)
    if (keys.has(site.name)) this.sets.push({ at, quorum, keys: new Map([...keys, [site.name, this.site(site.name).at(-1)]]) })
  }],
  'retire-site': [{ name: text }, function ({ name }, at) { this.endKeys(each => each.owner === `/sites/${name}`, at) }],
  'set-receipt-set': [SET, function (it, at) { this.setReceiptSet(it, at) }],
  'enrol-tie-breaker': [{ site: SITE }, function ({ site }, at) { this.enrolSite(site, at) }],
  'begin-epoch': [{ epoch: u32, parent: PARENT, plan: hex(32), reason: text, voting: list(text), receipt_set: shape(SET),
    agreed: optional(whole) }, function (it, at) {
    demand(it.parent.size === at && it.parent.epoch < it.epoch, `the act at ${at} begins an epoch that forks off elsewhere`)
    const recovers = it.reason === 'recover', since = this.begun.get(it.parent.epoch)?.size ?? 0
    demand((it.agreed ?? 0) <= at && (recovers || (it.agreed ?? null) === null), `the act at ${at} says that more was agreed on than can be`)
    const agreed = recovers ? Math.max(it.agreed ?? 0, since) : at
    this.begun.set(it.epoch, { ...it.parent, agreed })
    this.setReceiptSet(it.receipt_set, at)
  }],
  'set-gap': [{ epoch: u32, as_of_ms: whole, known_missing: whole, open: bool }, function ({ epoch, as_of_ms, known_missing, open }, at) {
    const { size } = this.begun.get(epoch) ?? fail(`the act at ${at} is about the gap of epoch ${epoch}, which no act began`)
    this.gaps.set(epoch, { epoch, as_of_ms, known_missing, from_size: size, open })
  }],
  'enrol-officer': [{ officer: OFFICER }, function ({ officer }) { this.enrolOfficer(officer) }],
  'retire-officer': [{ name: text }, function ({ name }) { demand(this.officers.delete(name), `${name} is not in office`) }],
  'set-deputy': [{ officer: text, deputy: optional(DEPUTY) }, function ({ officer, deputy }) {
    (this.officers.get(officer) ?? fail(`${officer} is not in office`)).deputy = deputy
  }],
  'set-threshold': [{ threshold: whole }, function ({ threshold }) { this.threshold = threshold }],
  'set-rules': [{ rules: whole }, function ({ rules }) { this.setRules(rules) }],
  erase: [{ records: list(hex(32)), legal_basis: text }, function ({ records }, at) {
    records.forEach(each => this.order(at).records.add(each.toString('hex')))
  }],
  'erase-subject': [{ registry: text, subject: hex(32), legal_basis: text, wait: anything }, function (it, at) { this.order(at).subjects.push(it) }],
  'carry-out-erasure': [{ order: whole }, function ({ order }, at) {
    demand(this.orders.has(order) && !this.orders.get(order).withdrawn, `the act at ${at} carries out an order that is none`)
    this.orders.get(order).out = at
  }],
  'withdraw-erasure': [{ order: whole }, function ({ order }, at) {
    demand(this.orders.has(order) && this.orders.get(order).out === null, `the act at ${at} withdraws an order that is none`)
    this.orders.get(order).withdrawn = true
  }],
}
function endKey({ author, key_id: id }, at) { this.endKeys(each => each.owner === author && each.id === id.toString('hex'), at) }

export {
  BARE, CHAINED, cosigned, HIDDEN, Ledger, NOTE, parseNote, record, RECORD, rootOf, SIGNATURE, Tree,
}
