// The record header: 180 fixed bytes, three names, clear content in two registries.
import { ascii, behindLength, concat, Cursor, isZero, number, refuse } from './bytes.mjs';

const PAYLOAD_MOST = 32 * 1024;
const CONTENT_MOST = 16 * 1024;
const REGISTRIES_WITH_CONTENT = ['governance', 'keys'];
const BYTE_FIELDS = { record_id: 16, author_key_id: 16, subject: 32, fact: 16, previous: 32, group: 16, dek_commit: 32 };

function takeName(cursor, field, mayBeEmpty) {
  const bytes = cursor.behindLength(1, 32, field);
  if (bytes.length === 0 && !mayBeEmpty) refuse(`${field} is empty`);
  for (const byte of bytes) {
    const letter = byte >= 0x61 && byte <= 0x7a;
    const digit = byte >= 0x30 && byte <= 0x39;
    if (!letter && !digit && byte !== 0x2f && byte !== 0x2d) refuse(`${field} has a byte outside of a-z 0-9 / -`);
  }
  return bytes.toString('latin1');
}

/** All of `bytes` as a header, or Malformed. */
export function decodeHeader(bytes) {
  const cursor = new Cursor(bytes);
  const header = {};
  if (cursor.number(1, 'version') !== 1) refuse('unknown version');
  header.suite = cursor.number(1, 'suite');
  if (header.suite !== 1) refuse('unknown suite');
  if (cursor.number(2, 'reserved') !== 0) refuse('reserved bytes are not zero');
  header.record_id = cursor.take(16, 'record id');
  header.author_key_id = cursor.take(16, 'author key id');
  header.time_ms = cursor.big('time');
  header.key_epoch = cursor.number(4, 'key epoch');
  header.payload_bytes = cursor.number(4, 'payload length');
  for (const field of ['subject', 'fact', 'previous', 'group', 'dek_commit']) header[field] = cursor.take(BYTE_FIELDS[field], field);
  header.registry = takeName(cursor, 'registry', false);
  header.compartment = takeName(cursor, 'compartment', true);
  header.kind = takeName(cursor, 'kind', false);
  header.content = cursor.behindLength(4, CONTENT_MOST, 'content');
  cursor.end();
  if (header.record_id[6] >> 4 !== 7 || header.record_id[8] >> 6 !== 0b10) refuse('record id is no UUIDv7');
  if (header.payload_bytes > PAYLOAD_MOST) refuse('payload over 32 KiB');
  if ((header.payload_bytes > 0) === isZero(header.dek_commit)) refuse('DEK commitment and payload must come together');
  if (header.content.length > 0 && !REGISTRIES_WITH_CONTENT.includes(header.registry)) refuse('content in clear in another registry');
  return header;
}

/** The one encoding of a header. */
export function encodeHeader(header) {
  const { record_id: recordId, author_key_id: keyId, subject, fact, previous, group, dek_commit: commit } = header;
  return concat(
    number(1, 1), number(header.suite, 1), number(0, 2), recordId, keyId,
    number(header.time_ms, 8), number(header.key_epoch, 4), number(header.payload_bytes, 4),
    subject, fact, previous, group, commit,
    ...[header.registry, header.compartment, header.kind].map((name) => behindLength(ascii(name), 1)),
    behindLength(header.content, 4),
  );
}
