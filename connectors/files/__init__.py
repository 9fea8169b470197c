"""Files a department drops: where they lie, which were taken already, and one file per format."""
