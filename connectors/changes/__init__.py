"""Changes as a database itself records them: one file per kind of log, one shape for all."""
