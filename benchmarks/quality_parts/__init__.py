"""The parts of the benchmark of checking: the table, its rules, and each side that checks it."""
