"""Outputs alone: tables, formats, pages and plots of what is computed elsewhere."""
