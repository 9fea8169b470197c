"""The commands, one file per kind of work."""
