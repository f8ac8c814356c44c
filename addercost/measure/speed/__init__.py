"""How fast a shared machine is while something is timed, against its best known speed."""
