"""The HTML page: self-contained, hostile names stay text, large models stay usable. No torch, no browser."""

from __future__ import annotations

import json
import re
import sys
from contextlib import nullcontext
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path

import made_models
import pytest
import sample_data

from addercost.analysis.subjects import Wanted, subject_from_profiles
from addercost.report.html.linked_layers import linked_runs, linked_sentences, linked_table
from addercost.report.html.page import _with_breaks, to_page
from addercost.results.measurements import measurements_from_data
from addercost.results.report import Report
from addercost.results.saved import DATA_ID

LOADING = ("src", "srcset", "href", "xlink:href", "data", "action", "poster", "background", "formaction")
CPU = "intel-skylake-x"


class Page(HTMLParser):
    """What a browser would see: elements, attributes, texts, islands."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.texts: list[str] = []
        self.scripts: list[tuple[dict[str, str | None], str]] = []
        self.styles: list[str] = []
        self._inside = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        self._inside = tag
        if tag == "script":
            self.scripts.append((dict(attrs), ""))

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside == "script":
            attrs, text = self.scripts[-1]
            self.scripts[-1] = (attrs, text + data)
        elif self._inside == "style":
            self.styles.append(data)
        else:
            self.texts.append(data)


@pytest.fixture(scope="module")
def hostile() -> str:
    return made_models.page("plain", *made_models.HOSTILE)


def test_nothing_is_fetched(hostile: str) -> None:
    page = Page(hostile)
    for tag, name, value in page.attributes:
        if name in LOADING:
            assert value.startswith("#"), (tag, name, value)
        if name == "style":
            assert all(target.startswith("#") for target in re.findall(r"url\(([^)]*)\)", value)), value
        assert not name.startswith("on"), (tag, name)
    assert not {"link", "iframe", "object", "embed", "img", "base", "form", "video"} & set(page.tags)
    css = "".join(page.styles)
    assert "@import" not in css and "url(" not in css
    policy = next(v for t, n, v in page.attributes if (t, n) == ("meta", "content") and "default-src" in v)
    assert policy.startswith("default-src 'none'") and "http" not in policy


def test_the_policy_allows_this_script_and_no_other(hostile: str) -> None:
    import base64
    import hashlib

    page = Page(hostile)
    runs = [text for attrs, text in page.scripts if attrs.get("type") != "application/json"]
    assert len(runs) == 1
    digest = base64.b64encode(hashlib.sha256(runs[0].encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in hostile
    assert "script-src 'unsafe" not in hostile


def test_hostile_names_stay_text(hostile: str) -> None:
    page = Page(hostile)
    # One script, and the data of the page and of the icicle: none from a name.
    assert len(page.scripts) == 3
    shown = "".join(page.texts)
    assert "<script>alert(1)</script>" in shown and "{{ 7 * 7 }}" in shown and "модуль.层.🧨" in shown
    assert "\x1b" not in hostile and "line\\nbreak" in shown
    island = next(text for attrs, text in page.scripts if attrs.get("id") == DATA_ID)
    paths = [layer["path"] for layer in json.loads(island)["subjects"][0]["profiles"][0]["layers"]]
    assert paths == ["plain", *made_models.HOSTILE]


def test_islands_hold_no_markup(hostile: str) -> None:
    """Not even `<!--`, after which a browser would take `<script` for the start of another script."""
    islands = [text for attrs, text in Page(hostile).scripts if attrs.get("type") == "application/json"]
    assert len(islands) == 2
    for text in islands:
        assert not set("<>&") & set(text)


def test_ids_are_unique_and_links_lead_somewhere(hostile: str) -> None:
    page = Page(hostile)
    ids = [value for _, name, value in page.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    for tag, name, value in page.attributes:
        if tag in ("a", "use") and name == "href":
            assert value[1:] in ids
        if name == "aria-labelledby":
            assert value in ids


@pytest.fixture(scope="module", params=["without", pytest.param("with", marks=pytest.mark.exhaustive)])
def two_models(request: pytest.FixtureRequest) -> str:
    """The page of a model, of the same with a third layer, and of measurements: without its figures, which
    take seconds, and with them."""
    subjects = (made_models.subject(paths, cpus=(CPU,)) for paths in (["a", "b"], ["a", "b", "c"]))
    measurements = measurements_from_data(sample_data.measurements())
    with made_models.without_figures() if request.param == "without" else nullcontext():
        return to_page(Report("two", tuple(subjects), (measurements,)))


def test_several_models_and_measurements_on_one_page(two_models: str) -> None:
    page = Page(two_models)
    ids = [value for _, name, value in page.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    assert {"p1-layers-table", "p2-layers-table", "p3-measured"} <= set(ids)
    for _, name, value in page.attributes:
        for target in re.findall(r"url\(#([^)]*)\)", value) if name in ("style", "clip-path") else ():
            assert target in ids


@pytest.mark.parametrize(
    ("first", "second", "names", "ratios"),
    [
        (["a", "b"], ["c", "d", "e"], ["the whole model"], ["1.50×"]),
        (["a", "b"], ["a", "b"], ["a", "b"], ["1.00×", "1.00×"]),
        (["a", "b"], ["a", "b", "c"], ["the whole model", "a", "b"], ["1.50×", "1.00×", "1.00×"]),
    ],
    ids=["no-layer-in-common", "the-same-layers", "some-layers"],
)
def test_two_models_are_compared_as_wholes_where_layers_differ(
    first: list[str], second: list[str], names: list[str], ratios: list[str]
) -> None:
    """Every made-up layer has the same operations, so that ratios are those of the numbers of layers."""
    subjects = [made_models.subject(paths, cpus=()) for paths in (first, second)]
    ((place, runs),) = linked_runs(subjects, [{}, {}]).items()
    view = linked_table(place, runs)
    assert view is not None
    assert [row[0].text for row in view.rows] == names
    assert [row[-1].text for row in view.rows] == ratios


def test_two_models_are_compared_on_every_processor(two_models: str) -> None:
    """The second has 3 layers of the first's 2, all the same: 1.5 times as long wherever they run."""
    subjects = [made_models.subject(paths) for paths in (["a", "b"], ["a", "b", "c"])]
    by_place = linked_runs(subjects, [{}, {}])
    assert [*by_place] == [
        f"estimated for {cpu} by latency-sum" for cpu in ("via-nano-2000", "intel-skylake-x")
    ]
    for place, runs in by_place.items():
        (sentence,) = linked_sentences(place, runs)
        assert f"{place[1:]}: 2. made-up takes 1.50 times as long as 1. made-up" in sentence
    assert two_models.count("times as long as 1. made-up") == 1
    assert two_models.count(f"<caption>estimated for {CPU}") == 1
    assert two_models.index("1.50 times as long") < two_models.index("Layers side by side</h3>")


def test_measurements_are_compared_in_the_layers_that_both_have() -> None:
    """The second run's samples are twice the first's, in 3 layers of the first's 4."""
    one, two = sample_data.measurements(rows=4), sample_data.measurements(rows=3)
    for row in two["rows"]:
        row["samples_s"] = [2 * sample for sample in row["samples_s"]]
    ((place, runs),) = linked_runs([*map(measurements_from_data, (one, two))], [{}, {}]).items()
    for arithmetic, sentence in zip(("mac", "adder"), linked_sentences(place, runs), strict=True):
        assert sentence.startswith(
            f"As {arithmetic}, measured, in the 3 layers that both have: "
            "2. made-up takes 2.00 times as long as 1. made-up ("
        )


def test_everything_is_there_without_scripts(hostile: str) -> None:
    page = Page(hostile)
    assert page.tags.count("table") >= 3
    assert page.tags.count("figure") >= 4 and page.tags.count("svg") >= 4
    for heading in ("Arithmetics side by side", "Where it goes", "Operations by layer", "Layers", "Roofline"):
        assert heading in page.texts


def test_paths_break_after_dots_alone(hostile: str) -> None:
    """In the table of linked layers on a narrow screen; a name of markup stays text."""
    assert "модуль.<wbr>层.<wbr>🧨</th>" in hostile
    assert str(_with_breaks("block.0.<b>")) == "block.<wbr>0.<wbr>&lt;b&gt;"


def test_numbers_are_on_the_right(hostile: str) -> None:
    cells = re.findall(r'<td( class="n")? data-v="[\d.e+-]+">', hostile)
    assert cells and all(cells)


@pytest.mark.exhaustive
def test_ten_thousand_layers_stay_usable() -> None:
    subject = subject_from_profiles(
        "large",
        [made_models.profile([f"layer{i}" for i in range(10_000)])],
        Wanted(cpus=("intel-skylake-x",)),
    )
    page = to_page(Report("large", (subject,)))
    assert len(page) < 8_000_000
    table = page[page.index('id="p1-layers-table"') :]
    assert table[: table.index("</table>")].count("<tr>") < 2100
    assert "The 2,000 largest of 10,000 layers" in page
    assert "8000 more layers" in page
    assert len(json.loads(Page(page).scripts[-2][1])["subjects"][0]["profiles"][0]["layers"]) == 10_000


@pytest.mark.exhaustive
@pytest.mark.parametrize(
    "paths",
    [
        pytest.param(["only"], id="one layer", marks=pytest.mark.exhaustive),
        pytest.param([""], id="the model itself"),
    ],
)
def test_small_models(paths: list[str]) -> None:
    assert "Every operator has a counting rule" in to_page(made_models.report(paths, cpus=("via-nano-2000",)))


@pytest.mark.exhaustive
def test_all_zero_counts() -> None:
    profile = made_models.profile(["a", "b"], 0)
    zeros = type(profile)(
        type(profile.counts)(
            model="zeros",
            convention=profile.counts.convention,
            arithmetic=None,
            layers=tuple(made_models.layer(path, 0) for path in ("a", "b")),
        )
    )
    subject = subject_from_profiles("zeros", [zeros], Wanted(cpus=("intel-skylake-x",)))
    page = to_page(Report("zeros", (subject,)))
    texts = "".join(Page(page).texts)
    assert "no operations were counted" in texts and not re.search(r"\b(nan|inf)\b", texts, flags=re.I)


def test_measured_is_never_shown_without_measurements(hostile: str) -> None:
    assert "Predicted against measured" not in hostile
    data = sample_data.measurements()
    data["rows"][0]["path"] = ""
    measurements = measurements_from_data(data)
    page = to_page(Report("m", (), (measurements,)))
    assert "Predicted against measured" in page and "measured median" in page
    assert "Measured on none: made-up samples, 1 thread: the whole of made-up takes " in page
    assert "time of made up fp32" in page
    assert "environment: cpu none: made-up samples" in page


def test_vendored_libraries_are_as_published(hostile: str) -> None:
    import hashlib

    vendor = files("addercost.report.html").joinpath("vendor")
    listed = re.findall(r"`([\w.-]+\.js)` \|.*\| `(\w{64})`", vendor.joinpath("README.md").read_text("utf-8"))
    assert len(listed) == 2
    for name, digest in listed:
        assert hashlib.sha256(vendor.joinpath(name).read_bytes()).hexdigest() == digest
        assert "Permission to use, copy" in vendor.joinpath(name.replace(".min.js", ".LICENSE")).read_text()
    assert "Copyright 2010" in hostile and "Permission to use, copy" in hostile


@pytest.mark.parametrize(("library", "name"), [("jinja2", "r.html"), ("openpyxl", "r.xlsx")])
def test_a_library_that_is_not_installed_is_named(
    library: str,
    name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from addercost.cli import run

    (tmp_path / "p.json").write_text(made_models.profile(["a"]).to_json())
    monkeypatch.setitem(sys.modules, library, None)
    assert run(["report", str(tmp_path / "p.json"), "-o", str(tmp_path / name)]) == 1
    assert (
        f"needs {library}" in (err := capsys.readouterr().err).replace("need ", "needs ")
        and "[report]" in err
    )
    assert not (tmp_path / name).exists()


def luminance(colour: str) -> float:
    """WCAG 2.1 relative luminance."""
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("text", ["ink", "soft", "accent", "focus"])
@pytest.mark.parametrize("ground", ["ground", "panel", "mark"])
def test_text_contrast_is_aa(theme: str, text: str, ground: str) -> None:
    """4.5 to 1 for text; the focus ring and links too."""
    css = files("addercost.report.html").joinpath("report.css").read_text("utf-8")
    block = css if theme == "light" else css[css.index('[data-theme="dark"]') :]
    colours = dict(re.findall(r"--(\w+): (#[0-9a-f]{6})", block[: block.index("}")]))
    light, dark = sorted((luminance(colours[text]), luminance(colours[ground])), reverse=True)
    assert (light + 0.05) / (dark + 0.05) >= 4.5
