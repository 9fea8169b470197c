"""Input and sides of the benchmark of file formats."""
