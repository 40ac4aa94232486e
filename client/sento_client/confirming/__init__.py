"""Confirmed reads: what several sites sign about a subject's newest record, lists that end in it, and what a false word becomes."""
