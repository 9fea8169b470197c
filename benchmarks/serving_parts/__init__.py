"""Parts of the benchmark of the serving store."""
