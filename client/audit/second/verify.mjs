// A second verifier of Sento's proofs, written from FORMAT.md alone, in another language and on other libraries than audit_kit.py beside it.
// It shows that the page is enough, and disagrees where one of the two is wrong. Node 20 or later, no package; section numbers are FORMAT.md's.
//
//     node verify.mjs [--ledger-id HEX] [--trust F | --genesis F] [--fork EPOCH:SIZE:ROOT] [--json] FILES
//
// Node has no ML-DSA: what only such a signature could tell is "could not check". Positions above 2^53 - 1 are "could not check" too.

import { ECDH, createHash, createPublicKey, verify } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { basename } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { b64, bool, either, hex, list, optional, parseJson, shape, text, whatever, whole } from './forms.mjs'
