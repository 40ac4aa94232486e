// What sites sign besides checkpoints: proofs of fraud and erasure certificates (FORMAT.md, sections 9 and 11).

import {
  anyOf, b64, constant, COULD_NOT, demand, demandSigned, ED25519, fail, hex, isObject, keyId, kind, Layout, list, NOT_CHECKED, pae, parseJson,
  same, sha256, shape, signedByAll, siteKeys, text, u32, unable, utf8, Verdict, verifies, whole, zeros,
} from './forms.mjs'
import { BARE, cosigned, NOTE, record, rootOf, SIGNATURE } from './ledger.mjs'

const NO_KEYS = 'no ledger id and keys were given'

// --- Proofs of fraud (section 11) ---

const STATEMENT = value => {
  const bytes = b64(value), it = new Layout(bytes)
  demand(it.u(1) === 1, 'an unknown statement')
  const head = { ledger: it.take(32), epoch: it.u(4), size: it.u64(), root: it.take(32), registry: it.name(), subject: it.take(32), has: it.u(1),
    last: it.u64(), link: it.take(32) }
  demand(head.has === 1 ? head.last < head.size : head.has === 0 && head.last === 0 && same(head.link, zeros(32)), 'a statement in no form')
  head.body = bytes.subarray(1, it.at)
  head.site = it.name()
  head.signatures = Array.from({ length: it.u(1) }, () => ({ suite: it.u(1), data: it.take(it.u(2)) }))
  it.end()
  return head
}
const BLOCK = value => {
  const bytes = b64(value), it = new Layout(bytes)
  demand(it.u(1) === 1, 'an unknown block')
  const block = { ledger: it.take(32), epoch: it.u(4), keyId: it.take(16), lane: it.name(), number: it.take(8) }
  for (let m = it.u(4); m > 0; m--) it.take(it.u(4))
  block.signed = bytes.subarray(0, it.at)
  Object.assign(block, { suite: it.u(1), signature: it.take(it.u(2)) })
  it.end()
  return block
}
const FRAUD = { format: constant('sento-fraud-1'), kind: text, ledger_id: hex(32), site: text }
const TWO_NOTES = { a: NOTE, b: NOTE }
const NAMED = { statement: STATEMENT, record: record(shape(BARE)), path: list(hex(32)) }
const sameTree = (a, b) => a.epoch === b.epoch && a.size === b.size && same(a.root, b.root)
const sameSubject = (a, b) => a.registry === b.registry && same(a.subject, b.subject)
const sameHead = (a, b) => a.has === b.has && a.last === b.last && same(a.link, b.link)
const otherHead = (a, b) => demand(sameTree(a, b) && sameSubject(a, b) && !sameHead(a, b), 'the statements do not contradict each other')
const stands = ({ statement, record: one, path }) =>
  demand(same(rootOf(one.record_hash, one.position, statement.size, path), statement.root), 'the record does not stand in the statement\'s tree')

const signedNote = (ledger, site, note) => {
  demand(note.ledger === ledger.id.toString('hex'), 'a checkpoint of another ledger')
  demandSigned(anyOf(ledger.everyKeysOf(site), keys => cosigned(note, site, keys, true)), `a checkpoint that ${site} signed`)
}
const signedHead = (ledger, site, head) => {
  demand(same(head.ledger, ledger.id) && head.site === site, 'a statement of another ledger or site')
  const message = pae('head.v1', head.body)
  demandSigned(anyOf(ledger.everyKeysOf(site), keys => signedByAll(siteKeys(keys), head.signatures, message)), `a statement that ${site} signed`)
}
const signedBlock = (ledger, site, block) => {
  demand(same(block.ledger, ledger.id) && block.lane.startsWith(`${site}/`), 'a block of another ledger or site')
  const message = pae('block.v1', sha256(block.signed))
  demand(block.suite === ED25519 && ledger.everyKeysOf(site).some(({ ed }) =>
    same(keyId(ED25519, ed), block.keyId) && verifies(ED25519, ed, block.signature, message)), `a block that ${site} signed`)
}
/** Each kind: its other members, which of them the site signed, and the contradiction. What is plainly none fails before any signature is looked at. */
const KINDS = {
  'two-checkpoints': [TWO_NOTES, { a: signedNote, b: signedNote }, ({ a, b }) =>
    demand(a.epoch === b.epoch && a.size === b.size && !same(a.root, b.root), 'the checkpoints do not contradict each other')],
  'two-histories': [{ ...TWO_NOTES, position: whole, leaf_a: hex(32), path_a: list(hex(32)), leaf_b: hex(32), path_b: list(hex(32)) },
    { a: signedNote, b: signedNote }, ({ a, b, position, ...of }) =>
      demand(a.epoch === b.epoch && a.size !== b.size && !same(of.leaf_a, of.leaf_b) && same(rootOf(of.leaf_a, position, a.size, of.path_a), a.root) &&
        same(rootOf(of.leaf_b, position, b.size, of.path_b), b.root), 'the checkpoints do not contradict each other')],
  'two-heads': [{ a: STATEMENT, b: STATEMENT }, { a: signedHead, b: signedHead }, ({ a, b }) => otherHead(a, b)],
  'head-root': [{ statement: STATEMENT, checkpoint: NOTE }, { statement: signedHead, checkpoint: signedNote }, ({ statement: a, checkpoint: b }) =>
    demand(a.epoch === b.epoch && a.size === b.size && !same(a.root, b.root), 'statement and checkpoint do not contradict each other')],
  'head-omits': [NAMED, { statement: signedHead }, it => {
    stands(it)
    demand(sameSubject(it.record.of, it.statement) && (!it.statement.has || it.record.position > it.statement.last), 'the statement omits nothing')
  }],
  'head-invents': [NAMED, { statement: signedHead }, it => {
    stands(it)
    demand(it.statement.has && it.record.position === it.statement.last && !sameSubject(it.record.of, it.statement), 'the statement invents nothing')
  }],
  'head-against-quorum': [{ statement: STATEMENT, others: list(STATEMENT) }, { statement: signedHead }, ({ statement: mine, others }, ledger) => {
    const { quorum, keys } = ledger.setAt(ledger.standing(mine.epoch, mine.size))
    others.forEach(other => { otherHead(mine, other); demand(sameHead(other, others[0]), 'the other sites do not agree') })
    demand(new Set(others.map(({ site }) => site)).size === others.length && others.length >= quorum, 'too few other sites')
    for (const other of others) {
      if (other.site === mine.site || !keys.has(other.site)) (ledger.known < mine.size ? unable : fail)(`${other.site} is no other site of the receipt set`)
      signedHead(ledger, other.site, other)
    }
  }],
  'two-blocks': [{ a: BLOCK, b: BLOCK }, { a: signedBlock, b: signedBlock }, ({ a, b }) =>
    demand(a.epoch === b.epoch && a.lane === b.lane && same(a.number, b.number) && !same(a.signed, b.signed), 'the blocks do not contradict each other')],
}

function demandFraud(value, ledger) {
  demand(isObject(value), 'not an object')
  const [form, signers, contradicts] = KINDS[Object.hasOwn(KINDS, value.kind) && value.kind] ?? unable('a kind of fraud that is not known here')
  const it = shape({ ...FRAUD, ...form })(value)
  demand(same(it.ledger_id, (ledger ?? unable(NO_KEYS)).id), 'a proof about another ledger')
  contradicts(it, ledger)
  let doubt
  for (const [member, signed] of Object.entries(signers)) {
    try { signed(ledger, it.site, it[member]) } catch (error) { if (error.result !== COULD_NOT) throw error; doubt = error }
  }
  if (doubt) throw doubt
  return `${it.kind}: proves that ${it.site} lied`
}

// --- Erasure certificates (section 9) ---

const CERTIFICATE = shape({ format: constant('sento-erasure-certificate-1'), site: text, body: b64, signatures: list(SIGNATURE) })
const CERTIFIED = shape({ ledger_id: hex(32), epoch: u32, site: text, order: whole, carried_out: whole, records: list(hex(32)), payloads_destroyed: whole,
  segments_rewritten: whole, ordering_log: text, volumes: list(shape({ number: whole, kind: text, state: text, size: whole })), time_s: whole })

function demandCertificate(value, ledger) {
  const { site, body, signatures } = CERTIFICATE(value)
  const it = CERTIFIED(parseJson(utf8(body)))
  if (!ledger) unable(NO_KEYS)
  demand(same(it.ledger_id, ledger.id) && it.site === site, 'a certificate of another ledger or site')
  const message = pae('erasure-certificate.v1', Buffer.concat([ledger.id, sha256(body)]))
  const worth = anyOf(ledger.everyKeysOf(site), keys => signedByAll(siteKeys(keys), signatures, message))
  demand(worth !== false, `${site} did not sign the certificate`)
  if (ledger.known <= it.carried_out) throw new Verdict(NOT_CHECKED, `acts from position ${ledger.known} on are not known`)
  const order = ledger.orders.get(it.order)
  demand(order && order.out === it.carried_out, 'no act carried out that order there')
  const certified = new Set(it.records.map(each => each.toString('hex')))
  demand([...order.records].every(each => certified.has(each)), 'the certificate leaves out a record that the order names')
  demandSigned(worth, 'the certificate')
  return `${site} certifies that ${it.payloads_destroyed} payloads of order ${it.order} are destroyed`
}

export {
  demandCertificate, demandFraud, NO_KEYS,
}
