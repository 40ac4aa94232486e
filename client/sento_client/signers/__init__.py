"""Where a signer or seal opener comes from: an encrypted file, or a token that never gives its private key away.

`opening.open_signer` and `opening.open_seal_opener` read the section `keys` of the configuration; `passphrases` finds passphrase and PIN; `pkcs11_module`,
`token` and `token_keys`
speak to tokens. A token's signer has `blocking` = True: an asyncio program calls it as `await asyncio.to_thread(sign_all, signer, message)`.
"""
