"""The shell: settings, wiring, command line, supervisor, demo."""
