"""A suite file says what is compared, apart from how much may be spent on it."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from skipbench.checks import SkipbenchError, shown, unknown_name
from skipbench.yaml_lines import Location, YamlDocument, read_yaml


class SuiteModel(BaseModel):
    """Strict: an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class DataEntry(SuiteModel):
    """One data set of a suite. A bare name stands for `{name: NAME}`."""

    name: str = Field(description="a data set, as `skipbench data list` shows it")
    n: int | None = Field(
        default=None, ge=1, strict=True, description="rows to use: of the training part where the set has an official test part"
    )
    n_test: int | None = Field(default=None, ge=1, strict=True, description="test rows, where the set has an official test part")
    seed: int = Field(default=0, ge=0, strict=True, description="of the subset and the splits")
    protocol: str | None = Field(default=None, description="how the splits are made, where a set offers several: nested for uci/NAME")
    splits: tuple[int, ...] | None = Field(default=None, description="which of the set's splits, from 0; all of them without it")
    preprocess: tuple[str, ...] = Field(default=(), description="steps fitted on the training part, in order")

    @property
    def label(self) -> str:
        """The name, with the number of rows where a subset is taken."""
        return self.name if self.n is None else f"{self.name} (n={self.n})"

    @model_validator(mode="before")
    @classmethod
    def _from_name(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value


class MethodEntry(SuiteModel):
    """One method of a suite, written `NAME: {parameters}`; lists among the parameters expand to cells."""

    name: str
    parameters: dict[str, Any] = {}
    seeds: tuple[int, ...] | None = None

    @model_validator(mode="before")
    @classmethod
    def _from_mapping(cls, value: Any) -> Any:
        if isinstance(value, str):
            return {"name": value}
        if not isinstance(value, dict) or len(value) != 1:
            raise ValueError("a method is written as one name with its parameters, such as `ridge: {kernel: ntk}`")
        ((name, parameters),) = value.items()
        if parameters is None:
            parameters = {}
        if not isinstance(parameters, dict):
            raise ValueError(  # noqa: TRY004 - pydantic turns a ValueError into its own
                f"{name} takes parameters by name, such as `{name}: {{key: value}}`"
            )
        rest = {key: item for key, item in parameters.items() if key != "seeds"}
        return {"name": name, "parameters": rest, "seeds": parameters.get("seeds")}

    @field_validator("seeds", mode="before")
    @classmethod
    def _counted(cls, value: Any) -> Any:
        if isinstance(value, bool):
            raise ValueError("seeds is a number of seeds, or a list of them")  # noqa: TRY004
        if isinstance(value, int):
            if not 1 <= value <= 10_000:
                raise ValueError(f"seeds={value}, but a method needs 1 to 10000 seeds")
            return tuple(range(value))
        return value


class Budget(SuiteModel):
    """How much may be spent; it changes no result and no key."""

    seconds_per_cell: float = Field(default=600.0, gt=0, description="a cell that takes longer is stopped and recorded as timeout")
    gigabytes_per_worker: float | None = Field(default=None, gt=0, description="a cell that takes more is stopped and recorded as oom")


class Suite(SuiteModel):
    """What is compared: every method on every data set that it can read."""

    name: str = ""
    description: str = Field(description="one sentence: the question that this suite answers")
    data: tuple[DataEntry, ...] = Field(min_length=1)
    methods: tuple[MethodEntry, ...] = Field(min_length=1)
    budget: Budget = Budget()


class SuiteFile:
    """A suite together with the lines of its file, so that later errors can still name the place."""

    def __init__(self, suite: Suite, document: YamlDocument) -> None:
        self.suite = suite
        self.document = document

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
    document = read_yaml(path)
    return SuiteFile(_validated(document), document)


def _suites_folder() -> Path:
    return Path(str(resources.files("skipbench.benchmarks"))) / "suites"


def _validated(document: YamlDocument) -> Suite:
    if not isinstance(document.value, dict):
        raise document.error((), "a suite has the keys description, data, methods and budget")
    if "name" in document.value:
        raise document.error(("name",), "a suite is named by its file: remove the key name")
    try:
        return Suite.model_validate({**document.value, "name": document.path.stem})
    except ValidationError as error:
        raise _first_error(document, error) from error


def _first_error(document: YamlDocument, error: ValidationError) -> SkipbenchError:
    first = error.errors()[0]
    location = _location_in_file(first["loc"])
    where = ".".join(str(part) for part in location) or "the suite"
    if first["type"] == "extra_forbidden":
        model = _MODELS.get(str(location[0]) if len(location) > 1 else "", Suite)
        return document.error(location, unknown_name("key", str(location[-1]), model.model_fields.keys() - {"name"} | _own_name(model)))
    if first["type"] == "missing":
        return document.error(location[:-1], f"the key {location[-1]} is missing")
    message = first["msg"].removeprefix("Value error, ")
    found = "" if isinstance(first["input"], dict | list | tuple) else f", found {shown(first['input'])}"
    return document.error(location, f"{where}: {message}{found}")


_MODELS: dict[str, type[SuiteModel]] = {"data": DataEntry, "budget": Budget}


def _own_name(model: type[SuiteModel]) -> set[str]:
    return {"name"} if model is DataEntry else set()


def _location_in_file(location: tuple[int | str, ...]) -> Location:
    """pydantic's location without the field names that our method entries add (`methods.0.name` is `methods.0` in the file)."""
    if len(location) > 2 and location[0] == "methods" and location[2] in ("name", "parameters"):
        return location[:2]
    return location
