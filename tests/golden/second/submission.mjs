// Submissions and officers' acts: decode, encode, the root over their records, and what their signers sign.
import { ascii, behindLength, concat, Cursor, isZero, number, refuse, sha256, zeros } from './bytes.mjs';
import { decodeHeader } from './header.mjs';
import { keyId, pae, verifies } from './keys.mjs';
import { leafHash, treeHash } from './merkle.mjs';

const SUBMISSION = 1;
const ACT = 2;
const HEADER_MOST = 512 + 16 * 1024;
const PAYLOAD_MOST = 32 * 1024;
const RECORDS_MOST = 56 * 1024;
const SIGNATURES_MOST = 4 * 1024;
export const SUBMISSION_MOST = RECORDS_MOST + SIGNATURES_MOST + 256;
const SIGNATURE_MOST = 3400;

/** SHA-256(0x00 || u32 len(header) || header || payload hash), the leaf hash of the body. */
export const recordHash = (headerBytes, payloadHash) => leafHash(concat(behindLength(headerBytes, 4), payloadHash));

export const groupValue = (recordIds) => sha256(ascii('sento group v1'), number(recordIds.length, 4), ...recordIds).subarray(0, 16);

function takeRecord(cursor) {
  const headerBytes = cursor.behindLength(4, HEADER_MOST, 'header');
  const payload = cursor.behindLength(4, PAYLOAD_MOST, 'payload');
  const header = decodeHeader(headerBytes);
  if (header.payload_bytes !== payload.length) refuse('payload of another length than its header says');
  return { header, headerBytes, payload, hash: recordHash(headerBytes, sha256(payload)) };
}

/** u8 suite || u16 length || signature. */
export function takeSignature(cursor) {
  const suite = cursor.number(1, 'suite');
  if (suite === 0) refuse('suite 0');
  const data = cursor.behindLength(2, SIGNATURE_MOST, 'signature');
  if (data.length === 0) refuse('signature empty');
  return { suite, data };
}

export const encodeSignature = ({ suite, data }) => concat(number(suite, 1), behindLength(data, 2));

function takeSignatures(cursor, isAct) {
  const count = cursor.number(1, 'signature count');
  if (count < 1 || count > 16) refuse('1 to 16 signatures');
  const start = cursor.at;
  const signatures = [];
  for (let n = 0; n < count; n += 1) {
    const officer = isAct ? cursor.take(16, 'officer key id') : null;
    signatures.push({ officer, ...takeSignature(cursor) });
  }
  if (cursor.at - start > SIGNATURES_MOST) refuse('signatures over 4 KiB');
  for (let n = 1; n < count; n += 1) {
    const [before, after] = [signatures[n - 1], signatures[n]];
    const rises = isAct ? Buffer.compare(before.officer, after.officer) < 0 : before.suite < after.suite;
    if (!rises) refuse('signatures out of order');
  }
  return signatures;
}

function checkTogether(records, authorKeyId) {
  const ids = new Set();
  const groups = new Map();
  for (const { header } of records) {
    if (!header.author_key_id.equals(authorKeyId)) refuse('another author key id in a header');
    if (header.registry !== records[0].header.registry) refuse('two registries');
    ids.add(header.record_id.toString('hex'));
    const group = header.group.toString('hex');
    if (!isZero(header.group)) groups.set(group, [...(groups.get(group) ?? []), header.record_id]);
  }
  if (ids.size !== records.length) refuse('a record id twice');
  for (const [group, members] of groups) {
    if (groupValue(members).toString('hex') !== group) refuse('a group that is not whole and in order');
  }
}

/** All of `bytes` as a submission or an act, or Malformed. */
export function decodeSubmission(bytes) {
  if (bytes.length > SUBMISSION_MOST) refuse('over the largest submission');
  const cursor = new Cursor(bytes);
  const format = cursor.number(1, 'format');
  if (format !== SUBMISSION && format !== ACT) refuse('unknown format');
  const isAct = format === ACT;
  const ledgerId = cursor.take(32, 'ledger id');
  const authorKeyId = isAct ? zeros(16) : cursor.take(16, 'author key id');
  if (!isAct && isZero(authorKeyId)) refuse('author key id of zeros');
  const epoch = isAct ? cursor.number(4, 'epoch') : null;
  const count = cursor.number(4, 'record count');
  if (count < 1 || count > 1024 || (isAct && count !== 1)) refuse('number of records');
  const start = cursor.at;
  const records = [];
  for (let n = 0; n < count; n += 1) records.push(takeRecord(cursor));
  if (cursor.at - start > RECORDS_MOST) refuse('records over 56 KiB');
  checkTogether(records, authorKeyId);
  const signatures = takeSignatures(cursor, isAct);
  cursor.end();
  return { isAct, ledgerId, authorKeyId, epoch, records, signatures, root: treeHash(records.map((record) => record.hash)) };
}

/** The one encoding of a submission or an act. */
export function encodeSubmission({ isAct, ledgerId, authorKeyId, epoch, records, signatures }) {
  return concat(
    number(isAct ? ACT : SUBMISSION, 1), ledgerId, isAct ? number(epoch, 4) : authorKeyId, number(records.length, 4),
    ...records.flatMap(({ headerBytes, payload }) => [behindLength(headerBytes, 4), behindLength(payload, 4)]),
    number(signatures.length, 1),
    ...signatures.flatMap((signature) => [signature.officer ?? zeros(0), encodeSignature(signature)]),
  );
}

/** What the author signs, or each officer of an act. */
export function signedBytes({ isAct, ledgerId, authorKeyId, epoch, records, root }) {
  if (isAct) return pae('application/vnd.sento.officers-act.v1', concat(ledgerId, number(epoch, 4), records[0].hash));
  return pae('application/vnd.sento.submission.v1', concat(ledgerId, root, number(records.length, 4), authorKeyId));
}

/** Whether exactly one signature stands and `publicKey`, the key named, made it. */
export function authorSigned(submission, publicKey) {
  const { isAct, authorKeyId, signatures } = submission;
  if (isAct || signatures.length !== 1 || !keyId(1, publicKey).equals(authorKeyId)) return false;
  return verifies(publicKey, signatures[0].suite, signatures[0].data, signedBytes(submission));
}

/** Whether one of an act's signatures is by the officer with `publicKey`. */
export function officerSigned(act, publicKey) {
  const own = act.signatures.find(({ officer }) => officer.equals(keyId(1, publicKey)));
  return act.isAct && own !== undefined && verifies(publicKey, own.suite, own.data, signedBytes(act));
}
