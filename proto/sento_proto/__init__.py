"""What ministry, node and auditor must agree on, byte for byte: layouts, hashes, signatures, proofs, error codes. Pure functions, no IO."""
