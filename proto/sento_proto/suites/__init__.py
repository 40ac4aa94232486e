"""One module a signature suite: which public keys are keys, and which signatures count, over plain bytes.

Each has `check_key(data)`, which raises Malformed with the reason, and `verify(data, signature, message)`, which raises InvalidSignature or ValueError.
Parsed keys
are kept, because the same few thousand keys sign everything. `sento_proto.keys` chooses among them.
"""
