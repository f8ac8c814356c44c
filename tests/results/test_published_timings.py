"""Published timings as they are read from CSV files, and the files that are refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from addercost.errors import ArgumentError, DataError
from addercost.results.published_timings import RATE, PublishedTiming, TimingColumns, read_timings


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "times.csv"


def read(file: Path, text: str, columns: TimingColumns) -> tuple[PublishedTiming, ...]:
    file.write_text(text)
    return read_timings(file, columns)


@pytest.mark.parametrize(
    ("unit", "seconds"),
    [
        pytest.param("s", 8.0, id="seconds"),
        pytest.param("ms", 8e-3, id="milliseconds"),
        pytest.param("us", 8e-6, id="microseconds"),
        # 8 images pass in a second, so a batch of 2 takes a quarter of it.
        pytest.param(RATE, 0.25, id="rate"),
    ],
)
def test_a_cell_is_the_time_of_a_batch_or_a_rate(file: Path, unit: str, seconds: float) -> None:
    found = read(file, "model,t,b\nnet,8,2\n", TimingColumns("t", unit, batch="b"))
    assert found == (PublishedTiming("net", pytest.approx(seconds), 2),)


def test_milliseconds_of_one_image_are_meant_where_nothing_else_is_said(file: Path) -> None:
    assert read(file, "model,t\n net ,250\n", TimingColumns("t")) == (PublishedTiming("net", 0.25, 1, None),)


def test_rows_come_in_the_order_of_the_file(file: Path) -> None:
    text = "name,px,n,t\nb,224,1,10\na,192,8,20.5\n"
    found = read(file, text, TimingColumns("t", "s", model="name", batch="n", size="px"))
    assert found == (PublishedTiming("b", 10.0, 1, 224), PublishedTiming("a", 20.5, 8, 192))


def test_rows_with_other_values_are_left_out_and_not_looked_at(file: Path) -> None:
    text = "model,t,device\na,1,gpu\nb,2,cpu\nc,not measured,gpu\nd,4,cpu\n"
    found = read(file, text, TimingColumns("t", "s", where={"device": "cpu"}))
    assert [(one.model, one.seconds) for one in found] == [("b", 2.0), ("d", 4.0)]


@pytest.mark.parametrize(
    ("size", "batch", "label"),
    [
        pytest.param(None, 1, "net", id="plain"),
        pytest.param(224, 1, "net 224", id="size"),
        pytest.param(None, 2, "net batch 2", id="batch"),
        pytest.param(224, 32, "net 224 batch 32", id="both"),
    ],
)
def test_a_label_names_what_is_not_usual(size: int | None, batch: int, label: str) -> None:
    assert PublishedTiming("net", 1.0, batch, size).label == label


@pytest.mark.parametrize("cell", ["", "0", "-1", "nan", "inf", "fast", "-inf"])
def test_a_time_is_a_number_above_0(file: Path, cell: str) -> None:
    with pytest.raises(DataError) as error:
        read(file, f"model,t\na,1\nb,{cell}\n", TimingColumns("t"))
    assert f"line 3: t = {cell!r}: expected a number above 0" in str(error.value)


def test_a_time_may_be_shorter_than_one_unit(file: Path) -> None:
    assert read(file, "model,t\na,0.5\n", TimingColumns("t", "s"))[0].seconds == 0.5


@pytest.mark.parametrize("column", ["b", "px"])
def test_batches_and_sizes_are_whole(file: Path, column: str) -> None:
    columns = TimingColumns("t", batch="b", size="px")
    cells = {"b": "1", "px": "8"} | {column: "1.5"}
    with pytest.raises(DataError, match=rf"line 2: {column} = 1.5: expected a whole number"):
        read(file, f"model,t,b,px\na,1,{cells['b']},{cells['px']}\n", columns)


def test_a_model_has_a_name(file: Path) -> None:
    with pytest.raises(DataError, match="line 2: model is empty"):
        read(file, "model,t\n ,1\n", TimingColumns("t"))


@pytest.mark.parametrize(
    ("columns", "hint"),
    [
        pytest.param(TimingColumns("time"), "did you mean times?", id="time"),
        pytest.param(TimingColumns("times", model="modell"), "did you mean model?", id="model"),
        pytest.param(TimingColumns("times", batch="bach"), "did you mean batch?", id="batch"),
        pytest.param(TimingColumns("times", size="sizes"), "did you mean size?", id="size"),
        pytest.param(TimingColumns("times", where={"batches": "1"}), "did you mean batch?", id="where"),
        pytest.param(TimingColumns("zzz"), "its columns: model, times, batch, size", id="none is near"),
    ],
)
def test_a_column_that_is_not_there_is_named_with_what_is(
    file: Path, columns: TimingColumns, hint: str
) -> None:
    with pytest.raises(ArgumentError, match="has no column") as error:
        read(file, "model,times,batch,size\na,1,1,1\n", columns)
    assert error.value.hint == hint


def test_the_nearest_of_several_columns_is_proposed(file: Path) -> None:
    with pytest.raises(ArgumentError) as error:
        read(file, "model,timings,time_ms\na,1,1\n", TimingColumns("timing"))
    assert error.value.hint == "did you mean timings?"


def test_at_most_twenty_columns_are_listed(file: Path) -> None:
    names = [f"c{i:02}" for i in range(30)]
    with pytest.raises(ArgumentError) as error:
        read(file, ",".join(names) + "\n", TimingColumns("zzz"))
    assert error.value.hint == "its columns: " + ", ".join(names[:20])


def test_a_unit_is_one_of_those_that_are_known() -> None:
    with pytest.raises(ArgumentError, match="unknown unit 'sec'"):
        TimingColumns("t", "sec")


@pytest.mark.parametrize(
    ("text", "where", "message"),
    [
        pytest.param("", None, "has no heading", id="empty"),
        pytest.param("model,t\n", None, "has no row;", id="no row"),
        pytest.param("model,t\na,1\n", {"t": "2"}, "has no row that fits --where;", id="no row that fits"),
        pytest.param("model,t\n" + "a" * 200_000 + ",1\n", None, "line 2: field larger", id="a long cell"),
    ],
)
def test_a_file_without_timings(file: Path, text: str, where: dict[str, str] | None, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read(file, text, TimingColumns("t", where=where))


def test_a_line_with_more_cells_than_the_heading_is_read_by_it(file: Path) -> None:
    assert read(file, "model,t\na,1,surplus\n", TimingColumns("t", "s")) == (PublishedTiming("a", 1.0),)
