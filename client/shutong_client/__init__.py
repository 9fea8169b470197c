"""Ask a Shutong exchange from Python."""
