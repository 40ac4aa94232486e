// Names made from keys, time and randomness: record ids, subjects, facts, tags, and the frame of KEK seals.
import { ascii, behindLength, concat, Cursor, hmac, number, refuse, sha256 } from './bytes.mjs';

const utf8 = (text) => Buffer.from(text, 'utf8');

/** RFC 9562 version 7: 48 bits of time, then 10 random bytes whose top bits give way to version and variant. */
export function uuid7(timeMs, random) {
  const id = concat(number(timeMs, 6), random);
  id[6] = 0x70 | (id[6] & 0x0f);
  id[8] = 0x80 | (id[8] & 0x3f);
  return id;
}

export const subjectOf = (key, identifier) => hmac(key, utf8(identifier));

export function factOf(key, subject, kind, naturalKey) {
  const family = ascii(kind.split('/')[0]);
  return hmac(key, subject, behindLength(family, 1), utf8(naturalKey)).subarray(0, 16);
}

export const tagOf = (key, name, composite) =>
  hmac(key, behindLength(ascii(name), 1), ...composite.map((field) => behindLength(utf8(field), 2))).subarray(0, 4);

export const recipientKeyId = (suite, publicKey) => sha256(ascii('sento recipient v1'), number(suite, 1), publicKey).subarray(0, 16);

/** HPKE info: what a sealed KEK is for. */
export function kekInfo({ ledgerId, keyEpoch, author, registry, compartment }) {
  const names = [author, registry, compartment].map((name) => behindLength(ascii(name), 1));
  return concat(ascii('sento kek v1'), ledgerId, number(keyEpoch, 4), ...names);
}

/** The frame of an X-Wing seal: format, suite, recipient, 1120 bytes of encapsulated key, 48 of ciphertext. */
export function decodeKekSeal(bytes) {
  const cursor = new Cursor(bytes);
  if (cursor.number(1, 'format') !== 1) refuse('unknown format');
  if (cursor.number(1, 'suite') !== 1) refuse('unknown suite');
  const seal = { recipient: cursor.take(16, 'recipient'), encapsulated: cursor.take(1120, 'encapsulated key'), ciphertext: cursor.take(48, 'ciphertext') };
  cursor.end();
  return seal;
}
