"""Read delimited text (`*.txt`): CSV under another name, its fields mostly separated by tabs."""

from __future__ import annotations

from connectors.files import csv_format
from connectors.files.csv_format import CsvFormat
from connectors.options import Options

OPTIONS = csv_format.OPTIONS
PATTERNS = ("*.txt", "*.txt.gz", "*.tsv", "*.tsv.gz")


def open_format(options: Options) -> CsvFormat:
    """Text as OPTIONS describe it: UTF-8, tabs and a header when nothing is written."""
    return CsvFormat(options, PATTERNS, "\t")
