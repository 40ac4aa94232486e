// Bytes, JSON in its one form, keys and signatures (FORMAT.md, sections 1 and 2), and the verdict that ends whatever is not so.

import { ECDH, createHash, createPublicKey, verify } from 'node:crypto'

const [OK, FAILED, NOT_CHECKED, COULD_NOT, LOST] = ['ok', 'failed', 'not checked', 'could not check', 'lost with epoch']
class Verdict extends Error {
  constructor(result, why) { super(why); this.result = result }
}
const fail = why => { throw new Verdict(FAILED, why) }
const unable = why => { throw new Verdict(COULD_NOT, why) }
const demand = (holds, why) => { if (!holds) fail(why) }
/** A signature's worth: true, false, or null where only ML-DSA could tell. */
const demandSigned = (worth, why) => worth === null ? unable(`${why}: there is no ML-DSA here`) : demand(worth, why)

// --- Bytes (section 1) ---

const sha256 = (...parts) => parts.reduce((hash, part) => hash.update(part), createHash('sha256')).digest()
const u = (bytes, number) => { const b = Buffer.alloc(bytes); b.writeUIntBE(number, 0, bytes); return b }
const u64 = number => { const b = Buffer.alloc(8); b.writeBigUInt64BE(BigInt(number)); return b }
const zeros = bytes => Buffer.alloc(bytes)
const same = (a, b) => Buffer.compare(a, b) === 0
const ascii = string => Buffer.from(string, 'utf8')
const PAE_TYPE = 'application/vnd.sento.'
const pae = (type, body) =>
  Buffer.concat([ascii(`DSSEv1 ${PAE_TYPE.length + type.length} ${PAE_TYPE}${type} ${body.length} `), body])

function utf8(bytes) {
  try { return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes) } catch { fail('not UTF-8') }
}

/** Reads a layout from its first byte to its last. */
class Layout {
  constructor(bytes) { this.bytes = bytes; this.at = 0 }
  take(length) {
    demand(this.at + length <= this.bytes.length, 'the layout is cut short')
    return this.bytes.subarray(this.at, this.at += length)
  }
  u(bytes) { return this.take(bytes).readUIntBE(0, bytes) }
  u64() { return whole(this.take(8).readBigUInt64BE()) }
  name() { return this.take(this.u(1)).toString('latin1') }
  end() { demand(this.at === this.bytes.length, 'bytes behind the layout') }
}

// --- JSON in its one form: no member twice, none missing, none unknown (section 1) ---

function parseJson(source) {
  const tokens =
    /[ \t\n\r]*(?:([{}[\],:])|("(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*")|(-?(?:0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?)|(true|false|null))/y
  let mark, value
  const next = () => {
    const found = tokens.exec(source)
    demand(found, 'not JSON')
    mark = found[1]
    if (found[2] !== undefined) value = JSON.parse(found[2])
    else if (found[6]) value = JSON.parse(found[6])
    else if (found[3]) value = found[4] || found[5] ? { fraction: found[3] } : Number.isSafeInteger(+found[3]) ? +found[3] : BigInt(found[3])
  }
  const parsed = () => mark === '{' ? object() : mark === '[' ? array() : mark ? fail('not JSON') : value
  const object = () => {
    const members = Object.create(null)
    for (next(); mark !== '}';) {
      demand(!mark && typeof value === 'string', 'not JSON')
      const name = value
      demand(!Object.hasOwn(members, name), `the member ${name} stands twice`)
      next(); demand(mark === ':', 'not JSON')
      next(); Object.defineProperty(members, name, { value: parsed(), enumerable: true })
      next(); demand(mark === ',' || mark === '}', 'not JSON')
      if (mark === ',') { next(); demand(!mark, 'not JSON') }
    }
    mark = undefined
    return members
  }
  const array = () => {
    const items = []
    for (next(); mark !== ']';) {
      items.push(parsed())
      next(); demand(mark === ',' || mark === ']', 'not JSON')
      if (mark === ',') { next(); demand(mark !== ']', 'not JSON') }
    }
    mark = undefined
    return items
  }
  next()
  const whole = parsed()
  demand(/^[ \t\n\r]*$/.test(source.slice(tokens.lastIndex)), 'text behind the JSON')
  return whole
}

const kind = (test, name) => value => test(value) ? value : fail(`not ${name}`)
const text = kind(v => typeof v === 'string', 'a text')
const bool = kind(v => typeof v === 'boolean', 'true or false')
const anything = value => value
const constant = expected => kind(v => v === expected, JSON.stringify(expected))
const nullable = form => value => value === null ? null : form(value)
const list = form => value => Array.isArray(value) ? value.map(form) : fail('not a list')
const optional = form => Object.assign(value => form(value), { optional: true })
const isObject = value => typeof value === 'object' && value !== null && !Array.isArray(value)
const whole = value => {
  const number = typeof value === 'bigint' || Number.isSafeInteger(value) ? BigInt(value) : fail('not a whole number')
  demand(number >= 0n && number < 2n ** 63n, 'a number out of range')
  return number <= Number.MAX_SAFE_INTEGER ? Number(number) : unable('a number above 2^53 - 1')
}
const u32 = value => { const number = whole(value); demand(number < 2 ** 32, 'a number above 2^32 - 1'); return number }
const hex = bytes => value => {
  demand(typeof value === 'string' && value.length === 2 * bytes && /^[0-9a-f]*$/.test(value), `not hex of ${bytes} bytes`)
  return Buffer.from(value, 'hex')
}
const b64 = value => {
  const bytes = Buffer.from(text(value), 'base64')
  demand(bytes.toString('base64') === value, 'not base64 in its one form')
  return bytes
}
const shape = form => value => {
  demand(isObject(value), 'not an object')
  for (const name of Object.keys(value)) demand(Object.hasOwn(form, name), `an unknown member ${name}`)
  const read = {}
  for (const [name, each] of Object.entries(form)) {
    if (Object.hasOwn(value, name)) read[name] = each(value[name])
    else demand(each.optional, `the member ${name} is missing`)
  }
  return read
}

// --- Keys and signatures (section 2) ---

const ED25519 = 1, P256 = 2, ML_DSA_65 = 3, ML_DSA_44 = 4
const KEY_BYTES = { 1: 32, 2: 33, 3: 1952, 4: 1312 }, SIGNATURE_BYTES = { 1: 64, 2: 64, 3: 3309, 4: 2420 }
const P = 2n ** 255n - 19n, L = 2n ** 252n + 27742317777372353535851937790883648493n
const N = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n
const big = bytes => BigInt(`0x${bytes.toString('hex')}`)
const little = bytes => big(Buffer.from(bytes).reverse())
const low255 = bytes => little(bytes) & (2n ** 255n - 1n)
const ORDER_8 = low255(Buffer.from('05fc536d880238b13933c6d305acdfd5f098eff289f4c345b027b2c28f95e826', 'hex'))
const SMALL = new Set([0n, 1n, P - 1n, ORDER_8, P - ORDER_8])
const keyId = (suite, key) => sha256(u(1, suite), key).subarray(0, 16)

function verifies(suite, key, signature, message) {
  if (key.length !== KEY_BYTES[suite] || signature.length !== SIGNATURE_BYTES[suite]) return false
  if (suite === ED25519) {
    const y = low255(key)
    if (y >= P || SMALL.has(y) || low255(signature.subarray(0, 32)) >= P || little(signature.subarray(32)) >= L) return false
    const jwk = { kty: 'OKP', crv: 'Ed25519', x: key.toString('base64url') }
    return verify(null, message, createPublicKey({ key: jwk, format: 'jwk' }), signature)
  }
  if (suite === P256) {
    const r = big(signature.subarray(0, 32)), s = big(signature.subarray(32))
    if (r < 1n || r >= N || s < 1n || s > N / 2n || (key[0] !== 2 && key[0] !== 3)) return false
    let point
    try { point = ECDH.convertKey(key, 'prime256v1', undefined, undefined, 'uncompressed') } catch { return false }
    const jwk = { kty: 'EC', crv: 'P-256', x: point.toString('base64url', 1, 33), y: point.toString('base64url', 33) }
    return verify('sha256', message, { key: createPublicKey({ key: jwk, format: 'jwk' }), dsaEncoding: 'ieee-p1363' }, signature)
  }
  return key.subarray(32).every(byte => byte === 0) ? false : null
}

const all = worths => worths.includes(false) ? false : worths.includes(null) ? null : true
/** "Signed with all its keys": one signature for each, in the order of suites. keys: [[suite, public key]]. */
const signedByAll = (keys, signatures, message) => keys.length === signatures.length &&
  all(keys.map(([suite, key], i) => signatures[i].suite === suite && verifies(suite, key, signatures[i].data, message)))
const siteKeys = site => [[ED25519, site.ed], ...(site.ml ? [[ML_DSA_44, site.ml]] : [])]
/** Whether any of the key sets that a site ever had did it. */
const anyOf = (sets, test) => { const worths = sets.map(test); return worths.includes(true) || (worths.includes(null) ? null : false) }

const sized = bytes => value => { const read = b64(value); demand(read.length === bytes, `not a key of ${bytes} bytes`); return read }
const KEY = shape({ suite: text, public_key: b64, ml_dsa_65: optional(sized(KEY_BYTES[ML_DSA_65])) })
const key = value => {
  const { suite: name, public_key: bytes, ml_dsa_65: companion } = KEY(value)
  const suite = { ed25519: ED25519, 'ecdsa-p256': P256 }[name] ?? fail(`an unknown suite ${name}`)
  demand(bytes.length === KEY_BYTES[suite], 'a key of the wrong length')
  return { id: keyId(suite, bytes).toString('hex'), suite, bytes, companion }
}
const alone = value => { const read = key(value); demand(!read.companion, 'a companion that is not an author\'s'); return read }
const siteKey = value => { const read = alone(value); demand(read.suite === ED25519, 'a site\'s key is Ed25519'); return read }

export {
  all, alone, anyOf, anything, ascii, b64, bool, constant, COULD_NOT, demand, demandSigned, ED25519, fail, FAILED, hex, isObject, key, KEY_BYTES,
  keyId, kind, Layout, list, LOST, ML_DSA_44, ML_DSA_65, NOT_CHECKED, nullable, OK, optional, pae, parseJson, same, sha256, shape,
  SIGNATURE_BYTES, signedByAll, siteKey, siteKeys, sized, text, u, u32, u64, unable, utf8, Verdict, verifies, whole, zeros,
}
