"""Questions to a swept folder: SQL, ranks with their ceiling, and Pareto fronts."""
