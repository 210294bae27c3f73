"""The page in a real browser: it filters, sorts, downloads, asks nobody for anything and runs nobody else's code."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime
from pathlib import Path

import pytest

from skipbench.architecture import ResCNN
from skipbench.results.performance import PerformanceHistory, PerformanceRun, SeriesKey
from skipbench.results.site import write_report

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
HOSTILE = "=HYPERLINK(\"http://example.invalid\")</script><script>document.title='owned'</script>\u202e"


@pytest.fixture(scope="module")
def browser():
    sync_api = pytest.importorskip("playwright.sync_api", reason="the browser test needs the package playwright")
    if not CHROMIUM.exists():
        pytest.skip(f"the browser test needs {CHROMIUM} (Debian package chromium)")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def opened(browser, tmp_path):
    """Open the page of some cells; at the end no message, error or foreign request may have come."""
    complaints, contexts = [], []

    def open_page(cells, performance=None, **options):
        context = browser.new_context(accept_downloads=True, **options)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", lambda dialog: complaints.append(dialog.message))
        page.on("request", lambda request: None if request.url.startswith(("file:", "data:", "blob:")) else complaints.append(request.url))
        page.goto(write_report(cells, tmp_path, performance=performance).as_uri())
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []


def rows(page):
    return [row.inner_text().split("\t") for row in page.locator("#record-table tbody tr").all()]


def download(page):
    with page.expect_download() as waiting:
        page.get_by_role("button", name="Download CSV").click()
    text = Path(waiting.value.path()).read_bytes().decode()  # line ends as they are
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_the_filter_keeps_the_records_that_hold_every_word(opened, suite_cells):
    page = opened(suite_cells)
    assert page.locator("#shown").inner_text() == "48 of 48 records"
    page.get_by_label("Filter").fill("WINE nngp  split")
    assert page.locator("#shown").inner_text() == "0 of 48 records"
    page.get_by_label("Filter").fill("WINE nngp")
    assert page.locator("#shown").inner_text() == "4 of 48 records"
    assert {row[1] for row in rows(page)} == {"wine"}


def test_headings_sort_numbers_as_numbers_and_put_missing_ones_last(opened, make_cell):
    conditions = [9.0, 100.0, None, 20.0]  # as text, 100 would come before 20 and 9
    cells = [make_cell(split=split, condition_number=value) for split, value in enumerate(conditions)]
    page = opened([*cells, make_cell(family="baseline", architecture=None, convergence=None, split=9)])
    heading = page.get_by_role("columnheader", name="condition number")
    heading.get_by_role("button").click()
    assert [row[2] for row in rows(page)] == ["0", "3", "1", "2", "9"]
    assert heading.get_attribute("aria-sort") == "ascending"
    heading.get_by_role("button").press("Enter")  # by keyboard, too
    assert [row[2] for row in rows(page)] == ["2", "1", "3", "0", "9"]
    assert heading.get_attribute("aria-sort") == "descending"


def test_the_download_has_the_filtered_records_with_all_their_columns(opened, suite_cells):
    page = opened(suite_cells)
    page.get_by_label("Filter").fill("iris network")
    got = download(page)
    expected = [cell for cell in suite_cells if cell.dataset.name == "iris" and cell.method.family == "network"]
    assert {row["key"] for row in got} == {cell.key for cell in expected}
    by_key = {cell.key: cell for cell in expected}
    for row in got:
        cell = by_key[row["key"]]
        assert float(row["accuracy"]) == cell.metrics[0].value
        assert (row["seed"], row["width"], row["iterations_99_9"]) == (str(cell.seeds.init), "64", "inf")


def test_a_hostile_record_is_shown_and_downloaded_as_text(opened, make_cell):
    names = [HOSTILE, "@SUM(A1)", '+1,"2"', "-3\n4"]
    cells = [make_cell(label=name, dataset=name, parameters={"name": name}) for name in names]
    page = opened([*cells, make_cell(label="x" * 10_000, suite="\u05d0\u05d1", split=1)])
    assert page.title().startswith("skipbench report")
    assert page.locator("#record-table").get_by_text("</script><script>").count() >= 1
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    got = {row["label"] for row in download(page)}
    assert got == {"'" + name for name in names} | {"x" * 10_000}


def test_a_text_that_a_spreadsheet_would_run_is_downloaded_as_text_and_a_number_as_a_number(opened, make_cell):
    formulas = [
        "=1+1",
        "+1+1",
        "-1+1",
        "@SUM(A1)",
        "\t=1+1",
        "\r=1+1",
        "\n=1+1",
        "  =1+1",
        "\uff1d1+1",
        "-",
        "-1-1",
        "=-0.5",
        "-1e5x",
        "-\u0661",
    ]
    plain = ["-0.5", "+3", "-1e-05", "-.5", "1=1", "x,=1+1", "'=1+1", '"=1+1']
    cells = [make_cell(label=name, parameters={"name": name}, accuracy=-0.5) for name in (*formulas, *plain)]
    page = opened(cells)
    got = download(page)
    assert sorted(row["label"] for row in got) == sorted([*("'" + name for name in formulas), *plain])
    assert {row["accuracy"] for row in got} == {"-0.5"}


def test_a_hostile_sweep_and_a_hostile_history_are_drawn_as_text(opened, make_cell):
    cells = []
    for number, name in enumerate((HOSTILE, "@SUM(A1)", "\u05d0\u05d1" + "x" * 10_000)):
        for depth, size in ((1, 40), (2, 60), (4, 80)):
            look = {"suite": name, "architecture": ResCNN(depth, readout="tr"), "input_shape": (1, 8, 8)}
            cells.append(make_cell(dataset=name, label=name, parameters={"n": number}, **look))
            cells.append(make_cell(dataset=f"{name} (n={size})", n=size, label=name, parameters={"n": number}, **look))
    page = opened(cells, performance=hostile_history(HOSTILE + "y" * 10_000), viewport={"width": 800, "height": 800})
    assert page.title().startswith("skipbench report")
    assert page.locator("section[aria-labelledby=sweeps] svg").count() == 3
    assert page.locator("section[aria-labelledby=performance] svg").count() == 1
    assert page.locator("section[aria-labelledby=performance]").get_by_text("</script><script>").count() >= 1
    assert page.evaluate("document.querySelectorAll('script').length") == 2
    assert page.evaluate("document.querySelectorAll('svg script, svg a, svg image, svg foreignObject, img, iframe, object').length") == 0
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    for summary in page.locator("summary").all():
        summary.click()  # what was folded is no wider
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def hostile_history(name):
    """A history of two commits whose every text is hostile, with a regression in it."""
    key = SeriesKey(f"{name}.track_{name}", name, (name, "'<b>'"))
    runs = [
        PerformanceRun(
            f"{name}{day}", datetime(2026, 1, day, tzinfo=UTC), name, name, {key: float(day), SeriesKey("=1+1.time_x", "1"): 0.1}
        )
        for day in (1, 2)
    ]
    return PerformanceHistory(tuple(runs), {key.benchmark: name})


def test_long_tables_come_in_pages(opened, make_cell):
    page = opened([make_cell(split=split) for split in range(230)])
    assert len(rows(page)) == 100
    page.get_by_role("button", name="Next").click()
    page.get_by_role("button", name="Next").click()
    assert len(rows(page)) == 30
    assert page.get_by_role("button", name="Next").is_disabled()
    assert page.locator("#page").inner_text() == "page 3 of 3"
    assert len(download(page)) == 230


def test_an_empty_page_has_no_errors(opened):
    page = opened([])
    assert page.get_by_text("There are no records yet").is_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_no_width_makes_the_page_scroll_sideways_and_text_keeps_its_contrast(opened, suite_cells, width, scheme):
    page = opened(suite_cells, viewport={"width": width, "height": 800}, color_scheme=scheme)
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert page.evaluate(CONTRAST) >= 4.5  # WCAG 2 AA, for text of normal size


CONTRAST = """() => {
  const luminance = (color) => {
    const linear = (share) => share <= 0.03928 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    const parts = color.match(/[\\d.]+/g).slice(0, 3).map((part) => linear(part / 255));
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2];
  };
  const behind = (node) => {
    for (; node; node = node.parentElement) {
      const color = getComputedStyle(node).backgroundColor;
      if (!color.endsWith(", 0)")) return color;
    }
    return getComputedStyle(document.documentElement).backgroundColor;
  };
  let worst = 21;
  const texts = "p, td, th, a, dt, dd, caption, summary, button, figcaption, .family, h1, h2, h3, svg text";
  for (const node of document.querySelectorAll(texts)) {
    const style = getComputedStyle(node);
    const color = node.namespaceURI.endsWith("svg") ? style.fill : style.color;
    if (node.disabled || !color.startsWith("rgb")) continue;
    const [one, two] = [luminance(color), luminance(behind(node))];
    worst = Math.min(worst, (Math.max(one, two) + 0.05) / (Math.min(one, two) + 0.05));
  }
  return worst;
}"""
