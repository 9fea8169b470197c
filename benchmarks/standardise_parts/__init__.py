"""The table and the sides of the standardising benchmark."""
