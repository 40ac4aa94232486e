"""KEKs in the ledger: who should hold a seal of each, what is missing, how they are made, sealed again for later readers, and found by whoever reads."""
