"""The bench of proofs: what receipts, verifying, confirmed reads, the read log, the scrub and erasure cost. `command.py` is the way in."""
