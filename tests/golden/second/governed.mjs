// What governs, as records: officers' acts with their content, KEK seals in registry `keys`, sites' announcements of rules and records of releases.
import { ascii, behindLength, Cursor, isZero, number, refuse, sha256, unhex } from './bytes.mjs';
import { holds, same } from './expect.mjs';
import { decodeHeader, encodeHeader } from './header.mjs';
import { ED25519, keyId, verifies } from './keys.mjs';
import { P256, p256Verifies } from './p256.mjs';
import { openPayload } from './payload.mjs';
import { decodeSubmission, signedBytes } from './submission.mjs';

const textOf = (bytes) => JSON.parse(bytes.toString('utf8'));

/** The fields in which a record that governs has no choice. */
function fixedFields(header, { registry, kind, subject, fact }) {
  same('registry, compartment and kind', [header.registry, header.compartment, header.kind], [registry, '', kind]);
  same('subject', header.subject, subject);
  same('fact', header.fact, fact);
  same('key epoch and payload', [header.key_epoch, header.payload_bytes], [0, 0]);
  holds('no group and no DEK', isZero(header.group) && isZero(header.dek_commit));
}

const signedBy = (suite, key, data, message) => (suite === P256 ? p256Verifies(key, data, message) : suite === ED25519 && verifies(key, suite, data, message));

export function actContent(vector) {
  const act = decodeSubmission(unhex(vector.bytes));
  const [{ header, hash }] = act.records;
  const subject = sha256(ascii('sento governance'));
  fixedFields(header, { registry: 'governance', kind: 'act', subject, fact: subject.subarray(0, 16) });
  holds('an act is of no author', act.isAct && isZero(header.author_key_id));
  same('ledger id', act.ledgerId, unhex(vector.ledger_id));
  same('epoch', act.epoch, vector.epoch);
  same('what it follows', header.previous, unhex(vector.previous));
  same('content', textOf(header.content), vector.content);
  same('record hash', hash, unhex(vector.record_hash));
  same('signed bytes', signedBytes(act), unhex(vector.signed));
  same('number of signatures', act.signatures.length, vector.officers.length);
  vector.officers.forEach(({ suite, public_key: key, key_id: id }, n) => {
    const { officer, data, suite: made } = act.signatures[n];
    same('officer', officer, keyId(suite, unhex(key)));
    same('officer as text', officer.toString('hex'), id);
    same('suite', made, suite);
    holds('the officer\'s signature', signedBy(suite, unhex(key), data, signedBytes(act)));
  });
}

/** The content of a record of KEK seals, or Malformed. */
function decodeKekRecord(bytes) {
  const cursor = new Cursor(bytes);
  if (cursor.number(1, 'format') !== 1) refuse('unknown format');
  const commitment = cursor.take(32, 'commitment');
  const [registry, compartment] = ['registry', 'compartment'].map((field) => cursor.behindLength(1, 32, field).toString('latin1'));
  const keyEpoch = cursor.number(4, 'key epoch');
  const part = cursor.number(2, 'part');
  const seals = [];
  for (let left = cursor.number(2, 'count'); left > 0; left -= 1) seals.push(cursor.behindLength(2, 1400, 'seal'));
  cursor.end();
  return { commitment, registry, compartment, keyEpoch, part, seals };
}

export function kekRecord(vector) {
  const header = decodeHeader(unhex(vector.header));
  same('encoded again', encodeHeader(header), unhex(vector.header));
  const kek = decodeKekRecord(header.content);
  const names = [vector.author, kek.registry, kek.compartment].map((name) => behindLength(ascii(name), 1));
  const subject = sha256(ascii('sento kek seals'), ...names, number(kek.keyEpoch, 4));
  fixedFields(header, { registry: 'keys', kind: 'kek-seals', subject, fact: sha256(subject, number(kek.part, 2)).subarray(0, 16) });
  same('subject and fact', [header.subject, header.fact].map((bytes) => bytes.toString('hex')), [vector.subject, vector.fact]);
  same('commitment', kek.commitment, unhex(vector.commitment));
  same('where', [kek.registry, kek.compartment, kek.keyEpoch, kek.part], [vector.registry, vector.compartment, vector.key_epoch, vector.part]);
  same('seals', kek.seals.map((seal) => seal.toString('hex')), vector.seals);
}

export function siteRules(vector) {
  const header = decodeHeader(unhex(vector.header));
  same('encoded again', encodeHeader(header), unhex(vector.header));
  const subject = sha256(ascii(`sento site rules${vector.site}`));
  fixedFields(header, { registry: 'governance', kind: 'site-rules', subject, fact: subject.subarray(0, 16) });
  same('subject', subject, unhex(vector.subject));
  same('signing key', header.author_key_id, keyId(ED25519, unhex(vector.site_public_key)));
  same('what it follows', header.previous, unhex(vector.previous));
  const { site, rules, release } = vector;
  same('content', header.content, ascii(JSON.stringify({ format: 'sento-site-rules-1', site, rules, release })));
}

/** A site's record of a release: its header, and what opens from its payload. */
export function accessRecord(vector) {
  const bytes = unhex(vector.header);
  const header = decodeHeader(bytes);
  same('encoded again', encodeHeader(header), bytes);
  const { content } = vector;
  const delayed = content.delay !== undefined;
  const kind = delayed ? 'access-delayed' : content.outcome === 'released' ? 'access' : 'access-refused';
  same('where', [header.compartment, header.kind], ['access', kind]);
  same('signing key', header.author_key_id, keyId(ED25519, unhex(vector.site_public_key)));
  same('fact', header.fact, sha256(ascii('sento access'), header.record_id).subarray(0, 16));
  holds('the only version, in no group', isZero(header.previous) && isZero(header.group));
  same('subject', header.subject, unhex(vector.subject));
  if (delayed) same('the delay\'s subject', header.subject, sha256(ascii('sento delayed'), Buffer.from(content.delay, 'utf8')));
  holds('a person is named where the header names none', delayed === (content.subject !== undefined));
  const payload = unhex(vector.payload);
  holds('at most the size class of 8 KiB', payload.length <= 8 * 1024 + 64);
  same('what is sealed', openPayload(bytes, payload, unhex(vector.kek)), Buffer.from(JSON.stringify(content), 'utf8'));
}

export function delayedCase(vector) {
  const said = Buffer.from(vector.case_number, 'utf8');
  same('case', sha256(ascii('sento delayed case v1'), unhex(vector.salt), said), unhex(vector.case));
  same('subject', sha256(ascii('sento delayed'), Buffer.from(vector.delay, 'utf8')), unhex(vector.subject));
}

export function p256Signature(vector) {
  const [key, signature, message] = [vector.public_key, vector.signature, vector.message].map(unhex);
  same('verdict', p256Verifies(key, signature, message), vector.holds);
}
