"""Whatever a record file holds, it becomes a record, a row of every table and a file again, or a refusal that names it."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import pytest
from hostile import fuzzed, mutated
from hypothesis import given
from hypothesis import strategies as st

from skipbench.checks import SkipbenchError
from skipbench.results import records_frame, strict_json
from skipbench.results.comparison.stored import read_store
from skipbench.results.record import AnyRecord
from skipbench.results.site.embedding import json_for_script
from skipbench.results.site.record_table import record_table
from skipbench.results.store import ResultStore, StoreWarning, file_name, read_record

FIXTURES = Path(__file__).parent.parent / "results" / "fixtures"
FILES = {path.stem.partition("-")[0]: json.loads(path.read_text()) for path in sorted(FIXTURES.glob("*-schema-1.json"))}
TEXTS = [strict_json.to_text(value).encode() for value in FILES.values()]

ODD: list[Any] = [
    None, True, 0, -1, 2**31, 2**63 - 1, 2**63, 2**64, -(10**30), 10**400, 1.5, -0.0, 1e308, 5e-324, float("nan"), float("inf"),
    -float("inf"), "", "iris", "x" * 10_000, "\u202e\u2028\x1b[2J\x00", "\ud800", "</script><script>alert(1)</script>", "=1+1",
    "@SUM(A1)", "$\\frac$", "-1", "/home/ada/runs/x.json", "C:\\Users\\ada\\x", "nan", "2026-01-02T03:04:05Z", "2026-01-02",
    "9999-12-31T23:59:59-23:59", [], {}, [[]], [None], {"": ""}, {"a": [1, {"b": 2}]}, ["\ud800"], {"\ud800": 1}, "0" * 64, "\u0661" * 64,
    1.0, "1",
]  # fmt: skip
FIELDS = sorted(FILES["cell"]["method"]["architecture"])
ADDED = ["parameters", "architecture", "extra", "phases", "kind", "schema_version"]
_LEVELS = [30, 90, 150, 500, 3000]


def places(value: Any, place: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """The place of every value inside a JSON value."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [place, *(found for name, entry in inner for found in places(entry, (*place, name)))]


PLACES = {kind: places(value)[1:] for kind, value in FILES.items()}


def changed(value: Any, place: tuple[str | int, ...], deed: str, name: str, odd: Any) -> Any:
    """A copy of the value in which the value at the place is set to an odd one, dropped, or given an odd entry of that name."""
    copy = json.loads(json.dumps(value))
    holder = copy
    try:
        for step in place[:-1]:
            holder = holder[step]
        if deed == "set":
            holder[place[-1]] = odd
        elif deed == "drop":
            del holder[place[-1]]
        else:
            holder[place[-1]][name] = odd
    except (KeyError, IndexError, TypeError):
        return value  # an earlier change took the place away, or it takes no entry
    return copy


def nested(levels: int, odd: Any) -> Any:
    for level in range(levels):
        odd = [odd] if level % 2 else {"a": odd}
    return odd


@st.composite
def built(draw: st.DrawFn) -> bytes:
    """A record with one to three odd, missing, further or repeated values, as JSON."""
    kind = draw(st.sampled_from(sorted(FILES)))
    value = FILES[kind]
    for _ in range(draw(st.integers(1, 3))):
        place, odd = draw(st.sampled_from(PLACES[kind])), draw(st.sampled_from(ODD))
        deed = draw(st.sampled_from(["set", "set", "set", "add", "drop"]))
        value = changed(value, place, deed, draw(st.sampled_from(ADDED)), odd)
    return json.dumps(value).encode()


@st.composite
def free_form(draw: st.DrawFn) -> bytes:
    """A record whose free parts (parameters, names, phases) hold anything that JSON can, deeply nested or of odd spelling."""
    value = json.loads(json.dumps(FILES["cell"]))
    finite = st.floats(allow_nan=False, allow_infinity=False)
    part = draw(st.sampled_from(["parameters", "architecture", "label", "phases", "metrics"]))
    if part == "parameters":
        value["method"]["parameters"] = {"odd": draw(st.sampled_from(ODD)), "text": draw(st.text(max_size=8))}
    elif part == "architecture":
        value["method"]["architecture"][draw(st.sampled_from(FIELDS))] = draw(st.sampled_from([*ODD, 2, 0.5, "L^-1", "tr"]))
    elif part == "label":
        value["method"]["label"] = draw(st.sampled_from([odd for odd in ODD if isinstance(odd, str)]) | st.text(max_size=8))
    elif part == "phases":
        value["phases"] = draw(st.dictionaries(st.text(max_size=4), finite | st.sampled_from([1e308]), max_size=3))
    else:
        value["metrics"] = [{"name": draw(st.text(max_size=4)), "value": draw(finite | st.floats()), "direction": "higher"}]
    text = json.dumps(value)
    deed = draw(st.sampled_from(["as it is", "as it is", "nested", "twice", "large"]))
    if deed == "nested":
        levels = draw(st.sampled_from(_LEVELS))
        inner = '[{"a":' * (levels // 2) + "1" + "}]" * (levels // 2)
        text = text.replace('"parameters": {', f'"parameters": {{"deep": {inner}, ', 1)
    elif deed == "twice":
        text = text.replace('"split": ', '"split": 0, "split": ', 1)
    elif deed == "large":
        text = text.replace('"width": ', f'"width": {"9" * draw(st.sampled_from([18, 19, 30, 4000, 5000]))}, "_": ', 1)
    return text.encode()


def hostile_records() -> st.SearchStrategy[tuple[str, bytes]]:
    scraps = st.text(alphabet='{}[]",:0123456789eE+-.truefalsn\\u \n', max_size=80).map(str.encode)
    json_values = st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9), lambda inner: st.lists(inner))
    return st.one_of(
        st.tuples(st.just("changed"), st.sampled_from(TEXTS).flatmap(lambda text: mutated(text, text=True))),
        st.tuples(st.just("built"), built()),
        st.tuples(st.just("free"), free_form()),
        st.tuples(st.just("random"), st.binary(max_size=200) | scraps | json_values.map(lambda value: json.dumps(value).encode())),
    )


def tables(record: AnyRecord) -> int:
    """Everything that the page and the comparison do with a record before they draw; the number of the page's columns."""
    frame = records_frame([record], kind=record.kind)
    table = record_table(frame)
    assert not set("<>&\u2028") & set(json_for_script(table))
    assert len(table["rows"]) == 1
    return len(table["columns"])


def test_a_record_file_is_read_into_every_table_and_written_again_or_refused_by_name(inbox, judge, tmp_path):
    path = inbox / "fuzz.json"
    store = ResultStore(inbox / "store")
    for record in map(read_record, sorted(FIXTURES.glob("*-schema-1.json"))):
        tables(record)  # and what has to be imported is

    @fuzzed
    @given(case=hostile_records())
    def run(case):
        kind, content = case
        path.write_bytes(content)
        record = judge(kind, lambda: read_record(path), names="fuzz.json")
        if record is not None:
            assert judge("tables", lambda: tables(record), names="") > 5
            name = file_name(record)
            assert len(name) <= 120
            assert Path(name).name == name
            assert name.isascii()
            written = store.write(record)
            assert written.parent == inbox / "store"
            assert read_record(written) == record
            written.unlink()

    run()
    assert sorted(entry.name for entry in inbox.iterdir()) == ["fuzz.json", "store"]
    assert list((inbox / "store").iterdir()) == []
    judge.check_spread(
        {"changed": 0.02, "built": 0.08, "free": 0.1, "tables": 1.0},
        {"changed": 0.3, "built": 0.3, "free": 0.1, "random": 0.95},
        n_reasons=60,
    )


def test_a_store_skips_what_is_hostile_names_it_and_keeps_the_rest(inbox):
    good = inbox / "good.json"
    good.write_bytes(TEXTS[0])
    hostile = {
        "deep.json": b'{"schema_version": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        "large.json": TEXTS[0].replace(b'"cores": ', b'"cores": ' + b"9" * 30, 1),
        "twice.json": TEXTS[0].replace(b'"schema_version"', b'"schema_version": 1, "schema_version"', 1),
        "half.json": TEXTS[0].replace(b'"parameters": {', b'"parameters": {"a": "\\ud800"', 1),
        "kind.json": TEXTS[0].replace(b'"kind": "cell"', b'"kind": "' + b"\\u001b[2J\\n" * 3000 + b'"', 1),
    }
    for name, content in hostile.items():
        (inbox / name).write_bytes(content)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert [record.kind for record in ResultStore(inbox).records()] == ["cell"]
    assert {warning.category for warning in caught} == {StoreWarning}
    messages = [str(warning.message) for warning in caught]
    assert sorted(message.split('"')[1] for message in messages) == sorted(hostile)
    assert all(message.isprintable() and len(message) < 1000 for message in messages)
    words = {"deep": "nested too deeply", "large": "a whole number of", "twice": "stands twice", "half": "surrogates not", "kind": "[2J"}
    for name, word in words.items():
        (message,) = (message for message in messages if f"{name}.json" in message)
        assert word in message, message
    assert len(read_store(inbox, name="BASE").unreadable) == len(hostile)
    assert good.read_bytes() == TEXTS[0]


@pytest.mark.parametrize("value", [2**63, -(2**63), [2**200], {"a": "\udfff"}, {"\ud800": 1}, nested(101, 1)])
def test_nothing_is_written_that_could_not_be_read_back(value):
    with pytest.raises(ValueError, match=r"whole number|surrogates|nested"):
        strict_json.to_text(value)


def test_a_record_that_could_not_be_read_back_is_refused_when_it_is_written(inbox):
    record = read_record(FIXTURES / "cell-schema-1.json")
    method = record.method.model_copy(update={"parameters": {"huge": 10**30}})
    with pytest.raises(SkipbenchError, match=r"record [0-9a-f]{16} is not written: a whole number of 100 bits"):
        ResultStore(inbox).write(record.model_copy(update={"method": method}))
    assert list(inbox.iterdir()) == []
