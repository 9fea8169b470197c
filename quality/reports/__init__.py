"""Reports on quality 质量报告: one value with every number, and its renderings as HTML, XLSX, PDF, JSON and pandas."""

from quality.reports.frames import frames
from quality.reports.gather import Context, gather_period, gather_run
from quality.reports.render import FORMATS, render
from quality.reports.values import Report

__all__ = ["FORMATS", "Context", "Report", "frames", "gather_period", "gather_run", "render"]
