"""What the public functions return: results that print themselves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from addercost.analysis.comparison import Comparison
from addercost.report.formats.notebook import to_html
from addercost.report.formats.table_format import TableFormat, render
from addercost.report.formats.terminal import terminal_width
from addercost.report.table import Table
from addercost.report.tables.comparison import comparison_table
from addercost.report.tables.layers import layer_table
from addercost.report.tables.profile import profile_table
from addercost.results.profile import Profile

if TYPE_CHECKING:
    import pandas


class ShownProfile(Profile):
    """The result of `addercost.profile`: a profile that can be shown as text, as a data frame, and in a
    notebook.
    """

    __slots__ = ()

    def __str__(self) -> str:
        """The text that the command prints, as wide as the terminal if there is one."""
        return render(profile_table(self), TableFormat.TABLE, terminal_width()).rstrip("\n")

    def to_frame(self) -> pandas.DataFrame:
        """A pandas data frame with a row for each layer and the columns of the CSV."""
        import pandas

        table = self.to_table()
        names = [column.name for column in table.columns]
        return pandas.DataFrame([[row.get(name) for name in names] for row in table.rows], columns=names)

    def to_table(self, depth: int | None = None, sort: str | None = None, top: int | None = None) -> Table:
        """The layer table.

        depth: layers below this many path components are summed into their ancestor. sort: a column, largest
        first. top: the number of rows, with the others summed into one row. Raises ArgumentError for an
        unknown column.
        """
        return layer_table(self, depth, sort, top)

    def _repr_html_(self) -> str:
        return to_html(self.to_table())


class ShownComparison(Comparison):
    """The result of `addercost.compare`: profiles side by side, as a table."""

    __slots__ = ()

    def to_table(self) -> Table:
        """The table, with a row for each model and arithmetic. A ratio is the first arithmetic's cost / the
        row's.
        """
        return comparison_table(self)


def compare(profiles: Sequence[Profile]) -> ShownComparison:
    """Profiles side by side. Raises ArgumentError where their conventions, inputs or processors differ."""
    return ShownComparison(tuple(profiles))
