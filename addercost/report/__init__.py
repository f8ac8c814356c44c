"""Outputs: tables, formats, pages and plots. Their figures are computed in other packages."""
