"""A result in the forms people read: JSON, CSV, Markdown, a terminal table, a plot."""

from jpeg_preproc.report.console import console, print_error, print_tables, progress
from jpeg_preproc.report.tables import Table, markdown_table, result_tables, write_results

__all__ = [
    "Table",
    "console",
    "markdown_table",
    "print_error",
    "print_tables",
    "progress",
    "result_tables",
    "write_results",
]
