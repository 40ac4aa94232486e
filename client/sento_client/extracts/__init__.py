"""Sealed extracts at the reader's: got while there is a link, opened where there is none, each opening logged first and reported afterwards."""
