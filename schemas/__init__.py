"""What a record is: standards, code lists, validators, mapping, and the values that cross a step."""
