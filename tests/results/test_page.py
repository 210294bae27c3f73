"""The page as text: complete, self-contained, harmless whatever the records say."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser

import pytest

from skipbench.architecture import ResCNN
from skipbench.checks import SkipbenchError
from skipbench.results import CellRecord
from skipbench.results.site import write_report
from skipbench.results.site.embedding import inline_svg, json_for_script
from skipbench.results.site.record_table import record_table
from skipbench.results.site.report import render_report

HOSTILE = "</script><img src=x onerror=alert(1)>{{ 7*7 }}\u202e\u2028\u05d0$\\frac$'\""
VOID = {"meta", "link", "input", "br"}


class Outline(HTMLParser):
    """Checks nesting and collects what a test asks about."""

    def __init__(self):
        super().__init__()
        self.open, self.ids, self.targets, self.tags, self.headless = [], [], [], [], 0

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        self.tags.append((tag, values))
        self.ids += [values["id"]] if "id" in values else []
        self.targets += [values["href"]] if tag == "a" else []
        if tag == "th" and "scope" not in values:
            self.headless += 1
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def outline(page):
    parser = Outline()
    parser.feed(page)
    assert parser.open == []
    return parser


def embedded(page):
    return json.loads(re.search(r'<script type="application/json" id="records-data">(.*?)</script>', page, re.DOTALL)[1])


def test_the_page_is_well_formed_labelled_and_every_link_has_a_target(suite_cells, make_frame):
    found = outline(render_report(make_frame(suite_cells)))
    assert len(found.ids) == len(set(found.ids))  # also across the figures
    assert found.headless == 0
    assert {target[1:] for target in found.targets} <= set(found.ids)
    assert len([tag for tag, values in found.tags if tag == "svg" and values.get("role") == "img"]) == 5
    assert len([tag for tag, _ in found.tags if tag == "caption"]) == len([tag for tag, _ in found.tags if tag == "table"])
    assert ("html", {"lang": "en"}) in found.tags


def test_the_page_names_no_other_host_and_forbids_every_request(suite_cells, make_frame):
    page = render_report(make_frame(suite_cells))
    assert re.findall(r"(?:https?:)?//[a-z0-9]", re.sub(r"//.*", "", page.split("<script>")[1])) == []
    before_script = page.split("<script")[0]
    assert "http:" not in before_script
    assert "https:" not in before_script
    assert "content=\"default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:" in page
    assert all(values.get("src") is None for _, values in outline(page).tags)


def test_the_page_shows_the_ranking_the_pairs_and_the_failures(suite_cells, make_cell, make_frame):
    broken = make_cell(label="slow", parameters={"x": 1}, status="timeout", reason="took more than 60 s")
    page = render_report(make_frame([*suite_cells, broken]))
    for text in (
        "49 cells: 48 ok, 1 timeout.",
        "took more than 60 s",
        '<td class="n strong">94.0 ± 0.7</td>',
        "Kernel against network",
        '<bdi>NTK MLP(2)</bdi><br><bdi class="second">NETWORK MLP(2)</bdi>',
        "+2.0 [+2.0, +2.0]",
        "Spearman rank correlation over 24 cells",
        "not ranked: slow: complete on 0 of 4 splits (1 timeout)",
    ):
        assert text in page, text


@pytest.mark.parametrize("case", ["none", "failed", "one", "baseline"])
def test_partial_results_make_a_page_that_says_what_is_missing(case, make_cell, make_frame):
    cells = {
        "none": [],
        "failed": [make_cell(status="failed", reason="x")],
        "one": [make_cell()],
        "baseline": [make_cell(family="baseline", architecture=None, convergence=None, phases={}, split=split) for split in (0, 1)],
    }[case]
    page = render_report(make_frame(cells))
    outline(page)
    assert ("There are no records yet" in page) == (case == "none")
    assert ("No cell finished" in page) == (case in ("none", "failed"))
    assert "No two finished methods differ in skip connections alone" in page
    assert len(embedded(page)["rows"]) == len(cells)


def test_names_from_records_are_text_and_nothing_else(make_cell, make_frame):
    hostile = "</script><script>alert(1)</script><img src=x onerror=alert(2)>{{ 7*7 }}\u202e\u2028'\""
    cells = [
        make_cell(label=hostile + str(number), dataset=hostile, suite=hostile, parameters={"n": number, "x": "y" * 10_000})
        for number in (1, 2)
    ] + [make_cell(status="failed", reason=hostile * 100, split=1, suite=hostile)]
    page = render_report(make_frame(cells))
    found = outline(page)
    assert [values for tag, values in found.tags if tag == "img" or "onerror" in values] == []
    assert len([tag for tag, _ in found.tags if tag == "script"]) == 2
    assert "49" not in re.sub(r"\d{3,}|\.\d+", "", page.split("What was run")[1].split("<figure>")[0])
    label = next(index for index, column in enumerate(embedded(page)["columns"]) if column["name"] == "label")
    assert {row[label] for row in embedded(page)["rows"]} >= {hostile + "1", hostile + "2"}


def hostile_sweep(make_cell, hostile):
    """Kernels of three depths and a data set of three sizes whose every free text is hostile, those inside the architecture too."""
    cells = []
    for depth, size in ((1, 40), (2, 60), (4, 80)):
        look = {"suite": hostile, "architecture": ResCNN(depth, readout="tr"), "input_shape": (1, 8, 8)}
        swept = make_cell(dataset=hostile, **look).model_dump(mode="json")
        swept["method"] |= {"kernel": hostile, "label": hostile}
        swept["method"]["architecture"] |= {"family": hostile, "readout": hostile, "alpha": hostile}
        swept["phases"] = {hostile: 1.0}
        sized = make_cell(dataset=f"{hostile} (n={size})", n=size, label="_" + hostile, **look).model_dump(mode="json")
        cells += [CellRecord.model_validate(swept), CellRecord.model_validate(sized)]
    return cells


@pytest.mark.parametrize(
    "hostile",
    [HOSTILE, HOSTILE + "y" * 10_000, "_" + HOSTILE, "=1+1\u05d0\u05d1", "\ud7ff\ufffe\x00\x1b[2J"],
    ids=["script", "long", "underscore", "right to left", "control"],
)
def test_the_sections_on_depth_and_size_take_names_as_text(make_cell, make_frame, hostile):
    page = render_report(make_frame(hostile_sweep(make_cell, hostile)))
    found = outline(page)
    section = re.search(r'<section aria-labelledby="sweeps">(.*?)</section>', page, re.DOTALL)[1]
    assert section.count("<svg") == 3
    assert [tag for tag, values in found.tags if tag == "img" or "onerror" in values] == []
    assert len([tag for tag, _ in found.tags if tag == "script"]) == 2
    assert len(section) < 150_000
    shown = page.split('<script type="application/json"')[0]
    # nothing turns a line round or steers a terminal, and a figure, whose texts have no <bdi>, holds no letter from right to left
    assert not set("\u202e\u2028\x00\x1b\ufffe") & set(shown)
    assert re.findall("[\u0590-\u08ff]", "".join(re.findall(r"<svg.*?</svg>", shown, re.DOTALL))) == []


def test_equal_tables_make_equal_pages(suite_cells, make_frame):
    frame = make_frame(suite_cells)
    assert render_report(frame) == render_report(frame)


def test_embedded_json_cannot_end_its_script_element():
    text = json_for_script({"a": "</script><!--", "b": "&\u2028"})
    assert not set("<>&\u2028") & set(text)
    assert json.loads(text) == {"a": "</script><!--", "b": "&\u2028"}


def test_figures_take_their_colours_from_the_page(suite_cells, make_frame):
    drawings = re.findall(r"<svg.*?</svg>", render_report(make_frame(suite_cells)), re.DOTALL)
    assert len(drawings) == 5
    fixed = set(re.findall(r"#[0-9a-f]{6}\b", "".join(drawings)))
    assert fixed == set()
    assert {"var(--ink)", "var(--rule)", "var(--series-kernel)"} <= set(re.findall(r"var\(--[\w-]+\)", "".join(drawings)))


def test_no_figure_stays_no_figure():
    assert inline_svg(None, "name", "title") is None


def test_the_table_of_records_has_every_filled_column_and_spells_infinity(make_cell, make_frame):
    table = record_table(make_frame([make_cell(condition_number=None, iterations=(3, None, None))]))
    row = dict(zip([column["name"] for column in table["columns"]], table["rows"][0], strict=True))
    assert (row["condition_number"], row["iterations_90"], row["iterations_99"]) == ("inf", 3.0, "inf")
    assert (row["seed"], row["created"], row["residual"]) == (None, "2026-01-02 03:04:05", False)
    assert {"key", "machine_class", "seconds_kernel", "source_version"} <= set(row)
    assert "gpu" not in row  # nobody has one
    json.dumps(table, allow_nan=False)


def test_write_report_takes_a_folder_or_a_file_and_records_or_a_table(tmp_path, make_cell, make_frame):
    assert write_report([make_cell()], tmp_path / "new" / "site") == tmp_path / "new" / "site" / "index.html"
    path = write_report(make_frame([make_cell()]), tmp_path / "page.html")
    assert path.read_text() == (tmp_path / "new" / "site" / "index.html").read_text()
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["new", "page.html"]  # no temporary file


def test_a_place_where_the_page_cannot_be_written_is_named(tmp_path, make_cell):
    (tmp_path / "file").write_text("")
    with pytest.raises(SkipbenchError, match=r'page ".*index\.html" cannot be written .*use --out DIR'):
        write_report([make_cell()], tmp_path / "file")
