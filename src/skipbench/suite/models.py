"""What a suite file may say: what is compared, apart from how much may be spent on it."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from skipbench.checks import shown_name


class SuiteModel(BaseModel):
    """Strict: an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class DataEntry(SuiteModel):
    """One data set of a suite. A bare name stands for `{name: NAME}`; a list as `n` or `protocol`, and `draws`, expand to several."""

    name: str = Field(description="a data set, as `skipbench data list` shows it")
    n: int | None = Field(
        default=None, ge=1, strict=True, description="rows to use: of the training part where the set has an official test part"
    )
    n_test: int | None = Field(default=None, ge=1, strict=True, description="test rows, where the set has an official test part")
    seed: int = Field(default=0, ge=0, strict=True, description="of the subset and the splits")
    protocol: str | None = Field(default=None, description="how the splits are made, where a set offers several: nested for uci/NAME")
    splits: tuple[int, ...] | None = Field(default=None, description="which of the set's splits, from 0; all of them without it")
    preprocess: tuple[str, ...] = Field(default=(), description="steps fitted on the training part, in order")
    parameters: tuple[tuple[str, int], ...] = Field(default=(), description="of a synthetic set, by name: {frequency: 4}")

    @property
    def label(self) -> str:
        """The name, with its parameters, and with the number of rows where a subset is taken."""
        words = [f"{name}={value}" for name, value in self.parameters] + ([] if self.n is None else [f"n={self.n}"])
        return f"{self.name} ({', '.join(words)})" if words else self.name

    @field_validator("parameters", mode="before")
    @classmethod
    def _sorted_pairs(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            raise ValueError("parameters are given by name, such as {frequency: 4}")  # noqa: TRY004 - as above
        return tuple(sorted(value.items()))

    @model_validator(mode="before")
    @classmethod
    def _from_name(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value


class MethodEntry(SuiteModel):
    """One method of a suite, written `NAME: {parameters}`; lists among the parameters expand to cells.

    choose: those of the listed parameters whose values are candidates of one method, which takes the best on the validation rows.
    """

    name: str
    parameters: dict[str, Any] = {}
    seeds: tuple[int, ...] | None = None
    choose: tuple[str, ...] = ()

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
                f"{shown_name(str(name))} takes parameters by name, such as `NAME: {{key: value}}`"
            )
        rest = {key: item for key, item in parameters.items() if key not in ("seeds", "choose")}
        return {"name": name, "parameters": rest, "seeds": parameters.get("seeds"), "choose": parameters.get("choose", ())}

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


class PartEntry(SuiteModel):
    """A slice of another suite; whatever is left out is taken whole."""

    suite: str = Field(description="the suite of which this is a part")
    datasets: tuple[str, ...] | None = Field(default=None, description="names of its data sets")
    n: tuple[int, ...] | None = Field(default=None, description="sizes, of the data sets that come in several")
    draws: int | None = Field(default=None, ge=1, strict=True, description="how many draws of each data set, the first ones")
    splits: tuple[int, ...] | None = Field(default=None, description="which splits, from 0")
    methods: tuple[str, ...] | None = Field(default=None, description="names of its methods")
    seeds: int | None = Field(default=None, ge=1, strict=True, description="how many seeds, the first ones")


class Suite(SuiteModel):
    """What is compared: every method on every data set that it can read; or slices of other suites, its parts."""

    name: str = ""
    description: str = Field(description="one sentence: the question that this suite answers")
    data: tuple[DataEntry, ...] = ()
    methods: tuple[MethodEntry, ...] = ()
    parts: tuple[PartEntry, ...] = ()
    budget: Budget = Budget()
