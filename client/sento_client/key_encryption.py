"""Private keys encrypted under a passphrase: what a stolen laptop or backup holds then is a puzzle that costs 16 MiB and a fifth of a second for each guess.

Signing keys are PKCS #8 "ENCRYPTED PRIVATE KEY" in PEM: PBES2 with scrypt and AES-256-CBC, as `openssl pkcs8 -topk8 -scrypt` makes them and `openssl pkey`
reads them.
`cryptography` reads that form too but writes PBKDF2 with few rounds, which a graphics card tries by the million; so the few bytes of ASN.1 around the
ciphertext are
written here. Seal keys have a line of their own, authenticated:

    sento-seal-key-2 scrypt:<log2 N>:<r>:<p> <base64 salt 16> <base64 nonce 12 || AES-256-GCM(secret), associated data: all before it in the line>

A CBC form cannot tell a wrong passphrase from a damaged file; both are reported as a passphrase that does not open it.

Source: RFC 7914 (scrypt, section 7 for its ASN.1); OWASP Password Storage Cheat Sheet for its costs, RFC 8018 section 6.2 (PBES2), RFC 5958
(EncryptedPrivateKeyInfo).
"""

from __future__ import annotations

import base64
import binascii
import secrets

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

ENCRYPTED_SEAL_KEY_FORMAT = "sento-seal-key-2"
SCRYPT_LOG2_N, SCRYPT_R, SCRYPT_P = 14, 8, 5
"""16 MiB, five times over: the most that OpenSSL 3 accepts by itself is a little less than 32 MiB."""
_LOG2_N_MAX = 18
"""256 MiB: a file must not be able to ask for more memory than a small office computer has."""
SALT_BYTES, NONCE_BYTES, IV_BYTES, KEY_BYTES = 16, 12, 16, 32
_PEM_HEAD, _PEM_FOOT = b"-----BEGIN ENCRYPTED PRIVATE KEY-----\n", b"-----END ENCRYPTED PRIVATE KEY-----\n"
_PEM_LINE = 64
_PBES2 = bytes.fromhex("06092a864886f70d01050d")
_SCRYPT = bytes.fromhex("06092b06010401da47040b")
_AES_256_CBC = bytes.fromhex("060960864801650304012a")


class WrongPassphrase(Exception):
    """It does not open this."""


def is_encrypted(data: bytes) -> bool:
    """Whether a key file's content needs a passphrase."""
    return data.lstrip().startswith((_PEM_HEAD.strip(), ENCRYPTED_SEAL_KEY_FORMAT.encode() + b" ")) or (
        b"\nProc-Type: 4,ENCRYPTED" in data
    )


def encrypt_pkcs8(plain_der: bytes, passphrase: bytes) -> bytes:
    """PEM of an unencrypted PKCS #8 key (DER), encrypted."""
    salt, iv = secrets.token_bytes(SALT_BYTES), secrets.token_bytes(IV_BYTES)
    padder = padding.PKCS7(128).padder()
    padded = padder.update(plain_der) + padder.finalize()
    encryptor = Cipher(algorithms.AES(_stretch(passphrase, salt, SCRYPT_LOG2_N)), modes.CBC(iv)).encryptor()
    ciphertext = encryptor.update(padded) + encryptor.finalize()
    numbers = _integer(2**SCRYPT_LOG2_N) + _integer(SCRYPT_R) + _integer(SCRYPT_P) + _integer(KEY_BYTES)
    kdf = _sequence(_SCRYPT + _sequence(_octets(salt) + numbers))
    scheme = _sequence(_AES_256_CBC + _octets(iv))
    der = _sequence(_sequence(_PBES2 + _sequence(kdf + scheme)) + _octets(ciphertext))
    text = base64.b64encode(der)
    lines = [text[at : at + _PEM_LINE] + b"\n" for at in range(0, len(text), _PEM_LINE)]
    return _PEM_HEAD + b"".join(lines) + _PEM_FOOT


def encrypt_seal_key(secret: bytes, passphrase: bytes) -> bytes:
    """The line of an encrypted seal key."""
    salt, nonce = secrets.token_bytes(SALT_BYTES), secrets.token_bytes(NONCE_BYTES)
    head = f"{ENCRYPTED_SEAL_KEY_FORMAT} scrypt:{SCRYPT_LOG2_N}:{SCRYPT_R}:{SCRYPT_P} {_encode(salt)} "
    sealed = AESGCM(_stretch(passphrase, salt, SCRYPT_LOG2_N)).encrypt(nonce, secret, head.encode())
    return f"{head}{_encode(nonce + sealed)}\n".encode()


def decrypt_seal_key(line: bytes, passphrase: bytes) -> bytes:
    """The secret in the line. Raises WrongPassphrase; ValueError with the reason when the line is not in its form."""
    parts = line.decode("ascii", "replace").removesuffix("\n").split(" ")
    if len(parts) != 4 or parts[0] != ENCRYPTED_SEAL_KEY_FORMAT:
        raise ValueError(f"it is not a line of {ENCRYPTED_SEAL_KEY_FORMAT} and three fields")
    salt, sealed = _decode(parts[2], "the salt"), _decode(parts[3], "the sealed key")
    if len(salt) != SALT_BYTES:
        raise ValueError(f"the salt does not have {SALT_BYTES} bytes")
    if len(sealed) <= NONCE_BYTES:
        raise ValueError("the sealed key is too short")
    key = _stretch(passphrase, salt, _log2_n(parts[1]))
    head = f"{parts[0]} {parts[1]} {parts[2]} ".encode()
    try:
        return AESGCM(key).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], head)
    except InvalidTag:
        raise WrongPassphrase from None


def _log2_n(text: str) -> int:
    for number in range(SCRYPT_LOG2_N, _LOG2_N_MAX + 1):
        if text == f"scrypt:{number}:{SCRYPT_R}:{SCRYPT_P}":
            return number
    low, high = f"{SCRYPT_LOG2_N}:{SCRYPT_R}:{SCRYPT_P}", f"{_LOG2_N_MAX}:{SCRYPT_R}:{SCRYPT_P}"
    raise ValueError(f"its second field is not between scrypt:{low} and scrypt:{high}")


def _stretch(passphrase: bytes, salt: bytes, log2_n: int) -> bytes:
    return Scrypt(salt, KEY_BYTES, 2**log2_n, SCRYPT_R, SCRYPT_P).derive(passphrase)


def _encode(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _decode(text: str, field: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise ValueError(f"{field} is not base64") from None


def _element(tag: int, content: bytes) -> bytes:
    """DER: tag, length, content."""
    size = len(content)
    if size < 0x80:
        return bytes((tag, size)) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(length))) + length + content


def _sequence(content: bytes) -> bytes:
    return _element(0x30, content)


def _octets(content: bytes) -> bytes:
    return _element(0x04, content)


def _integer(value: int) -> bytes:
    return _element(0x02, value.to_bytes(value.bit_length() // 8 + 1, "big"))
