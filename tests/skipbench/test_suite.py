"""Suite files: what they mean, and where an error in them is found."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skipbench.checks import SkipbenchError
from skipbench.suite import load_suite, suite_names

GOOD = """description: does it help?
data: [iris, {name: digits-images, n: 100, splits: [0]}]
methods:
  - ridge: {kernel: [nngp, ntk], architecture: {ResMLP: {depth: [1, 2], alpha: "L^-0.5"}}}
  - network:
      architecture: {ResCNN: {depth: 1, readout: tr}}
      seeds: 2
budget: {seconds_per_cell: 5}
"""


@pytest.fixture
def suite_of(tmp_path):
    """Write a suite file and load it."""

    def load(text):
        path = tmp_path / "mine.yaml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return load_suite(str(path))

    return load


def test_a_suite_is_named_by_its_file_and_keeps_its_lines(suite_of):
    file = suite_of(GOOD)
    assert file.suite.name == "mine"
    assert file.suite.data[0].name == "iris"
    assert file.suite.data[1].n == 100
    assert file.suite.methods[1].seeds == (0, 1)
    assert str(file.error(("methods", 1, "network", "seeds"), "here")) == "mine.yaml, line 7: here"


@pytest.mark.parametrize("name", suite_names())
def test_every_suite_that_comes_with_us_is_valid(name):
    assert load_suite(name).suite.description.endswith("?")


def test_an_unknown_suite_is_refused_with_the_nearest():
    with pytest.raises(SkipbenchError, match=r'no suite "quik"\. Nearest: quick'):
        load_suite("quik")


def test_a_missing_suite_file_is_refused():
    with pytest.raises(SkipbenchError, match=r"no suite file 'nowhere\.yaml' here"):
        load_suite("nowhere.yaml")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (GOOD.replace("budget", "bugdet"), r'mine.yaml, line 8: no key "bugdet". Nearest: budget'),
        (GOOD.replace("splits", "split"), r'line 2: no key "split". Nearest: splits'),
        (GOOD.replace("seconds_per_cell: 5", "seconds_per_cell: -1"), r"line 8: budget.seconds_per_cell: .*greater than 0, found -1"),
        (GOOD.replace("n: 100", "n: 0"), "line 2: data.1.n: "),
        (GOOD.replace("n: 100", "n: 1.5"), "line 2: data.1.n: "),
        (GOOD.replace("description: does it help?\n", ""), "line 1: the key description is missing"),
        (GOOD.replace("seeds: 2", "seeds: 0"), "line 5: .*seeds=0"),
        (GOOD.replace("seeds: 2", "seeds: true"), "seeds is a number of seeds"),
        ("just words", "line 1: a suite has the keys"),
        ("", "line 1: a suite has the keys"),
        ("a: [1, 2\nb: 3", "line 2: this is no YAML"),
        ("a: 1\na: 2", "line 2: the key 'a' stands here twice"),
        ("name: other\n" + GOOD, "a suite is named by its file"),
        (b"description: \xff\xfe", "line 1: byte 13 is not UTF-8 text"),
        (b"description: \x00", "this is no YAML text"),
        ("a: &a [1]\nb: *a", r"line 2: aliases \(\*a\) are not allowed"),
        ("x: " + "[" * 40 + "]" * 40, "nested more than 20 levels"),
        ("x: " + "y" * 300_000, "larger than 256 KiB"),
        ("x: !!python/object/apply:os.system ['true']", "line 1: this is no YAML"),
        ("x: !!int zwei", "line 1: 'zwei' is no int"),
        ("? [a, b]\n: 1", "line 1: a key must be a word"),
        (GOOD.replace("- ridge:", "- {ridge: {}, network: {}} #"), "line 4: .*one name with its parameters"),
    ],
)
def test_a_bad_file_is_refused_with_file_and_line(suite_of, text, message):
    with pytest.raises(SkipbenchError, match=message):
        suite_of(text)


@settings(max_examples=200, deadline=None)
@given(content=st.one_of(st.binary(max_size=200), st.text(alphabet="abc:-[]{}&*!'\"\n #|>?,0", max_size=80).map(str.encode)))
def test_no_content_whatever_raises_anything_else(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("suites") / "fuzz.yaml"
    path.write_bytes(content)
    with contextlib.suppress(SkipbenchError):
        assert load_suite(str(path)).suite.name == "fuzz"
