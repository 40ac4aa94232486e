// Bytes: hex with runs, one strict big-endian cursor, hashes. Everything else here is made of these.
import { createHash, createHmac } from 'node:crypto';

/** The only error a decoder of ours may raise. */
export class Malformed extends Error {}

export function refuse(reason) {
  throw new Malformed(reason);
}

/** Bytes of hex in which `(bb*n)` stands for n times the byte bb. */
export function unhex(text) {
  const piece = /\(([0-9a-f]{2})\*([0-9]+)\)|((?:[0-9a-f]{2})+)/y;
  const parts = [];
  while (piece.lastIndex < text.length) {
    const at = piece.lastIndex;
    const found = piece.exec(text);
    if (!found) throw new Error(`not hex at character ${at}`);
    parts.push(found[3] ? Buffer.from(found[3], 'hex') : Buffer.alloc(Number(found[2]), parseInt(found[1], 16)));
  }
  return Buffer.concat(parts);
}

export const hex = (bytes) => Buffer.from(bytes).toString('hex');
export const concat = (...parts) => Buffer.concat(parts.flat());
export const ascii = (text) => Buffer.from(text, 'latin1');
export const zeros = (count) => Buffer.alloc(count);
export const isZero = (bytes) => bytes.every((byte) => byte === 0);

export const sha256 = (...parts) => createHash('sha256').update(concat(...parts)).digest();
export const hmac = (key, ...parts) => createHmac('sha256', key).update(concat(...parts)).digest();

/** A number in `size` bytes, big-endian. */
export function number(value, size) {
  const bytes = Buffer.alloc(size);
  let rest = BigInt(value);
  for (let at = size - 1; at >= 0; at -= 1) {
    bytes[at] = Number(rest & 255n);
    rest >>= 8n;
  }
  if (rest !== 0n) throw new Error('the number does not fit');
  return bytes;
}

/** `bytes` behind their length in `size` bytes. */
export const behindLength = (bytes, size) => concat(number(bytes.length, size), bytes);

/** Takes fields off the front; refuses to take what is not there. */
export class Cursor {
  constructor(bytes) {
    this.bytes = bytes;
    this.at = 0;
  }

  take(count, field) {
    if (this.at + count > this.bytes.length) refuse(`ends inside ${field}`);
    this.at += count;
    return this.bytes.subarray(this.at - count, this.at);
  }

  /** A number of up to 4 bytes. */
  number(size, field) {
    return this.take(size, field).reduce((sum, byte) => sum * 256 + byte, 0);
  }

  /** A number of 8 bytes, as BigInt. */
  big(field) {
    return this.take(8, field).readBigUInt64BE();
  }

  /** Bytes behind a length of `size` bytes, at most `most`. */
  behindLength(size, most, field) {
    const count = this.number(size, field);
    if (count > most) refuse(`${field} of ${count} bytes is over ${most}`);
    return this.take(count, field);
  }

  end() {
    if (this.at !== this.bytes.length) refuse('bytes after the end');
  }
}
