"""The parts of the cost model: what is received, the steps that are measured, and the line through what they cost."""
