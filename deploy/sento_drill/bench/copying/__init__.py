"""What it costs to make a copy of a ledger: over links, and by courier volumes."""
