// Blocks: submissions as bytes under one site's signature, numbered within a lane.
import { ascii, behindLength, concat, Cursor, number, refuse, sha256 } from './bytes.mjs';
import { keyId, pae, verifies } from './keys.mjs';
import { encodeSignature, SUBMISSION_MOST, takeSignature } from './submission.mjs';

const BLOCK_MOST = 256 * 1024;
const DIGITS = '0123456789';
const SITE = 'abcdefghijklmnopqrstuvwxyz0123456789-';

/** A decimal without zeros in front. */
function isDecimal(text, most) {
  const plain = text.length >= 1 && text.length <= most && [...text].every((digit) => DIGITS.includes(digit));
  return plain && (text === '0' || text[0] !== '0');
}

/** `<site>/<boot number>/<k>`, or Malformed. */
export function parseLane(text) {
  const parts = text.split('/');
  if (parts.length !== 3) refuse('a lane has three parts');
  const [site, boot, lane] = parts;
  if (site.length < 1 || site.length > 32 || ![...site].every((letter) => SITE.includes(letter))) refuse('lane: site');
  if (!isDecimal(boot, 12) || boot === '0') refuse('lane: boot number');
  if (!isDecimal(lane, 2)) refuse('lane: number');
  return { site, bootNumber: BigInt(boot), number: Number(lane) };
}

/** All of `bytes` as a block, or Malformed. */
export function decodeBlock(bytes) {
  if (bytes.length > BLOCK_MOST) refuse('over 256 KiB');
  const cursor = new Cursor(bytes);
  if (cursor.number(1, 'format') !== 1) refuse('unknown format');
  const ledgerId = cursor.take(32, 'ledger id');
  const epoch = cursor.number(4, 'epoch');
  const siteKeyId = cursor.take(16, 'site key id');
  const lane = parseLane(cursor.behindLength(1, 255, 'lane').toString('latin1'));
  const seq = cursor.big('seq');
  if (seq === 0n) refuse('seq 0');
  const count = cursor.number(4, 'submission count');
  if (count > 1024) refuse('over 1024 submissions');
  const submissions = [];
  for (let n = 0; n < count; n += 1) submissions.push(cursor.behindLength(4, SUBMISSION_MOST, 'submission'));
  const signedHash = sha256(bytes.subarray(0, cursor.at));
  const signature = takeSignature(cursor);
  cursor.end();
  return { ledgerId, epoch, siteKeyId, lane, seq, submissions, signedHash, signature };
}

/** The one encoding of a block. */
export function encodeBlock({ ledgerId, epoch, siteKeyId, lane, seq, submissions, signature }) {
  const name = ascii(`${lane.site}/${lane.bootNumber}/${lane.number}`);
  return concat(
    number(1, 1), ledgerId, number(epoch, 4), siteKeyId, behindLength(name, 1), number(seq, 8), number(submissions.length, 4),
    ...submissions.map((submission) => behindLength(submission, 4)), encodeSignature(signature),
  );
}

/** Whether the site with `publicKey`, the one named, signed the block. */
export function siteSigned({ siteKeyId, signedHash, signature }, publicKey) {
  const message = pae('application/vnd.sento.block.v1', signedHash);
  return keyId(1, publicKey).equals(siteKeyId) && verifies(publicKey, signature.suite, signature.data, message);
}
