"""Following the ledger's governance and taking part in it: acts verified one by one, kept on disk, said in words, proposed and signed."""
