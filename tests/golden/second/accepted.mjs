// What must be accepted, group by group: each check recomputes from the layouts what a vector says.
import { unhex, zeros } from './bytes.mjs';
import { decodeBlock, encodeBlock, siteSigned } from './block.mjs';
import {
  checkpointText, cosignerKeyHash, cosigners, decodeCheckpoint, encodeCheckpoint, mlDsa44KeyHash, mlDsa44Message, noteKeyHash, noteSigners,
} from './checkpoint.mjs';
import { holds, fails, oneEncoding, roundTrip, same } from './expect.mjs';
import { accessRecord, actContent, delayedCase, kekRecord, p256Signature, siteRules } from './governed.mjs';
import { decodeHeader, encodeHeader } from './header.mjs';
import { acceptable, keyId, pae, verifies } from './keys.mjs';
import { extendsTree, includes, leafHash, nextLink, treeHash } from './merkle.mjs';
import { decodeKekSeal, factOf, kekInfo, recipientKeyId, subjectOf, tagOf, uuid7 } from './names.mjs';
import { decodePayload, dekCommit, encodePayload, gcmOpen, openPayload, unwrapDek } from './payload.mjs';
import { fraudProof, headStatement } from './site_words.mjs';
import { authorSigned, decodeSubmission, encodeSubmission, officerSigned, recordHash, signedBytes } from './submission.mjs';
import { sha256 } from './bytes.mjs';
import { createPrivateKey, createPublicKey } from 'node:crypto';

const STANDINGS = ['stands', 'final', 'not yet', 'outcome unknown', 'try again', 'fix the call'];
const mapped = (object, change) => Object.fromEntries(Object.entries(object).map(([name, value]) => [name, change(value, name)]));

function errorCode(vector, group) {
  holds('a code of one or two digits', Number.isInteger(vector.number) && vector.number >= 1 && vector.number <= 99);
  holds('a name in capitals', /^[A-Z][A-Z_]*$/.test(vector.name));
  holds('a known standing', STANDINGS.includes(vector.standing));
  same('entries of this number', group.filter(({ number }) => number === vector.number).length, 1);
  same('entries of this name', group.filter(({ name }) => name === vector.name).length, 1);
}

function key(vector) {
  const pkcs8 = Buffer.concat([unhex('302e020100300506032b657004220420'), unhex(vector.seed)]);
  const pair = createPublicKey(createPrivateKey({ key: pkcs8, format: 'der', type: 'pkcs8' }));
  same('public key of the seed', Buffer.from(pair.export({ format: 'jwk' }).x, 'base64url'), unhex(vector.public_key));
  same('key id', keyId(vector.suite, unhex(vector.public_key)), unhex(vector.key_id));
  holds('may be enrolled', acceptable(vector.suite, unhex(vector.public_key)));
}

function pseudonym(vector) {
  const subject = subjectOf(unhex(vector.pseudonym_key), vector.identifier);
  same('subject', subject, unhex(vector.subject));
  same('fact', factOf(unhex(vector.pseudonym_key), subject, vector.kind, vector.natural_key), unhex(vector.fact));
  same('tag', tagOf(unhex(vector.index_key), vector.tag_name, vector.composite), unhex(vector.tag));
}

function header(vector) {
  const bytes = unhex(vector.bytes);
  const decoded = roundTrip(decodeHeader, encodeHeader, bytes);
  const said = mapped(decoded, (value) => (typeof value === 'bigint' ? String(value) : value));
  for (const [field, value] of Object.entries(vector.fields)) same(field, said[field], Buffer.isBuffer(said[field]) ? unhex(value) : value);
  same('fields', Object.keys(said).sort(), Object.keys(vector.fields).sort());
  oneEncoding(decodeHeader, encodeHeader, bytes);
}

function sealed(vector) {
  const [head, payload, kek, dek] = [vector.header, vector.payload, vector.kek, vector.dek].map(unhex);
  const frame = roundTrip(decodePayload, encodePayload, payload);
  same('unwrapped DEK', unwrapDek(kek, frame.wrapped), dek);
  same('DEK commitment', decodeHeader(head).dek_commit, dekCommit(dek));
  same('payload length', decodeHeader(head).payload_bytes, payload.length);
  same('tags', frame.tags, unhex(vector.tags.join('')));
  same('content', openPayload(head, payload, kek), unhex(vector.content));
  same('payload hash', sha256(payload), unhex(vector.payload_hash));
  same('record hash', recordHash(head, sha256(payload)), unhex(vector.record_hash));
}

const record = (vector) => same('record hash', recordHash(unhex(vector.header), unhex(vector.payload_hash)), unhex(vector.record_hash));

function chain(vector) {
  same('what the first link follows', unhex(vector.first_after), zeros(32));
  let link = zeros(32);
  const links = vector.record_hashes.map((hash) => (link = nextLink(link, unhex(hash))));
  same('links', links.map((bytes) => bytes.toString('hex')), vector.links);
}

function submissionForm(vector) {
  const submission = roundTrip(decodeSubmission, encodeSubmission, unhex(vector.bytes));
  oneEncoding(decodeSubmission, encodeSubmission, unhex(vector.bytes));
  return submission;
}

function submission(vector) {
  const decoded = submissionForm(vector);
  same('ledger id', decoded.ledgerId, unhex(vector.ledger_id));
  same('author key id', decoded.authorKeyId, unhex(vector.author_key_id));
  for (const { header: { registry } } of decoded.records) same('registry', registry, vector.registry);
  same('record hashes', decoded.records.map(({ hash }) => hash.toString('hex')), vector.record_hashes);
  same('root', decoded.root, unhex(vector.root));
  same('signed bytes', signedBytes(decoded), unhex(vector.signed));
  holds('the author\'s signature', authorSigned(decoded, unhex(vector.author_public_key)));
}

function act(vector) {
  const decoded = submissionForm(vector);
  same('ledger id', decoded.ledgerId, unhex(vector.ledger_id));
  same('epoch', decoded.epoch, vector.epoch);
  same('record hash', decoded.records[0].hash, unhex(vector.record_hash));
  same('signed bytes', signedBytes(decoded), unhex(vector.signed));
  same('officers', decoded.signatures.map(({ officer }) => officer.toString('hex')), vector.officers.map(({ key_id: id }) => id));
  for (const officer of vector.officers) holds('an officer\'s signature', officerSigned(decoded, unhex(officer.public_key)));
  fails('an author\'s signature under an act', authorSigned(decoded, unhex(vector.officers[0].public_key)));
}

function block(vector) {
  const bytes = unhex(vector.bytes);
  const decoded = roundTrip(decodeBlock, encodeBlock, bytes);
  same('ledger id', decoded.ledgerId, unhex(vector.ledger_id));
  same('epoch', decoded.epoch, vector.epoch);
  same('site key id', decoded.siteKeyId, unhex(vector.site_key_id));
  const { site, bootNumber, number } = decoded.lane;
  same('lane', { site, boot_number: String(bootNumber), number }, vector.lane);
  same('seq', String(decoded.seq), vector.seq);
  same('number of submissions', decoded.submissions.length, vector.submissions.length);
  decoded.submissions.forEach((inner, n) => same(`submission ${n}`, inner, unhex(vector.submissions[n])));
  same('signed hash', decoded.signedHash, unhex(vector.signed_hash));
  holds('the site\'s signature', siteSigned(decoded, unhex(vector.site_public_key)));
  oneEncoding(decodeBlock, encodeBlock, bytes);
}

/** A checkpoint's form, and who stands behind it: those that the vector names and nobody else. */
export function checkpoint(vector) {
  const bytes = unhex(vector.bytes);
  const decoded = roundTrip(decodeCheckpoint, encodeCheckpoint, bytes);
  same('text', checkpointText(decoded), vector.text);
  same('ledger id', decoded.ledgerId, unhex(vector.ledger_id));
  same('epoch', decoded.epoch, vector.epoch);
  same('size', String(decoded.size), vector.size);
  same('root', decoded.root, unhex(vector.root));
  same('signature lines', decoded.signatures.length, vector.lines);
  const keys = mapped(vector.keys, unhex);
  same('note key hashes', mapped(keys, (publicKey, name) => noteKeyHash(name, publicKey).toString('hex')), vector.note_key_hashes);
  same('cosigner key hashes', mapped(keys, (publicKey, name) => cosignerKeyHash(name, publicKey).toString('hex')), vector.cosigner_key_hashes);
  same('note by', noteSigners(decoded, keys), vector.note_by === null ? [] : [vector.note_by]);
  const found = cosigners(decoded, keys);
  same('cosigned by', Object.entries(found).sort(), Object.entries(vector.cosigned_by).sort());
}

function checkpointAndSweep(vector) {
  checkpoint(vector);
  const bytes = unhex(vector.bytes);
  if (vector.lines === 1) oneEncoding(decodeCheckpointLines, encodeCheckpoint, bytes);
}

/** As `decodeCheckpoint`, but a checkpoint that lost whole lines at its end, which is another good one, counts as refused. */
function decodeCheckpointLines(bytes) {
  const decoded = decodeCheckpoint(bytes);
  if (decoded.signatures.length === 0) decodeCheckpoint(Buffer.alloc(0));
  return decoded;
}

/** The second line of a cosignature: its form, key id, time, and the bytes under the signature; not the signature itself. */
function mlDsa44Line(vector) {
  const decoded = roundTrip(decodeCheckpoint, encodeCheckpoint, unhex(vector.bytes));
  const [first, second] = decoded.signatures;
  same('key hash', second.keyHash, mlDsa44KeyHash(vector.site, unhex(vector.ml_dsa_44)));
  same('key hash as text', second.keyHash.toString('hex'), vector.key_hash);
  same('message', mlDsa44Message(decoded, vector.site, BigInt(vector.time_s)), unhex(vector.message));
  same('length', second.data.length, 8 + 2420);
  same('time', second.data.subarray(0, 8), first.data.subarray(0, 8));
  same('by the first line', Object.entries(cosigners(decoded, { [vector.site]: unhex(vector.ed25519) })), [[vector.site, vector.time_s]]);
}

function kekSeal(vector) {
  const name = { ...vector, ledgerId: unhex(vector.ledger_id), keyEpoch: vector.key_epoch };
  same('info', kekInfo(name), unhex(vector.info));
  const recipient = recipientKeyId(vector.suite, unhex(vector.recipient_public));
  same('recipient key id', recipient, unhex(vector.recipient_key_id));
  same('recipient in the seal', decodeKekSeal(unhex(vector.seal)).recipient, recipient);
}

function tree(vector) {
  const leaves = vector.inputs.map((data) => leafHash(unhex(data)));
  same('number of roots', vector.roots.length, leaves.length + 1);
  vector.roots.forEach((root, size) => same(`root of size ${size}`, treeHash(leaves.slice(0, size)), unhex(root)));
}

/** Whether an inclusion vector's proof holds. */
export const inclusion = (vector) =>
  includes(unhex(vector.leaf), vector.index, vector.size, vector.proof.map(unhex), unhex(vector.root));

/** Whether a consistency vector's proof holds. */
export const consistency = (vector) =>
  extendsTree(vector.old_size, unhex(vector.old_root), vector.new_size, unhex(vector.new_root), vector.proof.map(unhex));

function signature(vector) {
  const made = verifies(unhex(vector.public_key), 1, unhex(vector.signature), unhex(vector.message));
  same('verdict', made, vector.holds);
}

function twoKeys(vector) {
  const [head, ciphertext, kek] = [vector.header, vector.ciphertext, vector.kek].map(unhex);
  for (const dek of vector.deks.map(unhex)) holds('GCM alone takes this key', gcmOpen(dek, ciphertext, head) !== null);
  holds('the committed key opens', openPayload(head, unhex(vector.opens), kek) !== null);
  fails('opening under the other key', openPayload(head, unhex(vector.must_not_open), kek));
}

/** Group name -> check of one vector. */
export const accepted = {
  error_codes: errorCode,
  keys: key,
  pae: (vector) => same('PAE', pae(vector.type, unhex(vector.body)), unhex(vector.pae)),
  uuid7: (vector) => same('UUIDv7', uuid7(BigInt(vector.time_ms), unhex(vector.random)), unhex(vector.uuid)),
  pseudonyms: pseudonym,
  headers: header,
  sealed,
  records: record,
  chains: chain,
  submissions: submission,
  submissions_form_only: submissionForm,
  acts: act,
  act_contents: actContent,
  kek_records: kekRecord,
  site_rules: siteRules,
  access_records: accessRecord,
  delayed_cases: delayedCase,
  blocks: block,
  checkpoints: checkpointAndSweep,
  ml_dsa_44_lines: mlDsa44Line,
  kek_seals: kekSeal,
  head_statements: headStatement,
  fraud_proofs: fraudProof,
  trees: tree,
  inclusion_proofs: (vector) => holds('the proof', inclusion(vector)),
  consistency_proofs: (vector) => holds('the proof', consistency(vector)),
  signatures: signature,
  p256_signatures: p256Signature,
  two_keys: twoKeys,
};
