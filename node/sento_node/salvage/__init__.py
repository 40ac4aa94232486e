"""What a survivor's own ordering log holds behind its ledger: read from the log's files, told in words, and added to a copy of the ledger."""
