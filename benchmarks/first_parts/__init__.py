"""The parts of the first benchmark: its input, its peers and the load generator."""
