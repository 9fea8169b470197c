"""Parts of the benchmarks of the sharing service and of its meter."""
