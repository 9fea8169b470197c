"""Is it good: standards become suites, suites verdicts, verdicts findings."""
