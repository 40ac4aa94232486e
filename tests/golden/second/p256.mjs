// ECDSA over P-256: 64 bytes r || s, both in range and s the lower of the two, over SHA-256 of the message, by a compressed point.
import { createPublicKey, verify } from 'node:crypto';
import { concat, unhex } from './bytes.mjs';

export const P256 = 2;
const ORDER = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n;
// SubjectPublicKeyInfo: id-ecPublicKey, prime256v1, a bit string of 33 bytes.
const SPKI = unhex('3039301306072a8648ce3d020106082a8648ce3d030107032200');

const numberOf = (bytes) => BigInt(`0x${bytes.toString('hex')}`);

function keyOf(publicKey) {
  if (publicKey.length !== 33 || ![2, 3].includes(publicKey[0])) return null;
  try {
    return createPublicKey({ key: concat(SPKI, publicKey), format: 'der', type: 'spki' });
  } catch {
    return null;
  }
}

/** Whether a point of the curve made `signature` over `message`, in the one form that counts. */
export function p256Verifies(publicKey, signature, message) {
  if (signature.length !== 64) return false;
  const [r, s] = [numberOf(signature.subarray(0, 32)), numberOf(signature.subarray(32))];
  if (r < 1n || r >= ORDER || s < 1n || s > ORDER / 2n) return false;
  const key = keyOf(publicKey);
  return key !== null && verify('sha256', message, { key, dsaEncoding: 'ieee-p1363' }, signature);
}
