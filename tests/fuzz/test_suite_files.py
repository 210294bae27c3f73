"""Whatever a suite file holds, it becomes a suite and its cells, or a refusal with file and line."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import numpy as np
import pytest
from hostile import fuzzed, mutated
from hypothesis import given
from hypothesis import strategies as st

from skipbench.cells import MOST_CELLS, expand
from skipbench.checks import SkipbenchError
from skipbench.datasets.dataset import Dataset, Split
from skipbench.suite import SuiteFile, load_suite
from skipbench.suite.reading import MOST_DATA_ENTRIES

VALID = b"""description: does it help?
data:
  - {name: iris, n: [60, 90], draws: 2, preprocess: [standardise], splits: [0, 1]}
  - digits-images
methods:
  - ridge: {kernel: [nngp, ntk], architecture: {ResMLP: {depth: [1, 2], alpha: "L^-0.5"}}}
  - ridge: {kernel: ntk, ridges: [0.001, 0.1], choose: [architecture], architecture: {CNN: {depth: [1, 2], readout: tr}}}
  - network: {architecture: {ResCNN: {depth: 1, readout: tr}}, width: 16, seeds: 2}
  - practical-network: {residual: [false, true]}
  - random-forest
budget: {seconds_per_cell: 5, gigabytes_per_worker: 2.5}
"""
OF_PARTS = b"""description: a slice of two?
parts:
  - {suite: quick, datasets: [iris], splits: [0, 2], methods: [ridge, network], seeds: 1}
  - {suite: learning-curve, n: [10, 20], draws: 2}
budget: {seconds_per_cell: 5}
"""
MOST_CELLS_HERE = 2_000

ODD = [
    "~", ".nan", ".inf", "-.inf", "-1", "0", "1e400", "9" * 18, "9" * 19, "9" * 5000, "0x" + "f" * 5000, "0b11", "0o17", "1_000", "1:30",
    "2001-01-01", "2001-99-99", "2001-01-01 10:00:00 +99:99", "!!binary aGk=", "!!binary ===", "!!int ''", "!!int '-'", "!!float ''",
    "!!bool maybe", "!!timestamp then", "!!null x", "!!set {a, b}", "!!omap [a: 1]", "!!pairs [a: 1]", "!!str {a: b}", "!!map [a]",
    "!!python/object/apply:os.system ['true']", "!!python/name:os.system", "!!python/tuple [1, 2]", "!foo bar", "!<" + "t" * 400 + "> x",
    "&anchor [a]", "*anchor", "&a {b: *a}", "<<", "{<<: {a: 1}}", "{a: 1, a: 2}", "{? [a] : 1}", "{1: 2}", "{true: 1}", "{'': 1}", "=",
    '"\\u202e\\u2028\\x1b[2J"', '"\\ud800"', "'\u05d0\u05d1'", '"' + "n" * 10_000 + '"', "\u00e9", "'a\n  b'", "[" * 19 + "]" * 19,
    "[" * 30 + "]" * 30, "{a: " * 19 + "1" + "}" * 19, "'</script>'", "'=1+1'", "[]", "{}", '"' + "1" * 3000 + '*L^-1"', '"L^-9e999"',
]  # fmt: skip
DATA = {
    "n": ["5", "12", "[6, 9]"], "n_test": ["3"], "seed": ["0", "7"], "protocol": ["stratified", "[nested, collection]"], "nmae": ["iris"],
    "splits": ["[0]", "[0, 1]", "[1]", "[9]"], "preprocess": ["[standardise]", "[]", "[zca, per-channel]"], "draws": ["1", "2"],
    "parameters": ["{frequency: 2}", "{}"],
}  # fmt: skip
ARCHITECTURE = {
    "alpha": ["0.5", '"L^-0.5"', "[1.0, 0.3]"], "bias": ["0.1", "[0, 0.1]"], "readout": ["tr", "[eq, gap]"], "filter_size": ["3", "5"],
    "branch_depth": ["1", "2"], "padding": ["circular"], "train_ends": ["false"],
}  # fmt: skip
METHOD = {
    "seeds": ["2", "[3, 4]"], "choose": ["[architecture]", "[width]", "[]"], "width": ["16", "[8, 16]"], "epochs": ["3"],
    "kernel": ["ntk"], "momentum": ["0.9"], "learning_rate": ["0.1"], "residual": ["[false, true]"], "device": ["cpu"],
    "dtype": ["float64"], "trees": ["10"], "ridges": ["[0.001, 0.1]", "[]"], "Cs": ["[1.0, 10.0]"], "bandwidth": ["1.0"], "seed": ["1"],
    "engine": ["reference"], "members": ["2"], "tangent_rows": ["8"], "compare_with_kernel": ["true"], "steps": ["20"],
    "precision": ["bf16-mixed", "[32-true, bf16-mixed]"], "augment": ["false"], "weight_decay": ["[0.0, 0.1]"], "compile": ["false"],
    "relative_rate": ["0.5", "3"], "wdith": ["3"],
}  # fmt: skip
FAMILIES = {"MLP": ["bias"], "ResMLP": list(ARCHITECTURE), "DenseMLP": ["alpha"], "CNN": list(ARCHITECTURE), "ResCNN": list(ARCHITECTURE)}
METHODS = {
    "ridge": ["kernel", "ridges", "engine", "choose"],
    "svm": ["Cs", "kernel", "choose"],
    "kernel-descent": ["kernel", "momentum", "steps", "engine", "relative_rate"],
    "network": ["seeds", "width", "epochs", "momentum", "learning_rate", "choose", "device", "tangent_rows", "compare_with_kernel"],
    "linearised-network": ["seeds", "width", "epochs", "compare_with_kernel"],
    "network-ensemble": ["seeds", "width", "epochs", "members", "compare_with_kernel"],
    "practical-network": ["residual", "seeds", "width", "epochs", "precision", "augment", "weight_decay", "compile"],
    "logistic-regression": ["Cs"],
    "random-forest": ["trees", "seeds", "seed"],
}


def odd() -> st.SearchStrategy[str]:
    """Odd YAML, also deep in lists and mappings."""
    inner = st.sampled_from(ODD)
    mapped = st.tuples(st.sampled_from([*DATA, *METHOD, *ARCHITECTURE]), inner).map("{{{0[0]}: {0[1]}}}".format)
    return inner | inner.map("[{}]".format) | mapped | mapped.map("[1, {}]".format)


def sometimes(strange: st.SearchStrategy[str], usual: st.SearchStrategy[str], one_in: int) -> st.SearchStrategy[str]:
    return st.integers(1, one_in).flatmap(lambda number: strange if number == one_in else usual)


@st.composite
def mappings(draw: st.DrawFn, allowed: dict[str, list[str]], usual: list[str], first: str = "", most: int = 3) -> str:
    """Keys with what may stand there; now and then a key that belongs elsewhere, or an odd value."""
    keys = draw(st.lists(sometimes(st.sampled_from(sorted(allowed)), st.sampled_from(usual), 12), max_size=most, unique=True))
    values = [draw(sometimes(odd(), st.sampled_from(allowed[key]), 8)) for key in keys]
    return "{" + ", ".join([*([first] if first else []), *(f"{key}: {value}" for key, value in zip(keys, values, strict=True))]) + "}"


@st.composite
def data_entries(draw: st.DrawFn) -> str:
    name = draw(sometimes(st.sampled_from(ODD), st.sampled_from(["iris", "digits-images", "wine"]), 30))
    return draw(st.just(name) | mappings(DATA, sorted(set(DATA) - {"nmae"}), f"name: {name}"))


@st.composite
def methods(draw: st.DrawFn) -> str:
    name = draw(sometimes(st.sampled_from(["rigde", '"a\\nb"', '"' + "m" * 500 + '"']), st.sampled_from(sorted(METHODS)), 30))
    family = draw(st.sampled_from(sorted(FAMILIES)))
    architecture = f"architecture: {{{family}: {draw(mappings(ARCHITECTURE, FAMILIES[family], 'depth: 1', most=2))}}}"
    first = "" if name in ("practical-network", "logistic-regression", "random-forest") else architecture
    parameters = draw(mappings(METHOD, METHODS.get(name, ["seed"]), first, most=2))
    return f"{name}: {draw(sometimes(odd(), st.just(parameters), 20))}"


@st.composite
def documents(draw: st.DrawFn) -> bytes:
    """Almost a suite: its keys, mostly with what may stand there."""
    entries = ", ".join(draw(st.lists(data_entries(), min_size=1, max_size=2)))
    lines = [f"description: {draw(sometimes(odd(), st.just('why?'), 20))}", f"data: {draw(sometimes(odd(), st.just(f'[{entries}]'), 30))}"]
    lines += ["methods:", *(f"  - {method}" for method in draw(st.lists(methods(), min_size=1, max_size=2)))]
    if draw(st.integers(0, 9)) == 0:
        lines.append(f"{draw(st.sampled_from(['budget', 'parts', 'name', 'bugdet', '<<', 'data']))}: {draw(odd())}")
    return "\n".join(lines).encode()


def tiny(name: str, shape: tuple[int, ...]) -> Dataset:
    """Twelve rows of three classes in two splits."""
    rows, labels = np.arange(12), np.arange(12) % 3
    splits = tuple(Split(f"split {k}", np.roll(rows, k)[:6], np.roll(rows, k)[6:9], np.roll(rows, k)[9:]) for k in (0, 3))
    inputs = np.random.default_rng(0).normal(size=(12, *shape)).astype(np.float32)
    return Dataset(name, inputs, labels, ("a", "b", "c"), splits)


VECTORS, IMAGES = tiny("iris", (4,)), tiny("digits-images", (1, 4, 4))


def cells_of(file: SuiteFile) -> list[str]:
    """The identities of the cells on tiny data, as many as a test can afford."""
    datasets = {entry: IMAGES if "images" in entry.name else VECTORS for entry in file.suite.data[:2]}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r".*branch_depth=1 leaves no ReLU")  # said to whoever asks for it
        cells = expand(file, datasets)[:MOST_CELLS_HERE]
    assert all(json.loads(cell.sharing) and cell.label for cell in cells)
    return [cell.identity for cell in cells]


def hostile_suites() -> st.SearchStrategy[tuple[str, bytes]]:
    soup = st.text(alphabet="abc:-[]{}&*!'\"\n #|>?,0%@`~.\t", max_size=80).map(str.encode)
    return st.one_of(
        st.tuples(st.just("changed"), mutated(VALID, text=True, most=2) | mutated(OF_PARTS, text=True, most=2)),
        st.tuples(st.just("built"), documents()),
        st.tuples(st.just("built"), documents()),
        st.tuples(st.just("random"), st.binary(max_size=200) | soup),
    )


def test_a_suite_file_is_read_and_expanded_or_refused_with_its_line(inbox, judge):
    path = inbox / "fuzz.yaml"
    path.write_bytes(VALID)
    assert len(cells_of(load_suite(str(path)))) > 20  # and what has to be imported is

    @fuzzed
    @given(case=hostile_suites())
    def run(case):
        kind, content = case
        path.write_bytes(content)
        file = judge(kind, lambda: load_suite(str(path)), names="fuzz.yaml", line=True)
        if file is not None:
            assert (file.suite.name, bool(file.suite.data or file.suite.parts)) == ("fuzz", True)
            identities = judge(f"{kind}, expanded", lambda: cells_of(file), names="fuzz.yaml", line=True)
            assert len(set(identities or ())) == len(identities or ())
            json.dumps(file.suite.model_dump(mode="json"))

    run()
    assert sorted(entry.name for entry in inbox.iterdir()) == ["fuzz.yaml"]
    judge.check_spread(
        {"changed": 0.03, "built": 0.1, "changed, expanded": 0.2, "built, expanded": 0.3},
        {"changed": 0.3, "built": 0.2, "random": 0.9, "changed, expanded": 0.05, "built, expanded": 0.05},
        n_reasons=60,
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("data: [" + ",".join(f"a{number}" for number in range(8_000)) + "]", f"line 2: more than {MOST_DATA_ENTRIES} data entries"),
        ("data: [{name: iris, n: [" + ",".join(map(str, range(1, 8_000))) + "], draws: 1000}]", "line 2: this expands to more than"),
        ("data: [iris, {name: " + "[" * 100_000, "line 2: nested more than 20 levels deep"),
        ("data: [iris]\nx: 1" + ":1" * 20_000, r"line 3: '1:1.*is beyond the largest whole number"),
        ("data: [iris]\nx: 0x" + "f" * 200_000, r"line 3: '0xfff.*is beyond the largest whole number"),
    ],
)
def test_a_small_file_cannot_ask_for_hours_or_gigabytes(inbox, judge, text, message):
    path = inbox / "fuzz.yaml"
    path.write_text(f"description: why?\n{text}\nmethods: [ridge]\n")
    assert judge("bomb", lambda: load_suite(str(path)), names="fuzz.yaml", line=True) is None
    with pytest.raises(SkipbenchError, match=message):
        load_suite(str(path))


def lists(names: str, size: int) -> str:
    return ", ".join(f"{name}: [{', '.join(str(number) for number in range(1, size + 1))}]" for name in names.split())


@pytest.mark.parametrize(
    ("methods", "message"),
    [
        (
            f"ridge: {{kernel: ntk, architecture: {{MLP: {{{lists('depth bias', 2000)}}}}}}}",
            "line 4: this expands to more than 100000 arch",
        ),
        (f"random-forest: {{{lists('seed trees', 2000)}}}", "line 4: this expands to more than 100000 cells"),
        ('ridge: {kernel: ntk, architecture: {ResMLP: {depth: 1, alpha: "' + "1" * 200_000 + '"}}}', "line 4: .*this is no depth rule"),
    ],
)
def test_a_few_lists_cannot_ask_for_millions_of_cells(inbox, judge, methods, message):
    assert MOST_CELLS == 100_000
    path: Path = inbox / "fuzz.yaml"
    path.write_text(f"description: why?\ndata: [iris]\nmethods:\n  - {methods}\n")
    file = load_suite(str(path))
    assert judge("bomb", lambda: cells_of(file), names="fuzz.yaml", line=True) is None
    with pytest.raises(SkipbenchError, match=message):
        cells_of(file)
