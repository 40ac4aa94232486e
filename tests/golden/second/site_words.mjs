// What sites sign about subjects, and files that convict a site by what it signed. Keys here are Ed25519 alone.
import { behindLength, ascii, concat, Cursor, isZero, number, refuse, sha256, unhex, zeros } from './bytes.mjs';
import { decodeBlock, siteSigned } from './block.mjs';
import { cosigners, decodeCheckpoint, noteSigners } from './checkpoint.mjs';
import { fails, holds, oneEncoding, roundTrip, same } from './expect.mjs';
import { decodeHeader } from './header.mjs';
import { pae, verifies } from './keys.mjs';
import { includes } from './merkle.mjs';
import { encodeSignature, takeSignature } from './submission.mjs';

const TYPE = 'application/vnd.sento.head.v1';

function takeText(cursor, form, field) {
  const text = cursor.behindLength(1, 32, field).toString('latin1');
  if (!form.test(text)) refuse(field);
  return text;
}

/** All of `bytes` as a head statement, or Malformed. */
export function decodeStatement(bytes) {
  const cursor = new Cursor(bytes);
  if (cursor.number(1, 'format') !== 1) refuse('unknown format');
  const start = cursor.at;
  const said = { ledgerId: cursor.take(32, 'ledger id'), epoch: cursor.number(4, 'epoch'), size: cursor.big('size'), root: cursor.take(32, 'root') };
  said.registry = takeText(cursor, /^[a-z0-9/-]+$/, 'registry');
  said.subject = cursor.take(32, 'subject');
  const [has, last, link] = [cursor.number(1, 'has'), cursor.big('last position'), cursor.take(32, 'link')];
  if (has > 1 || (has === 0 && (last !== 0n || !isZero(link)))) refuse('neither a last record nor none');
  if (said.size >= 1n << 63n || (has === 1 && last >= said.size)) refuse('the last record is not in the tree');
  said.last = has === 1 ? last : null;
  said.link = link;
  said.body = bytes.subarray(start, cursor.at);
  said.site = takeText(cursor, /^[a-z0-9][a-z0-9-]*$/, 'site');
  const count = cursor.number(1, 'signature count');
  if (count < 1 || count > 2) refuse('one signature or two');
  said.signatures = [];
  for (let n = 0; n < count; n += 1) said.signatures.push(takeSignature(cursor));
  if (count === 2 && said.signatures[0].suite >= said.signatures[1].suite) refuse('signatures out of order');
  cursor.end();
  return said;
}

function encodeStatement({ ledgerId, epoch, size, root, registry, subject, last, link, site, signatures }) {
  return concat(
    number(1, 1), ledgerId, number(epoch, 4), number(size, 8), root, behindLength(ascii(registry), 1), subject,
    number(last === null ? 0 : 1, 1), number(last ?? 0n, 8), last === null ? zeros(32) : link,
    behindLength(ascii(site), 1), number(signatures.length, 1), ...signatures.map(encodeSignature),
  );
}

const stated = (said, publicKey) =>
  said.signatures.length === 1 && verifies(publicKey, said.signatures[0].suite, said.signatures[0].data, pae(TYPE, said.body));

export function headStatement(vector) {
  const said = roundTrip(decodeStatement, encodeStatement, unhex(vector.bytes));
  oneEncoding(decodeStatement, encodeStatement, unhex(vector.bytes));
  same('site', said.site, vector.site);
  same('registry', said.registry, vector.registry);
  same('epoch and size', [said.epoch, String(said.size)], [vector.epoch, vector.size]);
  for (const field of ['subject', 'root', 'link']) same(field, said[field], unhex(vector[field]));
  same('last position', said.last === null ? null : String(said.last), vector.last_position);
  holds('the signature', stated(said, unhex(vector.public_key)));
}

// -- proofs of fraud ----------------------------------------------------------------------------------------------------

const equal = (a, b) => concat(a).equals(concat(b));
const about = ({ ledgerId, epoch, size, root, registry, subject }) => concat(ledgerId, number(epoch, 4), number(size, 8), root, ascii(`${registry}\n`), subject);
const head = ({ last, link }) => `${last} ${link.toString('hex')}`;
const statement = (text) => decodeStatement(Buffer.from(text, 'base64'));
const note = (text) => decodeCheckpoint(Buffer.from(text, 'utf8'));
const path = (hashes) => hashes.map(unhex);

function vouched(checkpoint, site, keys) {
  const own = { [site]: keys[site] };
  return site in keys && (site in cosigners(checkpoint, own) || noteSigners(checkpoint, own).length === 1);
}

const said = (one, site, keys) => one.site === site && site in keys && stated(one, keys[site]);

function shownRecord({ position, header, payload_hash: payloadHash, record_hash: recordHash }) {
  const bytes = Buffer.from(header, 'base64');
  const made = sha256(number(0, 1), behindLength(bytes, 4), unhex(payloadHash));
  return { position, header: decodeHeader(bytes), leaf: made, isNamed: made.equals(unhex(recordHash)) };
}

/** Whether a record stands in a statement's tree; and whether it is about the statement's subject. */
function inTree(one, record, hashes) {
  return record.isNamed && includes(record.leaf, record.position, Number(one.size), path(hashes), one.root);
}
const isAbout = (one, { header }) => header.registry === one.registry && header.subject.equals(one.subject);

const KINDS = {
  'two-checkpoints': ({ a, b, site }, keys) => {
    const [one, two] = [note(a), note(b)];
    return [one, two].every((each) => vouched(each, site, keys)) && one.epoch === two.epoch && one.size === two.size && !equal(one.root, two.root);
  },
  'two-histories': (file, keys) => {
    const [one, two] = [note(file.a), note(file.b)];
    const proven = (each, leaf, hashes) => includes(unhex(leaf), file.position, Number(each.size), path(hashes), each.root);
    return [one, two].every((each) => vouched(each, file.site, keys)) && one.epoch === two.epoch && one.size !== two.size
      && file.leaf_a !== file.leaf_b && proven(one, file.leaf_a, file.path_a) && proven(two, file.leaf_b, file.path_b);
  },
  'two-heads': ({ a, b, site }, keys) => {
    const [one, two] = [statement(a), statement(b)];
    return [one, two].every((each) => said(each, site, keys)) && equal(about(one), about(two)) && head(one) !== head(two);
  },
  'head-root': (file, keys) => {
    const [one, tree] = [statement(file.statement), note(file.checkpoint)];
    return said(one, file.site, keys) && vouched(tree, file.site, keys) && one.epoch === tree.epoch && one.size === tree.size && !equal(one.root, tree.root);
  },
  'head-omits': (file, keys) => {
    const [one, record] = [statement(file.statement), shownRecord(file.record)];
    return said(one, file.site, keys) && inTree(one, record, file.path) && isAbout(one, record) && (one.last === null || BigInt(record.position) > one.last);
  },
  'head-invents': (file, keys) => {
    const [one, record] = [statement(file.statement), shownRecord(file.record)];
    return said(one, file.site, keys) && inTree(one, record, file.path) && !isAbout(one, record) && one.last === BigInt(record.position);
  },
  'head-against-quorum': (file, keys, quorum) => {
    const [one, others] = [statement(file.statement), file.others.map(statement)];
    const names = new Set(others.map(({ site }) => site));
    return said(one, file.site, keys) && names.size === others.length && !names.has(file.site) && names.size >= quorum
      && others.every((each) => said(each, each.site, keys) && equal(about(each), about(one)) && head(each) === head(others[0]))
      && head(one) !== head(others[0]);
  },
  'two-blocks': ({ a, b, site }, keys) => {
    const [one, two] = [a, b].map((text) => decodeBlock(Buffer.from(text, 'base64')));
    const lane = ({ epoch, lane: { site: of, bootNumber, number: k }, seq }) => `${epoch} ${of}/${bootNumber}/${k} ${seq}`;
    return [one, two].every((each) => each.lane.site === site && site in keys && siteSigned(each, keys[site]))
      && lane(one) === lane(two) && !equal(one.signedHash, two.signedHash);
  },
};

/** Whether a file convicts the site that it names. */
function convicts({ file, sites, quorum, ledger_id: ledgerId }) {
  const keys = Object.fromEntries(Object.entries(sites).map(([name, key]) => [name, unhex(key)]));
  const things = ['a', 'b', 'statement', 'checkpoint'].filter((field) => field in file);
  const ours = things.every((field) => {
    const text = file[field];
    if (text.includes('\n')) return note(text).ledgerId.equals(unhex(ledgerId));
    const decode = file.kind === 'two-blocks' ? decodeBlock : decodeStatement;
    return decode(Buffer.from(text, 'base64')).ledgerId.equals(unhex(ledgerId));
  });
  return file.format === 'sento-fraud-1' && file.ledger_id === ledgerId && ours && KINDS[file.kind](file, keys, quorum);
}

export function fraudProof(vector) {
  same('kind', vector.file.kind, vector.name);
  holds('the proof', convicts(vector));
}

export const fraudNotProven = (vector) => fails('the proof', convicts(vector));
