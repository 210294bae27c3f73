"""The record: strict JSON, a schema that is published, old files that still load, no trace of who ran it where."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import ValidationError

from skipbench.results import CellRecord, record_json_schema, strict_json
from skipbench.results.privacy import without_folders
from skipbench.results.record import RECORD_ADAPTER
from skipbench.results.store import read_record

FIXTURES = Path(__file__).parent / "fixtures"
ROOT = Path(__file__).parents[2]

finite = st.floats(allow_nan=False, allow_infinity=False)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | finite | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize("path", sorted(FIXTURES.glob("*-schema-1.json")), ids=lambda path: path.stem)
def test_a_record_of_schema_1_still_loads_and_is_written_back_unchanged(path):
    record = read_record(path)
    assert record.kind == path.name.split("-")[0]
    assert json.loads(strict_json.to_text(record.model_dump(mode="json"))) == json.loads(path.read_text())


def test_timings_are_written_where_there_are_some_and_left_out_where_there_are_none():
    document = json.loads((FIXTURES / "performance-schema-1.json").read_text())
    assert "timings" not in RECORD_ADAPTER.validate_python(document).model_dump(mode="json")
    timing = {"label": "ours", "threads": 2, "pairs": 12, "first_call_seconds": 3.0, "seconds": [0.5, 4.0, 1.0]}
    record = RECORD_ADAPTER.validate_python({**document, "timings": [timing]})
    written = strict_json.from_text(strict_json.to_text(record.model_dump(mode="json")))
    assert written["timings"] == [{**timing, "settings": {}, "packages": {}}]
    assert RECORD_ADAPTER.validate_python(written) == record
    assert record.timings[0].pairs_per_second == 12.0  # by the median, not by the mean


@pytest.mark.parametrize("wrong", [{"seconds": []}, {"seconds": [0.0]}, {"pairs": 0}, {"threads": 0}, {"first_call_seconds": -1.0}])
def test_a_timing_without_time_or_work_is_refused(wrong):
    document = json.loads((FIXTURES / "performance-schema-1.json").read_text())
    timing = {"label": "ours", "threads": 2, "pairs": 12, "first_call_seconds": 3.0, "seconds": [0.5]}
    with pytest.raises(ValidationError, match=r"greater than|at least 1 item"):
        RECORD_ADAPTER.validate_python({**document, "timings": [{**timing, **wrong}]})


def test_the_published_json_schema_is_the_one_of_the_models():
    published = json.loads((ROOT / "results" / "record.schema.json").read_text())
    assert published == record_json_schema()


def test_the_json_schema_describes_each_kind_and_says_what_fields_mean():
    schema = record_json_schema()
    assert schema["discriminator"]["propertyName"] == "kind"
    assert set(schema["discriminator"]["mapping"]) == {"cell", "claim", "performance"}
    described = [model for model in schema["$defs"].values() if model.get("type") == "object" and not model.get("description")]
    assert described == []
    assert schema["$defs"]["Spectrum"]["properties"]["double_constant_bound"]["description"].startswith("1 + n b/(1 - b)")


def test_the_schema_accepts_what_the_models_write(make_cell):
    jsonschema = pytest.importorskip("jsonschema", reason="the JSON Schema is tried with the package jsonschema")
    document = make_cell(condition_number=None, iterations=(1, None, None)).model_dump(mode="json")
    validator = jsonschema.Draft202012Validator(record_json_schema())
    assert list(validator.iter_errors(document)) == []
    assert list(validator.iter_errors({**document, "key": "short"})) != []


@given(parameters=st.dictionaries(texts, plain, max_size=4), accuracy=finite, status=st.sampled_from(["ok", "failed", "oom", "diverged"]))
def test_a_record_survives_its_file(parameters, accuracy, status):
    document = json.loads((FIXTURES / "cell-schema-1.json").read_text())
    document["method"]["parameters"] = parameters
    document["metrics"] = [{"name": "accuracy", "value": accuracy, "direction": "higher"}]
    record = CellRecord.model_validate({**document, "status": status})
    text = strict_json.to_text(record.model_dump(mode="json"))
    assert RECORD_ADAPTER.validate_python(strict_json.from_text(text)) == record


@given(value=plain)
def test_laid_out_json_reads_back_as_the_same_value(value):
    text = strict_json.to_text(value)
    assert text.endswith("\n")
    assert json.loads(text) == value


def test_a_curve_takes_one_line_a_point():
    points = [{"step": step, "loss": 1.0 / (step + 1), "validation_loss": None, "accuracy": 0.123456789} for step in range(30)]
    assert len(strict_json.to_text({"curve": points}).splitlines()) == 30 + 4


@pytest.mark.parametrize("text", ["NaN", '{"a": Infinity}', "[-Infinity]", "1e999", "[" * 100_000, "{'a': 1}", ""])
def test_what_is_no_strict_json_is_refused(text):
    with pytest.raises(ValueError, match=r"strict JSON|beyond the largest|too deeply|Expecting"):
        strict_json.from_text(text)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_an_infinite_or_missing_number_cannot_enter_a_record(make_cell, value):
    with pytest.raises(ValidationError, match="finite"):
        make_cell(accuracy=value)
    with pytest.raises(ValidationError, match="finite numbers"):
        make_cell(parameters={"alpha": [1.0, value]})
    with pytest.raises(ValueError, match="JSON compliant"):
        strict_json.to_text({"a": value})


def test_an_unknown_field_or_a_key_that_is_no_hash_is_refused(make_cell):
    with pytest.raises(ValidationError, match="Extra inputs"):
        make_cell(hostname="ada")
    with pytest.raises(ValidationError, match="64 lower-case hexadecimal"):
        make_cell(key="A" * 64)


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("FileNotFoundError: '/home/ada l/x/y.json' is gone", "FileNotFoundError: 'y.json' is gone"),
        ('File "/usr/lib/python3/a.py", line 3', 'File "a.py", line 3'),
        ("skipbench run quick --results=/home/ada/runs", "skipbench run quick --results=runs"),
        (r"C:\Users\ada\x.py:3 failed", "x.py:3 failed"),
        ("file:///home/ada/x", "x"),
        ("(/home/ada/)", "(ada)"),
        ("trace/n, 1/2, and/or, n / 2", "trace/n, 1/2, and/or, n / 2"),
        ("see https://arxiv.org/abs/2211.14810", "see https://arxiv.org/abs/2211.14810"),
    ],
)
def test_folders_leave_the_free_text_and_nothing_else_does(make_cell, text, cleaned):
    record = make_cell(status="failed", reason=text, command=text)
    assert (record.reason, record.command) == (cleaned, cleaned)


@given(text=st.text("/\\ab:'\" C.", max_size=40))
@example(text="/C/:\\")
def test_taking_folders_out_twice_changes_nothing_more(text):
    once = without_folders(text)
    assert len(once) <= len(text)
    assert without_folders(once) == once
