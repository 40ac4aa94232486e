// Keys and signatures: key ids, pre-authentication encoding, which Ed25519 keys are acceptable, and whether one signed.
import { createPublicKey, verify } from 'node:crypto';
import { ascii, concat, number, sha256 } from './bytes.mjs';

export const ED25519 = 1;
export const keyId = (suite, publicKey) => sha256(number(suite, 1), publicKey).subarray(0, 16);

/** DSSE: "DSSEv1", then type and body, each behind its length in decimal. */
export const pae = (type, body) => concat(ascii(`DSSEv1 ${type.length} ${type} ${body.length} `), body);

const P = 2n ** 255n - 19n;
const mod = (value) => ((value % P) + P) % P;

function power(base, exponent) {
  let result = 1n;
  let square = mod(base);
  for (let rest = exponent; rest > 0n; rest >>= 1n) {
    if (rest & 1n) result = mod(result * square);
    square = mod(square * square);
  }
  return result;
}

const inverse = (value) => power(value, P - 2n);
const D = mod(-121665n * inverse(121666n));

/** The x of a curve point with this y, either of the two; null when there is none. */
function xOf(y) {
  const square = mod((y * y - 1n) * inverse(D * y * y + 1n));
  const root = power(square, (P + 3n) / 8n);
  for (const candidate of [root, mod(root * power(2n, (P - 1n) / 4n))]) {
    if (mod(candidate * candidate) === square) return candidate;
  }
  return null;
}

function doubled([x, y]) {
  const product = mod(D * x * x * y * y);
  return [mod(2n * x * y * inverse(1n + product)), mod((y * y + x * x) * inverse(1n - product))];
}

const judged = new Map();

/** Whether a key may be enrolled: Ed25519, y below p, on the curve, and eight times it is not the neutral point. */
export function acceptable(suite, publicKey) {
  if (suite !== ED25519 || publicKey.length !== 32) return false;
  const name = publicKey.toString('hex');
  if (!judged.has(name)) judged.set(name, onLargeOrderPoint(publicKey));
  return judged.get(name);
}

function onLargeOrderPoint(publicKey) {
  const y = BigInt(`0x${Buffer.from(publicKey).reverse().toString('hex')}`) & (2n ** 255n - 1n);
  if (y >= P) return false;
  const x = xOf(y);
  if (x === null) return false;
  const [, y8] = doubled(doubled(doubled([x, y])));
  return y8 !== 1n;
}

/** Whether an acceptable `publicKey` made `signature` over `message`. */
export function verifies(publicKey, suite, signature, message) {
  if (!acceptable(suite, publicKey) || signature.length !== 64) return false;
  const key = createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x: publicKey.toString('base64url') }, format: 'jwk' });
  return verify(null, message, key, signature);
}
