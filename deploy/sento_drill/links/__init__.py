"""Links between sites with the figures of real ones: narrow, late, lossy; made on one machine, in user space."""
