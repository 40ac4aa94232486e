"""Importing: chunks that came by hand into a site's ledger, each proven like one that came by link."""
