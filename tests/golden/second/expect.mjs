// What a check may demand. A demand that is not met raises an Error with both sides; Malformed stays apart from it.
import { hex, Malformed } from './bytes.mjs';

const shown = (value) => (value instanceof Uint8Array ? hex(value) : typeof value === 'bigint' ? String(value) : JSON.stringify(value));

function cut(text) {
  return text.length > 200 ? `${text.slice(0, 200)}… (${text.length} characters)` : text;
}

/** `made` and `wanted` are the same; bytes are compared as hex. */
export function same(what, made, wanted) {
  if (shown(made) !== shown(wanted)) throw new Error(`${what}: made ${cut(shown(made))}, the vector says ${cut(shown(wanted))}`);
}

export function holds(what, value) {
  if (value !== true) throw new Error(`${what} does not hold`);
}

export function fails(what, value) {
  if (value !== false && value !== null) throw new Error(`${what} must not hold`);
}

/** `decode` refuses `bytes` as Malformed, and with no other error. */
export function refused(decode, bytes) {
  try {
    decode(bytes);
  } catch (error) {
    if (error instanceof Malformed) return;
    throw error;
  }
  throw new Error('was accepted');
}

/** Decoding and encoding again gives the same bytes; returns what was decoded. */
export function roundTrip(decode, encode, bytes) {
  const decoded = decode(bytes);
  same('encoded again', encode(decoded), bytes);
  return decoded;
}

const SWEEP_MOST_BYTES = 2048;

/** Every truncation is refused, a byte more is refused, and a flipped bit is refused or makes another thing with one encoding. */
export function oneEncoding(decode, encode, bytes) {
  if (bytes.length > SWEEP_MOST_BYTES) return;
  for (let end = 0; end < bytes.length; end += 1) refused(decode, bytes.subarray(0, end));
  refused(decode, Buffer.concat([bytes, Buffer.from([0])]));
  for (let bit = 0; bit < bytes.length * 8; bit += 3) {
    const changed = Buffer.from(bytes);
    changed[bit >> 3] ^= 1 << (bit & 7);
    let decoded;
    try {
      decoded = decode(changed);
    } catch (error) {
      if (error instanceof Malformed) continue;
      throw error;
    }
    same(`encoded again with bit ${bit} flipped`, encode(decoded), changed);
  }
}
