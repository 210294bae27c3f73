"""Which methods there are: ours by name, other people's through the entry points `skipbench.methods`.

Our classes are imported when they are asked for; a package of somebody else's that cannot be imported is left out, with a warning.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import inspect
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, cast

from skipbench.architecture import Architecture
from skipbench.checks import SkipbenchError, shown, unknown_name
from skipbench.trainers.method import INPUT_KINDS, Family, InputKind, Method

ENTRY_POINTS = "skipbench.methods"
FAMILIES: tuple[Family, ...] = ("kernel", "network", "baseline")


@dataclass(frozen=True, slots=True)
class RegisteredMethod:
    """Where a method's class lies, and what a record says of it.

    path: "module:Class". source_version: raised whenever the class's results change, so that stored ones are computed again.
    """

    name: str
    path: str
    family: Family
    source_version: str

    def load(self) -> type[Method]:
        """Import the class."""
        module, _, attribute = self.path.partition(":")
        return cast(type[Method], getattr(importlib.import_module(module), attribute))


METHODS: dict[str, RegisteredMethod] = {
    method.name: method
    for method in (
        RegisteredMethod("ridge", "skipbench.trainers.ridge:KernelRidge", "kernel", "1"),
        RegisteredMethod("kernel-descent", "skipbench.trainers.kernel_descent:KernelDescent", "kernel", "1"),
        RegisteredMethod("svm", "skipbench.trainers.svm:KernelSVM", "kernel", "1"),
        RegisteredMethod("network", "skipbench.trainers.networks:NetworkClassifier", "network", "1"),
        RegisteredMethod("linearised-network", "skipbench.trainers.networks:LinearisedClassifier", "network", "1"),
        RegisteredMethod("network-ensemble", "skipbench.trainers.networks:EnsembleClassifier", "network", "1"),
        RegisteredMethod("practical-network", "skipbench.trainers.networks:PracticalClassifier", "network", "1"),
        RegisteredMethod("logistic-regression", "skipbench.trainers.baselines:LogisticRegressionBaseline", "baseline", "1"),
        RegisteredMethod("random-forest", "skipbench.trainers.baselines:RandomForestBaseline", "baseline", "1"),
    )
}


def registered_methods() -> dict[str, RegisteredMethod]:
    """All methods by name, ours first. Asking for the others imports their packages, which say what family and version they have."""
    return METHODS | _foreign_methods()


def registered(name: str) -> RegisteredMethod:
    """One method. Raises SkipbenchError for an unknown name, with the nearest ones."""
    found = METHODS.get(name) or registered_methods().get(name)
    if found is None:
        raise SkipbenchError(unknown_name("method", str(name), registered_methods()))
    return found


def method_names() -> tuple[str, ...]:
    """Names of all registered methods, ours first."""
    return tuple(registered_methods())


def method_class(name: str) -> type[Method]:
    """The class of a method. Raises SkipbenchError for an unknown name, with the nearest ones."""
    return registered(name).load()


def family_of(name: str) -> Family:
    """ "kernel", "network" or "baseline". Raises SkipbenchError for an unknown method."""
    return registered(name).family


def source_version(name: str) -> str:
    """The declared version of the method's results. Raises SkipbenchError for an unknown method."""
    return registered(name).source_version


def method_summary(name: str) -> str:
    """What the method is: the first line of its class's docstring. Raises SkipbenchError for an unknown method."""
    return (inspect.getdoc(method_class(name)) or "").partition("\n")[0]


def method_parameters(name: str) -> tuple[str, ...]:
    """Names of the parameters that the method's constructor takes, sorted. Raises SkipbenchError for an unknown method."""
    return tuple(sorted(_parameters(name)))


def sequence_parameters(name: str) -> tuple[str, ...]:
    """Those of its parameters whose one value is a sequence, such as `ridges`: the ones with a tuple or list as default, sorted."""
    return tuple(sorted(key for key, parameter in _parameters(name).items() if isinstance(parameter.default, (tuple, list))))


def make_method(name: str, parameters: Mapping[str, Any]) -> Method:
    """The unfitted classifier, its parameters checked as far as that needs no data.

    A class with a method `check_parameters` is asked; one that only has scikit-learn's declared constraints is held to those.
    Raises SkipbenchError for an unknown method or parameter, with the nearest ones, and for a value that the method refuses.
    """
    allowed = method_parameters(name)
    for key in parameters:
        if key not in allowed:
            raise SkipbenchError(unknown_name("parameter", str(key), allowed, where=f"of method {name}"))
    method: Any = method_class(name)(**parameters)
    if callable(getattr(method, "check_parameters", None)):
        method.check_parameters()
    elif hasattr(method, "_parameter_constraints") and hasattr(method, "_validate_params"):
        try:
            method._validate_params()
        except ValueError as error:
            raise SkipbenchError(f"method {name}: {error}") from error
    return cast(Method, method)


def check_parameters(name: str, parameters: Mapping[str, Any]) -> None:
    """Refuse what no data could make right, before anything is computed: as `make_method`. Raises SkipbenchError."""
    make_method(name, parameters)


def input_kinds(name: str, parameters: Mapping[str, Any]) -> tuple[InputKind, ...]:
    """Which of "vectors" and "images" the method with these parameters takes.

    By the class's own `input_kinds`; without it by its parameter `architecture`, images for a convolutional one and vectors for a dense
    one; without either it takes vectors, as every scikit-learn classifier does. Raises SkipbenchError.
    """
    method: Any = make_method(name, parameters)
    if callable(getattr(method, "input_kinds", None)):
        return tuple(method.input_kinds())
    architecture = getattr(method, "architecture", None)
    is_convolutional = isinstance(architecture, Architecture) and architecture.is_convolutional
    return ("images",) if is_convolutional else ("vectors",)


def accepts(name: str, parameters: Mapping[str, Any], kind: str) -> bool:
    """Whether the method with these parameters takes "vectors" or "images", as `input_kinds` says. Raises SkipbenchError."""
    if kind not in INPUT_KINDS:
        raise SkipbenchError(unknown_name("kind of input", str(kind), INPUT_KINDS))
    return kind in input_kinds(name, parameters)


def method_label(name: str, parameters: Mapping[str, Any]) -> str:
    """A short name for tables: the class's own `label`, or the registered name with the architecture and whatever was set.

    E.g. "NTK ridge, ResCNN(3, tr)", "network ResMLP(3), width 128", "random forest". Raises SkipbenchError.
    """
    method: Any = make_method(name, parameters)
    if callable(getattr(method, "label", None)):
        return str(method.label())
    architecture = parameters.get("architecture")
    words = f"{name} {architecture.label}" if isinstance(architecture, Architecture) else name
    settings = {key: value for key, value in parameters.items() if key != "architecture"}
    return ", ".join([words, *(f"{key} {value if isinstance(value, str) else shown(value, 30)}" for key, value in settings.items())])


def _parameters(name: str) -> dict[str, inspect.Parameter]:
    named = (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return {key: parameter for key, parameter in inspect.signature(method_class(name)).parameters.items() if parameter.kind in named}


@cache
def _foreign_methods() -> dict[str, RegisteredMethod]:
    """Methods of other packages. A name of ours stays ours, and a class that cannot be imported is left out; both are said once."""
    found = {}
    for entry in importlib.metadata.entry_points(group=ENTRY_POINTS):
        if entry.name in METHODS:
            warnings.warn(f"the method {entry.name!r} of {entry.value} is left out: skipbench has one of that name", stacklevel=3)
            continue
        try:
            found[entry.name] = _described(entry)
        except Exception as error:  # noqa: BLE001 - what another package raises at import is anyone's guess
            warnings.warn(f"the method {entry.name!r} of {entry.value} is left out: {error}", stacklevel=3)
    return found


def _described(entry: importlib.metadata.EntryPoint) -> RegisteredMethod:
    """Family and source version from the class's attributes; without them "baseline" and the version of its package."""
    made = entry.load()
    family = getattr(made, "family", "baseline")
    if family not in FAMILIES:
        raise SkipbenchError(unknown_name("family", str(family), FAMILIES))
    packaged = entry.dist.version if entry.dist is not None else "0"
    return RegisteredMethod(entry.name, entry.value, family, str(getattr(made, "source_version", packaged)))
