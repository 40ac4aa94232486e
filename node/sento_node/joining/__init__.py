"""A site that begins with an empty disk: a new site that joins, and a known one whose disk was replaced."""
