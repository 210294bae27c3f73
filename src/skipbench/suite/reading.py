"""Reading suite files: lists among the data entries expand, and every error names its line."""

from __future__ import annotations

import itertools
import math
from importlib import resources
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from skipbench.checks import SkipbenchError, shown, unknown_name
from skipbench.suite.models import Budget, DataEntry, PartEntry, Suite, SuiteModel
from skipbench.yaml_lines import Location, YamlDocument, read_yaml

LISTED_DATA_KEYS = ("n", "protocol")
MOST_DRAWS = 1000
MOST_DATA_ENTRIES = 2000


class SuiteFile:
    """A suite together with the lines of its file, so that later errors can still name the place.

    origins: for each of the suite's data entries, the number of the entry in the file that it was expanded from.
    """

    def __init__(self, suite: Suite, document: YamlDocument, origins: tuple[int, ...]) -> None:
        self.suite = suite
        self.document = document
        self.origins = origins

    def data_error(self, entry: DataEntry, key: str | None, message: str) -> SkipbenchError:
        """The error of a data entry, at its line or at that of one of its keys."""
        place: Location = ("data", self.origins[self.suite.data.index(entry)])
        return self.error(place if key is None else (*place, key), message)

    def error(self, location: Location, message: str) -> SkipbenchError:
        """`FILE, line N: message`."""
        return self.document.error(location, message)


def suite_names() -> list[str]:
    """The suites that come with skipbench."""
    return sorted(path.stem for path in _suites_folder().glob("*.yaml"))


def load_suite(name: str) -> SuiteFile:
    """Read a suite by its name, or from a file whose path ends in .yaml or .yml.

    Raises SkipbenchError for an unknown name (with the nearest ones), and with file and line for whatever the file has wrong.
    """
    path = Path(name)
    if path.suffix in (".yaml", ".yml"):
        if not path.is_file():
            raise SkipbenchError(f"no suite file {shown(name)} here; the suites that come with skipbench: {', '.join(suite_names())}")
    elif name in suite_names():
        path = _suites_folder() / f"{name}.yaml"
    else:
        raise SkipbenchError(unknown_name("suite", name, suite_names(), hint="skipbench list (or give the path of a .yaml file)"))
    return _validated(read_yaml(path))


def _suites_folder() -> Path:
    return Path(str(resources.files("skipbench.benchmarks"))) / "suites"


def _validated(document: YamlDocument) -> SuiteFile:
    if not isinstance(document.value, dict):
        raise document.error((), "a suite has the keys description, data, methods and budget")
    if "name" in document.value:
        raise document.error(("name",), "a suite is named by its file: remove the key name")
    entries, origins = _expanded(document)
    data = {"data": entries} if "data" in document.value else {}
    _check_is_whole(document)
    try:
        suite = Suite.model_validate({**document.value, **data, "name": document.path.stem})
    except ValidationError as error:
        raise _first_error(document, error, origins) from error
    seen: set[DataEntry] = set()
    for place, entry in enumerate(suite.data):
        if entry in seen:
            message = f"{shown(entry.label)[1:-1]} stands here twice with the same settings: remove one"
            raise document.error(("data", origins[place]), message)
        seen.add(entry)
    return SuiteFile(suite, document, origins)


def _check_is_whole(document: YamlDocument) -> None:
    """A suite has data and methods, or it has parts."""
    keys = document.value.keys()
    if "parts" in keys:
        for key in ("data", "methods"):
            if key in keys:
                raise document.error((key,), f"a suite has either parts, or data and methods: remove {key}, or parts")
        needed = ["parts"]
    else:
        needed = ["data", "methods"]
    for key in needed:
        if key not in keys:
            raise document.error((), f"the key {key} is missing")
        if document.value[key] in ([], None):
            raise document.error((key,), f"{key} is empty: a suite needs at least one entry")


def _expanded(document: YamlDocument) -> tuple[Any, tuple[int, ...]]:
    """The data entries with one value each, and the number of the entry in the file from which each came."""
    listed = document.value.get("data")
    if not isinstance(listed, list):
        return listed, ()
    entries: list[Any] = []
    origins: list[int] = []
    for number, entry in enumerate(listed):
        expanded = _one_value_each(document, number, entry) if isinstance(entry, dict) else [entry]
        if len(entries) + len(expanded) > MOST_DATA_ENTRIES:
            raise document.error(("data", number), f"more than {MOST_DATA_ENTRIES} data entries, with the lists in them: shorten them")
        entries += expanded
        origins += [number] * len(expanded)
    return entries, tuple(origins)


def _one_value_each(document: YamlDocument, number: int, entry: dict[str, Any]) -> list[dict[str, Any]]:
    """The entry for each value of `n` and `protocol` where these are lists, and for each of its draws (data seeds)."""
    rest = {key: value for key, value in entry.items() if key != "draws"}
    choices: dict[str, list[Any]] = {}
    for key in LISTED_DATA_KEYS:
        if isinstance(entry.get(key), list):
            choices[key] = entry[key]
            if not entry[key]:
                raise document.error(("data", number, key), f"{key} is an empty list: give at least one value")
    if "draws" in entry:
        draws, seed = entry["draws"], entry.get("seed", 0)
        if isinstance(draws, bool) or not isinstance(draws, int) or not 1 <= draws <= MOST_DRAWS:
            raise document.error(("data", number, "draws"), f"draws={shown(draws)}, but it is a number of draws from 1 to {MOST_DRAWS}")
        choices["seed"] = list(range(seed, seed + draws)) if isinstance(seed, int) and not isinstance(seed, bool) else [seed]
    if math.prod(map(len, choices.values())) > MOST_DATA_ENTRIES:
        raise document.error(("data", number), f"this expands to more than {MOST_DATA_ENTRIES} data entries: shorten its lists")
    return [{**rest, **dict(zip(choices, values, strict=True))} for values in itertools.product(*choices.values())]


def _first_error(document: YamlDocument, error: ValidationError, origins: tuple[int, ...]) -> SkipbenchError:
    first = error.errors()[0]
    location = _location_in_file(first["loc"], origins)
    where = ".".join(str(part) for part in location) or "the suite"
    if first["type"] == "extra_forbidden":
        model = _MODELS.get(str(location[0]) if len(location) > 1 else "", Suite)
        return document.error(location, unknown_name("key", str(location[-1]), model.model_fields.keys() - {"name"} | _own_names(model)))
    if first["type"] == "missing":
        return document.error(location[:-1], f"the key {location[-1]} is missing")
    message = first["msg"].removeprefix("Value error, ")
    found = "" if isinstance(first["input"], dict | list | tuple) else f", found {shown(first['input'])}"
    return document.error(location, f"{where}: {message}{found}")


_MODELS: dict[str, type[SuiteModel]] = {"data": DataEntry, "budget": Budget, "parts": PartEntry}


def _own_names(model: type[SuiteModel]) -> set[str]:
    return {"name", "draws"} if model is DataEntry else set()


def _location_in_file(location: tuple[int | str, ...], origins: tuple[int, ...]) -> Location:
    """pydantic's location as the file has it: without the field names that our method entries add (`methods.0.name` is `methods.0`),
    and with the number of a data entry before it was expanded."""
    if len(location) > 2 and location[0] == "methods" and location[2] in ("name", "parameters"):
        return location[:2]
    if len(location) > 1 and location[0] == "data" and isinstance(location[1], int) and location[1] < len(origins):
        return ("data", origins[location[1]], *location[2:])
    return location
