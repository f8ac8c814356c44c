"""The page as a reader uses it. Every test also asserts: no console message, no dialog, no request."""

from __future__ import annotations

from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import made_models
import pytest

Visit = Callable[..., Any]

TABLE = "#p1-layers-table"
AXE = files("axe_playwright_python").joinpath("axe.min.js")
WIDTHS = (400, 500, 1000, 1400)


def every_layer(page: Any) -> Any:
    page.get_by_role("combobox", name="Modules").select_option("")
    return page


def first_cells(page: Any, count: int = 5) -> list[str]:
    texts: list[str] = page.locator(f"{TABLE} tbody th").all_inner_texts()
    return texts[:count]


def column(page: Any, name: str) -> list[float]:
    """The values of a column, as the script has them."""
    values: list[float] = page.evaluate(
        """([table, name]) => {
            const heads = [...document.querySelectorAll(`${table} thead th`)];
            const at = heads.findIndex((head) => head.textContent === name);
            return [...document.querySelectorAll(`${table} tbody tr`)].map((row) =>
                Number(row.cells[at].dataset.v));
        }""",
        [TABLE, name],
    )
    return values


def test_resnet50_loads(visit: Visit, resnet50: Path) -> None:
    assert resnet50.stat().st_size < 1_500_000
    page = every_layer(visit(resnet50))
    assert page.title() == "ResNet-50"
    assert page.locator(f"{TABLE} tbody tr").count() == 143
    for heading in (
        "Arithmetics side by side",
        "Where it goes",
        "Layers",
        "Roofline",
        "Processors by advantage",
    ):
        assert page.get_by_role("heading", name=heading).is_visible()


def test_sorts(visit: Visit, resnet50: Path) -> None:
    """Largest first, then smallest first, then as they run."""
    page = every_layer(visit(resnet50))
    before = first_cells(page)
    button = page.locator(f"{TABLE} thead").get_by_role("button", name="mul", exact=True)
    button.click()
    assert column(page, "mul") == sorted(column(page, "mul"), reverse=True)
    assert page.locator(f"{TABLE} th[aria-sort=descending]").inner_text().startswith("mul")
    button.click()
    assert column(page, "mul") == sorted(column(page, "mul"))
    button.click()
    assert first_cells(page) == before
    assert page.locator(f"{TABLE} th[aria-sort]").count() == 0


def test_sorts_by_keyboard(visit: Visit, resnet50: Path) -> None:
    page = every_layer(visit(resnet50))
    page.locator(f"{TABLE} thead").get_by_role("button", name="layer", exact=True).focus()
    page.keyboard.press("Enter")
    names = page.locator(f"{TABLE} tbody th").all_inner_texts()
    assert (
        names[:2] == ["(model)", "classifier"]
        and page.locator(f"{TABLE} th[aria-sort=ascending]").count() == 1
    )


def test_filters(visit: Visit, resnet50: Path) -> None:
    page = every_layer(visit(resnet50))
    page.get_by_label("Filter").fill("BatchNorm")
    assert page.locator(f"{TABLE} tbody tr").count() == 53
    assert page.get_by_text("53 of 143 rows").is_visible()
    page.get_by_label("Filter").fill("no such layer")
    assert page.locator(f"{TABLE} tbody tr").count() == 0
    page.get_by_label("Filter").fill("")
    assert page.locator(f"{TABLE} tbody tr").count() == 143


def test_folds_by_module(visit: Visit, resnet50: Path) -> None:
    """Sums of modules are sums of their layers, and opening one shows them."""
    page = every_layer(visit(resnet50))
    total = sum(column(page, "mul"))
    page.get_by_role("combobox", name="Modules").select_option("2")
    assert sum(column(page, "mul")) == total
    stage = page.locator(f"{TABLE} tbody").get_by_role("button", name="stages.3", exact=False)
    assert stage.get_attribute("aria-expanded") == "false"
    rows = page.locator(f"{TABLE} tbody tr").count()
    stage.focus()
    page.keyboard.press("Enter")
    assert stage.get_attribute("aria-expanded") == "true"
    inside = page.locator(f"{TABLE} tr.inside th").all_inner_texts()
    assert inside and all(name.startswith("stages.3.") for name in inside)
    assert page.locator(f"{TABLE} tbody tr").count() == rows + len(inside)
    page.keyboard.press("Enter")
    assert page.locator(f"{TABLE} tbody tr").count() == rows


def test_icicle_zooms(visit: Visit, resnet50: Path) -> None:
    page = visit(resnet50)
    where = page.locator("[data-icicle-where]")
    assert "100.0 % of the model" in where.inner_text()
    box = page.locator(".icicle g[aria-label^='stages.3:']")
    narrow = box.locator("rect").bounding_box()["width"]
    box.click()
    assert where.inner_text().startswith("stages.3:")
    assert box.locator("rect").bounding_box()["width"] > 2 * narrow
    page.get_by_role("button", name="Zoom out").click()
    assert where.inner_text().startswith("stages:")


def test_icicle_by_keyboard(visit: Visit, resnet50: Path) -> None:
    page = visit(resnet50)
    assert page.locator(".icicle g[tabindex='0']").count() == 1
    page.locator(".icicle g[tabindex='0']").focus()
    for key in ("ArrowDown", "ArrowRight", "Enter"):
        page.keyboard.press(key)
    where = page.locator("[data-icicle-where]")
    assert where.inner_text().startswith("stages:")
    page.keyboard.press("Escape")
    assert "100.0 % of the model" in where.inner_text()


def test_icicle_by_another_basis(visit: Visit, resnet50: Path) -> None:
    """All of ResNet-50's 25,557,032 parameters."""
    page = visit(resnet50)
    page.get_by_label("Size by").select_option(label="parameters")
    assert page.locator("[data-icicle-where]").inner_text().startswith("resnet50: 25.6M parameters")


def ground(page: Any) -> str:
    value: str = page.evaluate("getComputedStyle(document.body).backgroundColor")
    return value


def test_theme(visit: Visit, resnet50: Path) -> None:
    """The system's until the button is pressed; figures take the text colour."""
    page = visit(resnet50, color_scheme="light")
    assert ground(page) == "rgb(255, 255, 255)"
    page.get_by_role("button", name="Switch to the dark theme").click()
    assert ground(page) == "rgb(20, 24, 29)"
    ink = "getComputedStyle(document.querySelector('figure svg text')).fill"
    assert page.evaluate(ink) == "rgb(232, 235, 238)"
    page.get_by_role("button", name="Switch to the light theme").click()
    assert ground(page) == "rgb(255, 255, 255)"
    assert ground(visit(resnet50, color_scheme="dark")) == "rgb(20, 24, 29)"


CONTRAST = """() => {
    const parse = (text) => text.match(/[\\d.]+/g).map(Number);
    const light = ([r, g, b]) => [r, g, b].map((c) => c / 255)
        .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
        .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
    const below = (element) => {
        for (let e = element; e; e = e.parentElement) {
            const colour = parse(getComputedStyle(e).backgroundColor);
            if (colour.length < 4 || colour[3] > 0) return colour;
        }
        return [255, 255, 255];
    };
    const bad = [];
    for (const element of document.querySelectorAll("body *:not(script):not(svg *)")) {
        const own = [...element.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
        if (!own || !element.checkVisibility() || element.closest("svg")) continue;
        const [a, b] = [light(parse(getComputedStyle(element).color)), light(below(element))];
        const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
        if (ratio < 4.5) bad.push(`${element.tagName} ${element.className} ${ratio.toFixed(2)}`);
    }
    return [...new Set(bad)];
}"""


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_contrast_is_aa(visit: Visit, resnet50: Path, theme: str) -> None:
    assert visit(resnet50, color_scheme=theme).evaluate(CONTRAST) == []


def test_every_control_has_a_name_and_is_reached_by_tab(visit: Visit, resnet50: Path) -> None:
    page = visit(resnet50)
    unnamed = page.evaluate(
        """() => ["button, select, input, [role=button], [role=img], [role=region]"]
            .flatMap((selector) => [...document.querySelectorAll(selector)])
            .filter((e) => !(e.getAttribute("aria-label") || e.textContent.trim() || e.labels?.length))
            .map((e) => e.outerHTML.slice(0, 80))"""
    )
    assert unnamed == []
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the report"
    seen = set()
    for _ in range(60):
        page.keyboard.press("Tab")
        seen.add(page.evaluate("document.activeElement.closest('[id]')?.id + document.activeElement.tagName"))
    assert any("theme" in name for name in seen) and any("INPUT" in name for name in seen)
    assert any("SELECT" in name for name in seen) and any(name.endswith("g") for name in seen)


def test_without_scripts(visit: Visit, resnet50: Path) -> None:
    page = visit(resnet50, java_script_enabled=False)
    assert page.locator(f"{TABLE} tbody tr").count() == 143
    assert page.locator("figure .broad svg").count() >= 5
    assert all(figure.is_visible() for figure in page.locator("figure .broad svg").all())
    assert not page.locator(".tools").first.is_visible()


@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_is_cut(visit: Visit, resnet50: Path, width: int) -> None:
    """The page never scrolls sideways, and nothing but a table, which scrolls, is wider than the window."""
    page = visit(resnet50, viewport={"width": width, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    cut = page.evaluate(
        """(width) => [...document.querySelectorAll("main *")]
            .filter((e) => e.checkVisibility() && !e.closest(".wide, .hidden, svg"))
            .filter((e) => e.getBoundingClientRect().right > width + 1 || e.scrollWidth > e.clientWidth + 1
                && getComputedStyle(e).overflowX !== "visible" && e.tagName !== "SELECT")
            .map((e) => `${e.tagName}.${e.className} ${e.textContent.slice(0, 40)}`)""",
        width,
    )
    assert cut == []


@pytest.mark.parametrize("width", WIDTHS)
def test_name_and_share_stay_in_view(visit: Visit, resnet50: Path, width: int) -> None:
    page = visit(resnet50, viewport={"width": width, "height": 800})
    page.evaluate(f"document.querySelector('{TABLE}').parentElement.scrollTo(10_000, 200)")
    assert page.evaluate(
        """(table) => {
            const frame = document.querySelector(table).parentElement.getBoundingClientRect();
            const row = [...document.querySelectorAll(`${table} tbody tr`)].at(-1).cells;
            const places = [row[0], row[1]].map((cell) => cell.getBoundingClientRect());
            return places.every((p) => p.left >= frame.left && p.right <= frame.right);
        }""",
        TABLE,
    )


def test_layers_begin_as_blocks(visit: Visit, resnet50: Path) -> None:
    """Name, share and cost come first; no column is zero throughout; a click opens a block."""
    page = visit(resnet50)
    heads = page.locator(f"{TABLE} thead th").all_inner_texts()
    assert heads[:2] == ["layer", "share"] and heads[2].startswith("time on")
    assert "xnor" not in heads
    rows = page.locator(f"{TABLE} tbody tr")
    assert rows.count() <= 30
    block = page.locator(f"{TABLE} tbody").get_by_role("button", name="stages.3.0")
    block.click()
    inside = page.locator(f"{TABLE} tr.inside th").all_inner_texts()
    assert len(inside) == 10 and all(f"{name}.".startswith("stages.3.0.") for name in inside)
    # All digits are a hover away.
    assert page.locator(f"{TABLE} tfoot [title='25,557,032']").inner_text() == "25.6M"


def test_the_answer_comes_first(visit: Visit, resnet50: Path) -> None:
    page = visit(resnet50)
    sentence = page.locator("h1 ~ section .answer").first
    assert "resnet50 is estimated to take" in sentence.inner_text()
    above = page.evaluate(
        """() => [".answer", ".cards", "figure", "table[data-sortable]", "#p1-asked"]
            .map((selector) => document.querySelector(selector).getBoundingClientRect().top)"""
    )
    assert above == sorted(above)
    assert page.locator(".cards li").first.locator("tr").count() == 3


def test_layers_of_two_models_are_linked(visit: Visit, two_models: Path) -> None:
    page = visit(two_models)
    table = page.get_by_role("region", name="Side by side: estimated for").first
    assert table.locator("tbody th").first.inner_text() == "the whole model"
    row = table.locator("tbody tr").nth(3)
    assert row.locator("th").inner_text() == "layer2.conv" and row.locator("a").count() == 4
    for link in row.locator("a").all():
        target = page.locator(link.get_attribute("href"))
        link.click()
        assert "layer2.conv" in target.inner_text() and target.is_visible()


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("name", ["resnet50", "two_models", "hostile"])
def test_axe_finds_nothing(visit: Visit, request: pytest.FixtureRequest, name: str, theme: str) -> None:
    """axe-core's rules, those of best practice too."""
    page = visit(request.getfixturevalue(name), color_scheme=theme)
    page.evaluate(AXE.read_text("utf-8"))
    found = page.evaluate("axe.run().then(({violations}) => violations)")
    assert [f"{rule['id']}: {node['html'][:120]}" for rule in found for node in rule["nodes"][:3]] == []


def test_prints_well(visit: Visit, resnet50: Path) -> None:
    """On A4 nothing is cut off; controls stay away, static figures stand in for interactive ones."""
    page = visit(resnet50, viewport={"width": 700, "height": 1000}, color_scheme="dark")
    page.emulate_media(media="print")
    assert ground(page) == "rgb(255, 255, 255)"
    assert page.evaluate("document.documentElement.scrollWidth") <= 700
    assert not page.locator("header").is_visible()
    assert not page.locator(".icicle").first.is_visible()
    assert page.locator("figure.static svg").first.is_visible()
    assert len(page.pdf(format="A4")) > 10_000


def test_hostile_names_stay_text(visit: Visit, hostile: Path) -> None:
    page = every_layer(visit(hostile))
    shown = page.locator(f"{TABLE} tbody th").all_text_contents()
    assert "<script>alert(1)</script>" in shown and "{{ 7 * 7 }}" in shown and "__proto__" in shown
    assert page.locator("img, body script:not([type]) ~ script").count() == 0
    page.get_by_label("Filter").fill("<script>")
    assert page.locator(f"{TABLE} tbody tr").count() == 1
    page.get_by_label("Filter").fill("")
    page.get_by_role("combobox", name="Modules").select_option("1")
    for name in ("<script>alert(1)</script>", "модуль"):
        assert page.locator(".icicle title", has_text=name).count() >= 1
    page.locator(".icicle g[aria-label*='alert(1)']").first.click()
    assert "alert(1)" in page.locator("[data-icicle-where]").inner_text()
    assert page.evaluate("document.documentElement.scrollWidth") <= 1280
    assert len(made_models.HOSTILE) < page.locator(".icicle g").count() + 20


def test_measurements(visit: Visit, measured: Path) -> None:
    page = visit(measured)
    assert page.get_by_role("heading", name="Predicted against measured").is_visible()
    assert page.locator("figure .broad svg").count() == 2


def test_ten_thousand_layers(visit: Visit, large: Path) -> None:
    page = every_layer(visit(large))
    assert page.locator(f"{TABLE} tbody tr").count() == 2001
    page.locator(f"{TABLE} thead").get_by_role("button", name="mul", exact=True).click()
    page.get_by_label("Filter").fill("stages.99")
    assert page.locator(f"{TABLE} tbody tr").count() > 0
    page.locator(".icicle g[aria-label^='stages.50:']").click()
    assert page.locator("[data-icicle-where]").inner_text().startswith("stages.50:")
