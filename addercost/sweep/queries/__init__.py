"""Queries on a swept folder: SQL, ranks, the ceiling of rank correlations, and Pareto fronts."""
