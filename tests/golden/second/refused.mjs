// What must be refused, group by group: bytes that are no header, frame or note, and good forms whose signature, key or proof is false.
import { checkpoint, consistency, inclusion } from './accepted.mjs';
import { decodeBlock, siteSigned } from './block.mjs';
import { unhex } from './bytes.mjs';
import { decodeCheckpoint } from './checkpoint.mjs';
import { fails, refused, same } from './expect.mjs';
import { decodeHeader } from './header.mjs';
import { acceptable, verifies } from './keys.mjs';
import { decodePayload, openPayload } from './payload.mjs';
import { decodeStatement, fraudNotProven } from './site_words.mjs';
import { authorSigned, decodeSubmission, officerSigned } from './submission.mjs';

const malformed = (decode) => (vector) => refused(decode, unhex(vector.bytes));

function refusedKey(vector) {
  const publicKey = unhex(vector.public_key);
  fails('enrolment', acceptable(vector.suite, publicKey));
  if (vector.forged) fails('the forgery', verifies(publicKey, 1, unhex(vector.forged.signature), unhex(vector.forged.message)));
}

function falseSignature(vector) {
  const [bytes, publicKey] = [unhex(vector.bytes), unhex(vector.public_key)];
  if (vector.what === 'block') return fails('the signature', siteSigned(decodeBlock(bytes), publicKey));
  const submission = decodeSubmission(bytes);
  same('what it is', submission.isAct ? 'act' : 'submission', vector.what);
  return fails('the signature', submission.isAct ? officerSigned(submission, publicKey) : authorSigned(submission, publicKey));
}

function falseCheckpoint(vector) {
  same('whom the vector names', [vector.note_by, vector.cosigned_by], [null, {}]);
  checkpoint(vector);
}

/** Group name -> check of one vector. */
export const refusals = {
  malformed_headers: malformed(decodeHeader),
  malformed_payloads: malformed(decodePayload),
  malformed_submissions: malformed(decodeSubmission),
  malformed_acts: malformed(decodeSubmission),
  malformed_blocks: malformed(decodeBlock),
  malformed_checkpoints: malformed(decodeCheckpoint),
  malformed_head_statements: malformed(decodeStatement),
  fraud_not_proven: fraudNotProven,
  closed_payloads: (vector) => fails('opening', openPayload(unhex(vector.header), unhex(vector.payload), unhex(vector.kek))),
  refused_keys: refusedKey,
  false_signatures: falseSignature,
  false_checkpoints: falseCheckpoint,
  false_inclusion_proofs: (vector) => fails('the proof', inclusion(vector)),
  false_consistency_proofs: (vector) => fails('the proof', consistency(vector)),
};
