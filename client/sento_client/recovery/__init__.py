"""Threshold recovery: the ceremony of a year's recovery key, its shares, and what a threshold of them opens."""
