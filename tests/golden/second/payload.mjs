// The payload: its frame, and opening it under a KEK. What does not open gives null and no part of the content.
import { createDecipheriv } from 'node:crypto';
import { behindLength, ascii, concat, Cursor, isZero, refuse, sha256, zeros } from './bytes.mjs';
import { decodeHeader } from './header.mjs';

const CLASSES = [256, 512, 1024, 2048, 4096, 8192, 16384, 30 * 1024];
const WRAPPED = 40;
const TAGS_MOST = 64 * 4;

export const dekCommit = (dek) => sha256(ascii('sento dek v1'), dek);

/** The three parts of a payload, or Malformed. */
export function decodePayload(bytes) {
  const cursor = new Cursor(bytes);
  const wrapped = cursor.behindLength(4, WRAPPED, 'wrapped DEK');
  const tags = cursor.behindLength(4, TAGS_MOST, 'tags');
  const ciphertext = cursor.take(bytes.length - cursor.at, 'ciphertext');
  if (wrapped.length !== WRAPPED) refuse('the wrapped DEK is not 40 bytes');
  if (tags.length % 4 !== 0) refuse('tags are four bytes each');
  if (!CLASSES.includes(ciphertext.length - 16)) refuse('the ciphertext is of no size class');
  return { wrapped, tags, ciphertext };
}

export const encodePayload = ({ wrapped, tags, ciphertext }) => concat(behindLength(wrapped, 4), behindLength(tags, 4), ciphertext);

function orNull(attempt) {
  try {
    return attempt();
  } catch {
    return null;
  }
}

/** RFC 3394 with its default initial value; null when the check fails. */
export function unwrapDek(kek, wrapped) {
  if (kek.length !== 32) return null;
  return orNull(() => {
    const cipher = createDecipheriv('id-aes256-wrap', kek, Buffer.alloc(8, 0xa6));
    return concat(cipher.update(wrapped), cipher.final());
  });
}

/** AES-256-GCM, nonce of zeros; null when the tag does not hold. */
export function gcmOpen(dek, ciphertext, aad) {
  return orNull(() => {
    const cipher = createDecipheriv('aes-256-gcm', dek, zeros(12), { authTagLength: 16 });
    cipher.setAAD(aad);
    cipher.setAuthTag(ciphertext.subarray(-16));
    return concat(cipher.update(ciphertext.subarray(0, -16)), cipher.final());
  });
}

/** The content behind header and payload, or null. Malformed when they are no header and payload at all. */
export function openPayload(headerBytes, payload, kek) {
  const header = decodeHeader(headerBytes);
  const frame = decodePayload(payload);
  const dek = unwrapDek(kek, frame.wrapped);
  if (dek === null || !dekCommit(dek).equals(header.dek_commit)) return null;
  const plaintext = gcmOpen(dek, frame.ciphertext, headerBytes);
  if (plaintext === null) return null;
  const size = plaintext.readUInt32BE(0);
  const smallest = CLASSES.find((bytes) => bytes >= size + 4);
  if (smallest !== plaintext.length || !isZero(plaintext.subarray(4 + size))) return null;
  return plaintext.subarray(4, 4 + size);
}
