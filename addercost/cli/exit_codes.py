"""The meaning of the exit codes, as `addercost --help` prints it. `addercost.errors` has the codes."""

from __future__ import annotations

EXIT_CODES = (
    "0 done; 1 a check you asked for failed (--strict, a budget); 2 wrong arguments or an unknown name; 3 "
    "the model cannot be loaded; 4 its forward does not run; 5 the output cannot be written; 6 a data file "
    "is damaged or of another version; 7 the workers of a sweep are lost; 8 training stopped, its last "
    "checkpoint kept; 70 a fault of ours; 130 interrupted; 143 terminated"
)
