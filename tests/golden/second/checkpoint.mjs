// Checkpoints: three lines of text as a signed note, and cosignatures with a time (C2SP signed-note, tlog-checkpoint, tlog-cosignature).
import { ascii, concat, number, refuse, sha256 } from './bytes.mjs';
import { ED25519, verifies } from './keys.mjs';

const CHECKPOINT_MOST = 128 * 1024;
const NOTE = 1;
const COSIGNATURE = 4;
const ML_DSA_44 = 6;

/** Bytes of base64 in its one form. */
function fromBase64(text, field) {
  const bytes = Buffer.from(text, 'base64');
  if (bytes.toString('base64') !== text) refuse(`${field} is not base64 in its one form`);
  return bytes;
}

function parseLine(line) {
  const found = /^\u2014 ([a-z0-9-]{1,32}) ([A-Za-z0-9+/=]+)$/.exec(line);
  if (!found) refuse('not a signature line');
  const blob = fromBase64(found[2], 'signature');
  if (blob.length < 5) refuse('signature too short');
  return { name: found[1], keyHash: blob.subarray(0, 4), data: blob.subarray(4) };
}

/** All of `bytes` as a checkpoint, or Malformed. */
export function decodeCheckpoint(bytes) {
  if (bytes.length > CHECKPOINT_MOST) refuse('over 128 KiB');
  const text = bytes.toString('utf8');
  if (!Buffer.from(text, 'utf8').equals(bytes)) refuse('not UTF-8');
  const lines = text.split('\n');
  if (lines.length < 5 || lines[3] !== '' || lines[lines.length - 1] !== '') refuse('not three lines, an empty one and whole lines');
  const origin = /^([0-9a-f]{64})\/(0|[1-9][0-9]{0,9})$/.exec(lines[0]);
  if (!origin || Number(origin[2]) > 0xffffffff) refuse('origin');
  if (!/^(0|[1-9][0-9]{0,18})$/.test(lines[1])) refuse('size');
  const root = fromBase64(lines[2], 'root');
  if (root.length !== 32) refuse('root is not 32 bytes');
  const signatures = lines.slice(4, -1);
  if (signatures.length > 64) refuse('over 64 signature lines');
  return {
    ledgerId: Buffer.from(origin[1], 'hex'), epoch: Number(origin[2]), size: BigInt(lines[1]), root, signatures: signatures.map(parseLine),
  };
}

/** The three lines that are signed. */
export const checkpointText = ({ ledgerId, epoch, size, root }) =>
  `${ledgerId.toString('hex')}/${epoch}\n${size}\n${root.toString('base64')}\n`;

/** The one encoding of a checkpoint. */
export function encodeCheckpoint(checkpoint) {
  const lines = checkpoint.signatures.map(({ name, keyHash, data }) => `\u2014 ${name} ${concat(keyHash, data).toString('base64')}\n`);
  return Buffer.from(`${checkpointText(checkpoint)}\n${lines.join('')}`, 'utf8');
}

export const keyHash = (name, type, publicKey) => sha256(ascii(`${name}\n`), number(type, 1), publicKey).subarray(0, 4);
export const noteKeyHash = (name, publicKey) => keyHash(name, NOTE, publicKey);
export const cosignerKeyHash = (name, publicKey) => keyHash(name, COSIGNATURE, publicKey);

/** Names of those in `keys` whose note signature holds. */
export function noteSigners(checkpoint, keys) {
  const text = ascii(checkpointText(checkpoint));
  const holds = ({ name, keyHash: hash, data }) =>
    name in keys && hash.equals(noteKeyHash(name, keys[name])) && verifies(keys[name], ED25519, data, text);
  return [...new Set(checkpoint.signatures.filter(holds).map(({ name }) => name))];
}

/** name -> time in seconds, of those in `keys` whose cosignature holds; of two by one site the first. */
export function cosigners(checkpoint, keys) {
  const found = {};
  for (const { name, keyHash: hash, data } of checkpoint.signatures) {
    if (name in found || !(name in keys) || data.length !== 72 || !hash.equals(cosignerKeyHash(name, keys[name]))) continue;
    const time = data.readBigUInt64BE(0);
    const message = ascii(`cosignature/v1\ntime ${time}\n${checkpointText(checkpoint)}`);
    if (verifies(keys[name], ED25519, data.subarray(8), message)) found[name] = String(time);
  }
  return found;
}

export const mlDsa44KeyHash = (name, publicKey) => keyHash(name, ML_DSA_44, publicKey);

/** What a line of type 0x06 signs. Node 20 knows no ML-DSA: that the signature holds is not judged here, only what it is over. */
export function mlDsa44Message({ ledgerId, epoch, size, root }, name, timeS) {
  const origin = ascii(`${ledgerId.toString('hex')}/${epoch}`);
  const signer = ascii(name);
  return concat(
    ascii('subtree/v1\n\0'), number(signer.length, 1), signer, number(timeS, 8), number(origin.length, 1), origin, number(0n, 8), number(size, 8), root,
  );
}
