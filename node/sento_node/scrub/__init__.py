"""Scrub: everything on a running site's disk is read again and again, what is found is fenced, and healed from other sites."""
