// A second verifier of Sento's proofs, written from FORMAT.md alone, in another language and on other libraries than audit_kit.py beside it.
// It shows that the page is enough, and disagrees where one of the two is wrong. Node 20 or later, no package; "section" is FORMAT.md's.
//
//     node verify.mjs [--ledger-id HEX] [--trust F | --genesis F] [--fork EPOCH:SIZE:ROOT] [--json] FILES
//
// Node has no ML-DSA: what only such a signature could tell is "could not check", and so are positions above 2^53 - 1.

import { readFileSync } from 'node:fs'
import { gunzipSync } from 'node:zlib'
import {
  all, anything, b64, constant, COULD_NOT, demand, fail, FAILED, hex, isObject, kind, list, LOST, NOT_CHECKED, OK, optional, parseJson, same,
  sha256, shape, u, u32, unable, utf8, Verdict, whole, zeros,
} from './forms.mjs'
import { CHAINED, HIDDEN, Ledger, NOTE, parseNote, RECORD, record, rootOf, Tree } from './ledger.mjs'
import { demandCertificate, demandFraud, NO_KEYS } from './statements.mjs'

// --- Files (section 10) ---

const RECEIPT = shape({ format: constant('sento-receipt-1'), ledger_id: hex(32), position: whole, record_hash: hex(32), path: list(hex(32)), checkpoint: NOTE,
  record: optional(record(RECORD)) })
const TRUST = shape({ format: constant('sento-trust-2'), genesis: b64, records: list(record(RECORD)), checkpoint: NOTE, proofs: list(list(hex(32))) })
const FIRST = shape({ format: constant('sento-export-1'), genesis: b64, ledger_id: hex(32), epoch: u32, size: whole, checkpoint: NOTE, made_at_ms: whole,
  gaps: optional(list(shape({ epoch: u32, as_of_ms: whole, known_missing: whole, from_size: whole }))) })
const LAST = shape({ end: constant(true), records: whole, checkpoints: list(NOTE), erasure_certificates: list(anything), fraud: list(anything) })

/** The ledger that a trust file tells of, judged by its own genesis file. */
function followTrust(value) {
  const { genesis, records, checkpoint, proofs } = TRUST(value)
  const ledger = new Ledger(genesis)
  demand(checkpoint.ledger === ledger.id.toString('hex'), 'a checkpoint of another ledger')
  demand(records.length === proofs.length, 'not one path for each record')
  ledger.known = Infinity
  records.forEach((one, i) => {
    demand(i === 0 || records[i - 1].position < one.position, 'positions do not rise')
    demand(same(rootOf(one.record_hash, one.position, checkpoint.size, proofs[i]), checkpoint.root), `the record at ${one.position} is not under the checkpoint`)
    demand(one.of.registry === 'governance', `the record at ${one.position} is none of governance`)
    if (one.of.kind === 'act') ledger.follow(one, checkpoint.epoch)
    else ledger.demandSigned(one, checkpoint.epoch)
  })
  if (ledger.rules > 1) ledger.known = checkpoint.size
  ledger.demandHolds(checkpoint)
  return { ledger, checkpoint }
}

/** One run: the ledger that is meant, the forks, what was seen in files, and the results. */
class Run {
  constructor() { Object.assign(this, { results: [], forks: new Map(), seen: new Map(), id: null, ledger: null }) }

  /** Says what an item's judge found. `told`: also where it is ok. */
  item(file, item, judge, told = true) {
    try {
      const why = judge() ?? ''
      if (told) this.say(file, item, OK, why)
    } catch (error) {
      if (error instanceof RangeError) error = new Verdict(FAILED, 'nested too deeply')
      if (!(error instanceof Verdict)) throw error
      this.say(file, item, error.result, error.message)
      return error.result
    }
    return OK
  }
  say(file, item, result, why) { this.results.push({ file, item, result, why }) }

  /** Holds what a file says against all files before: one root for each size, one record for each position, per epoch. */
  see(file, what, epoch, number, hash, ledger) {
    epoch = ledger.home(epoch, what === 'record' ? number + 1 : number)
    const [place, mine] = [`${what} ${number} of epoch ${epoch}`, hash.toString('hex')]
    const before = this.seen.get(place) ?? this.seen.set(place, { file, hash: mine }).get(place)
    if (before.hash !== mine) this.say(file, 'one history', FAILED, `${before.file} has another ${place}: two histories`)
  }
  seeNote(file, note, ledger) { this.see(file, 'root', note.epoch, note.size, note.root, ledger) }

  demandFork({ epoch, size, root }) {
    const fork = this.forks.get(epoch)
    if (fork && size === fork.size) demand(same(root, fork.root), 'not the root that the epoch was left at')
  }
  demandKept(epoch, position, ledger) {
    const size = ledger.standing(epoch, this.forks.get(epoch)?.size ?? Infinity)
    if (position >= size) throw new Verdict(LOST, `epoch ${epoch} was left at size ${size}`)
    if (position >= ledger.sure(epoch)) unable('not proven by this file alone: the ledger went on from another copy; ask a site')
  }
  demandTold(id) {
    if (!this.id) unable('the ledger id was not given')
    demand(same(this.id, id), 'of another ledger')
  }

  /** A checkpoint; `lone`: a file of its own, of which nothing else says whether it still stands. */
  note(file, note, ledger, lone = false) {
    const result = this.item(file, 'checkpoint', () => {
      (ledger ?? unable(NO_KEYS)).demandHolds(note)
      this.demandTold(ledger.id)
      this.demandFork(note)
      this.seeNote(file, note, ledger)
      if (lone) this.demandKept(note.epoch, note.size - 1, ledger)
      return `size ${note.size}`
    })
    if (result === OK && ledger.known < note.size) this.say(file, 'later acts', NOT_CHECKED, `acts are known below position ${ledger.known}`)
  }

  receipt(file, value) {
    let read
    if (this.item(file, 'receipt', () => { read = RECEIPT(value) }, false) !== OK) return
    const { checkpoint: note, position, record: one } = read, { ledger } = this
    const result = this.item(file, 'receipt', () => {
      demand(read.ledger_id.toString('hex') === note.ledger, 'a checkpoint of another ledger')
      demand(same(rootOf(read.record_hash, position, note.size, read.path), note.root), 'the path does not lead to the checkpoint\'s root')
      if (this.id) demand(same(this.id, read.ledger_id), 'of another ledger')
      ;(ledger ?? unable(NO_KEYS)).demandHolds(note)
      this.demandFork(note)
      this.seeNote(file, note, ledger)
      this.see(file, 'record', note.epoch, position, read.record_hash, ledger)
      if (one) demand(one.position === position && same(one.record_hash, read.record_hash), 'the record is another one')
      this.demandKept(note.epoch, position, ledger)
      return `position ${position} of ${note.size}${asOf(ledger.openGaps(position))}`
    })
    if (result === LOST || (ledger && position >= ledger.sure(note.epoch))) return
    if (!one) this.say(file, 'signature', NOT_CHECKED, 'the receipt has no record in it')
    else this.item(file, 'signature', () => `by ${(ledger ?? unable(NO_KEYS)).demandSigned(one, note.epoch)}`)
    if (ledger && ledger.known < note.size) this.say(file, 'later acts', NOT_CHECKED, `acts are known below position ${ledger.known}`)
  }

  trust(file, value) {
    this.item(file, 'trust', () => {
      const { ledger, checkpoint } = followTrust(value)
      this.demandTold(ledger.id)
      this.demandFork(checkpoint)
      this.seeNote(file, checkpoint, ledger)
      return `${ledger.acts.length} acts below ${checkpoint.size}`
    })
  }

  export(file, lines) {
    let opened
    if (this.item(file, 'genesis', () => { opened = openExport(lines); this.demandTold(opened.ledger.id) }) !== OK) return null
    const { first, last, ledger } = opened, note = first.checkpoint
    const hidden = [], absent = [], erased = [], rows = []
    const worst = { records: [], signatures: [], chains: [] }
    const each = (what, judge) => { try { judge() } catch (error) { if (error instanceof Verdict) worst[what].push(error); else throw error } }
    const tree = new Tree(), roots = new Map([[0, sha256()]]), subjects = new SubjectChains(), facts = new FactChains()
    ledger.known = Infinity
    lines.slice(1, -1).forEach((line, position) => each('records', () => {
      const value = parseJson(utf8(line)), one = isObject(value) && value.hidden ? HIDDEN(value) : record(CHAINED)(value)
      demand(one.position === position, `the line of position ${position} is another's`)
      rows.push(one)
      tree.add(one.record_hash)
      roots.set(tree.size, tree.root)
      each('chains', () => { subjects.add(one); facts.add(one) })
      if (one.hidden) return hidden.push(position)
      if (one.of.registry === 'governance' && one.of.kind === 'act') ledger.follow(one, note.epoch)
      else each('signatures', () => ledger.demandSigned(one, note.epoch))
    }))
    const summed = (what, good) => this.item(file, what, () => {
      for (const result of [FAILED, COULD_NOT]) { const found = worst[what].find(error => error.result === result); if (found) throw found }
      return good
    })
    if (summed('records', `${rows.length} records and ${ledger.acts.length} acts`) !== OK) return null
    summed('signatures', 'every author\'s')
    summed('chains', 'subjects and facts')
    for (const one of rows.filter(row => !row.hidden && row.of.length)) {
      const destroyed = ledger.erased(one)
      if (!one.payload) (destroyed ? erased : absent).push(one.position)
      else if (destroyed) this.say(file, 'payloads', FAILED, `the payload at ${one.position} is there, and officers had it destroyed`)
    }
    if (erased.length) this.say(file, 'erased', OK, `${erased.length} payloads`)
    if (absent.length) this.say(file, 'payloads', NOT_CHECKED, `${absent.length} were not given to whoever exported`)
    if (hidden.length) this.say(file, 'hidden', NOT_CHECKED, `${hidden.length} records`)
    this.item(file, 'tree', () => {
      demand(first.size === rows.length && last.records === rows.length, 'another number of records than it says')
      for (const each of [note, ...last.checkpoints]) demand(roots.has(each.size) && same(roots.get(each.size), each.root), `another root at size ${each.size}`)
      const fork = this.forks.get(first.epoch)
      if (fork && roots.has(fork.size)) demand(same(roots.get(fork.size), fork.root), 'not the root that the epoch was left at')
      for (const [epoch, { size, root }] of ledger.begun) demand(same(roots.get(size), root), `epoch ${epoch} began from another root`)
    })
    this.item(file, 'gaps', () => demand(JSON.stringify(first.gaps ?? []) === JSON.stringify(ledger.openGaps()), 'it names other gaps than officers did'), false)
    for (const gap of ledger.openGaps()) this.say(file, 'gap', NOT_CHECKED, `below ${gap.from_size}${asOf([gap])}; ${gap.known_missing} known to be missing`)
    if (ledger.rules > 1) ledger.known = first.size
    this.item(file, 'epoch', () => demand(first.epoch === note.epoch && first.size === note.size && last.checkpoints.every(({ epoch }) => epoch <= note.epoch),
      'a checkpoint of another epoch or size'))
    for (const each of [note, ...last.checkpoints]) this.note(file, each, ledger)
    for (const one of rows) this.see(file, 'record', first.epoch, one.position, one.record_hash, ledger)
    for (const each of last.erasure_certificates) this.item(file, 'certificate', () => demandCertificate(each, ledger))
    for (const each of last.fraud) this.item(file, 'fraud', () => demandFraud(each, ledger))
    return ledger
  }

  /** Judges one file. */
  file(file, bytes) {
    let read
    if (this.item(file, 'file', () => { read = recognise(bytes) }, false) !== OK) return
    const { form, value, lines, note } = read
    if (form === 'export') this.export(file, lines)
    else if (form === 'checkpoint') this.note(file, note, this.ledger, true)
    else if (form === 'receipt') this.receipt(file, value)
    else if (form === 'trust') this.trust(file, value)
    else if (form === 'genesis') this.item(file, 'genesis', () => this.demandTold(new Ledger(bytes).id))
    else if (form === 'fraud') this.item(file, 'fraud', () => demandFraud(value, this.ledger))
    else this.item(file, 'certificate', () => demandCertificate(value, this.ledger))
  }

  /** Takes the keys from a file of the ledger that is meant, if it is of a later epoch than what was taken before, or of that one and knows acts further.
   *  `trust`: says which is meant. */
  learn(bytes, trust) {
    try {
      const { form, value, lines } = recognise(bytes)
      const found = form === 'genesis' ? new Ledger(bytes) : form === 'trust' ? followTrust(value).ledger : form === 'export' ? this.exported(lines) : null
      if (trust && found) this.id ??= found.id
      if (found && this.id && same(found.id, this.id) && (!this.ledger || reachesFurther(found, this.ledger))) this.ledger = found
      return found
    } catch (error) { if (!(error instanceof Verdict || error instanceof RangeError)) throw error }
  }

  /** The ledger that an export tells of, if all of it holds. */
  exported(lines) {
    const alone = new Run()
    alone.id = openExport(lines).ledger.id
    const ledger = alone.export('', lines)
    return alone.results.some(({ result }) => result === FAILED) ? null : ledger
  }
}

/** What must be said beside a record below these gaps (section 12). */
const asOf = gaps => gaps.length ? `; as of ${new Date(Math.min(...gaps.map(gap => gap.as_of_ms))).toISOString()}: later entries may be missing` : ''

const reachesFurther = (a, b) => a.epoch > b.epoch || (a.epoch === b.epoch && a.known > b.known)

/** An export's first and last line, and its ledger before any act. */
function openExport(lines) {
  demand(lines.length >= 2, 'an export that is cut short')
  const first = FIRST(parseJson(utf8(lines[0]))), last = LAST(parseJson(utf8(lines.at(-1)))), ledger = new Ledger(first.genesis)
  demand(same(first.ledger_id, ledger.id), 'its genesis file is another ledger\'s')
  return { first, last, ledger }
}

/** Subject chains (section 8): each record names the one before; hidden ones belong to whoever follows them. */
class SubjectChains {
  constructor() { this.rows = []; this.named = new Set(); this.chains = new Map() }
  add({ position, record_hash: hash, link, previous_of_subject: previous, of }) {
    demand(previous === null || previous < position, `the record at ${position} follows a later one`)
    const before = previous === null ? null : this.rows[previous]
    demand(same(link, sha256(u(1, 2), before?.link ?? zeros(32), hash)), `the link at ${position} is another`)
    demand(previous === null || !this.named.has(previous), `two records follow the one at ${previous}`)
    this.named.add(previous)
    const chain = before?.chain ?? { subject: null }
    this.rows.push({ link, chain })
    if (!of) return
    const subject = `${of.registry} ${of.subject.toString('hex')}`
    chain.subject ??= subject
    demand(chain.subject === subject && (this.chains.get(subject) ?? chain) === chain, `the record at ${position} is in another subject's chain`)
    this.chains.set(subject, chain)
  }
}

/** Fact chains (section 8): each version names the one before it, which a file may hide. */
class FactChains {
  constructor() { this.last = new Map(); this.hidden = new Map() }
  add({ position, record_hash: hash, of }) {
    if (!of) return this.hidden.set(hash.toString('hex'), position)
    const fact = `${of.registry} ${of.fact.toString('hex')}`, last = this.last.get(fact), previous = of.previous.toString('hex')
    const unseen = this.hidden.get(previous)
    demand(previous === (last?.hash ?? '00'.repeat(32)) || unseen > (last?.position ?? -1), `the record at ${position} does not follow the last version of its fact`)
    this.hidden.delete(previous)
    this.last.set(fact, { hash: hash.toString('hex'), position })
  }
}

/** Which kind of file bytes are. */
function recognise(bytes) {
  if (bytes[0] === 0x1f && bytes[1] === 0x8b) try { bytes = gunzipSync(bytes) } catch { fail('not gzip') }
  if (/^[0-9a-f]{64}\/$/.test(bytes.toString('latin1', 0, 65))) return { form: 'checkpoint', note: parseNote(utf8(bytes)) }
  const end = bytes.indexOf(10), firstLine = end < 0 ? bytes : bytes.subarray(0, end)
  if (/"format"\s*:\s*"sento-export-1"/.test(firstLine.toString('latin1'))) return { form: 'export', lines: linesOf(bytes) }
  const value = parseJson(utf8(bytes)), format = isObject(value) ? value.format : fail('no file that is known')
  const form = { 'sento-receipt-1': 'receipt', 'sento-trust-2': 'trust', 'sento-erasure-certificate-1': 'certificate', 'sento-fraud-1': 'fraud',
    'sento-genesis-1': 'genesis' }[format]
  return { form: form ?? unable(`the format ${JSON.stringify(format)} is not known here`), value }
}
function linesOf(bytes) {
  const lines = []
  for (let at = 0; at < bytes.length;) {
    const end = bytes.indexOf(10, at), to = end < 0 ? bytes.length : end
    lines.push(bytes.subarray(at, to))
    at = to + 1
  }
  return lines
}

// --- The command ---

function wrongUse(why) {
  process.stderr.write(`${why}\nnode verify.mjs [--ledger-id HEX] [--trust F | --genesis F] [--fork EPOCH:SIZE:ROOT] [--json] FILES\n`)
  process.exit(2)
}

function main(given) {
  const run = new Run(), files = []
  let json = false
  const take = (name, trust = false) => {
    const file = { name, trust }
    run.item(name, 'file', () => { try { file.bytes = readFileSync(name) } catch { fail('cannot be read') } }, false)
    if (file.bytes) files.push(file)
  }
  for (let i = 0; i < given.length; i++) {
    if (given[i] === '--json') json = true
    else if (given[i] === '--ledger-id' && /^[0-9a-f]{64}$/.test(given[++i])) run.id = Buffer.from(given[i], 'hex')
    else if (given[i] === '--trust' || given[i] === '--genesis') take(given[++i] ?? wrongUse('--trust needs a file'), true)
    else if (given[i] === '--fork' && /^\d{1,10}:\d{1,15}:[0-9a-f]{64}$/.test(given[++i])) {
      const [epoch, size, root] = given[i].split(':')
      run.forks.set(+epoch, { size: +size, root: Buffer.from(root, 'hex') })
    } else if (given[i].startsWith('--')) wrongUse(`${given[i - 1] ?? ''} ${given[i]} is not understood`)
    else take(given[i])
  }
  if (!given.length) wrongUse('no file was given')
  for (const { name, bytes, trust } of files) {
    const told = run.learn(bytes, trust)
    if (trust && !(told && same(told.id, run.id))) run.say(name, 'trust', FAILED, 'no trust or genesis file of the ledger that is meant')
  }
  for (const { name, bytes } of files) run.file(name, bytes)
  const found = result => run.results.some(each => each.result === result)
  const code = found(FAILED) ? 1 : found(COULD_NOT) || found(LOST) || !run.id ? 3 : 0
  if (json) console.log(JSON.stringify({ exit_code: code, results: run.results }, null, 1))
  else for (const { file, item, result, why } of run.results) console.log(`${result}: ${file}: ${item}${why && `: ${why}`}`)
  return code
}

process.exitCode = main(process.argv.slice(2))
