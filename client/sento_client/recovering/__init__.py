"""Recovery after the majority is gone: what survives is collected, the best state of it chosen, a plan made, and afterwards every record asked for."""
