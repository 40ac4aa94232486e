"""What the sites agree on: checkpoints and their cosignatures, and what may therefore leave the ordering log. Pure decisions."""
