"""Who may have a record and what they used: grants, queries, metering."""
