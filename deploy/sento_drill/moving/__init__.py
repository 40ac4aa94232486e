"""The capital moves: evacuated in time and home again; lost with its disks, and government going on abroad; found again, and made one with what went on."""
