"""Reading YAML that a person wrote: safe tags only, bounded in size, and with the line of every value for the error messages."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from skipbench.checks import SkipbenchError, shown

LARGEST_BYTES = 2**18
DEEPEST = 20
LARGEST_WHOLE = 2**63 - 1  # Python refuses to print whole numbers of thousands of digits
_LONGEST_REASON = 200
_COLLECTION_TAGS = ("tag:yaml.org,2002:seq", "tag:yaml.org,2002:map")

Location = tuple[str | int, ...]


@dataclass(frozen=True)
class YamlDocument:
    """A parsed file: its value, and the line (from 1) at which the value at each location begins."""

    path: Path
    value: Any
    lines: dict[Location, int]

    def line(self, location: Location) -> int:
        """The line of a location, or of the nearest value around it."""
        while location and location not in self.lines:
            location = location[:-1]
        return self.lines.get(location, 1)

    def error(self, location: Location, message: str) -> SkipbenchError:
        """`FILE, line N: message`."""
        return SkipbenchError(f"{self.path.name}, line {self.line(location)}: {message}")


def read_yaml(path: Path) -> YamlDocument:
    """Read one YAML document. Raises SkipbenchError with file and line where it is not text, too large, no YAML, or uses aliases."""
    text = _text(path)
    try:
        _check_events(path, text)
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        lines: dict[Location, int] = {}
        value = None if node is None else _value(path, node, (), lines)
    except yaml.MarkedYAMLError as error:
        mark = error.context_mark if error.problem_mark is None else error.problem_mark
        line = _line_of(mark)
        reason = str(error.problem or error.context)[:_LONGEST_REASON]  # it may quote a tag of any length
        raise SkipbenchError(f"{path.name}, line {line}: this is no YAML ({reason})") from error
    except yaml.YAMLError as error:
        line = text.count("\n", 0, getattr(error, "position", 0)) + 1
        raise SkipbenchError(f"{path.name}, line {line}: this is no YAML text ({str(error).splitlines()[0]})") from error
    return YamlDocument(path, value, lines)


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST_BYTES + 1)
    except OSError as error:
        raise SkipbenchError(f"{path.name}: cannot be read ({error.strerror})") from error
    if len(content) > LARGEST_BYTES:
        line = content.count(b"\n") + 1
        raise SkipbenchError(f"{path.name}, line {line}: larger than {LARGEST_BYTES // 1024} KiB, so it is no suite")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise SkipbenchError(f"{path.name}, line {line}: byte {error.start} is not UTF-8 text") from error


def _line_of(mark: Any) -> int:  # yaml.Mark of its C or Python reader, or None
    return 1 if mark is None else mark.line + 1


def _check_events(path: Path, text: str) -> None:
    """Refuse aliases and deep nesting before anything is built: nine lines of aliases can stand for a billion values."""
    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        line = _line_of(event.start_mark)
        if isinstance(event, yaml.AliasEvent):
            raise SkipbenchError(f"{path.name}, line {line}: aliases (*{shown(event.anchor)[1:-1]}) are not allowed: write the values out")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST:
            raise SkipbenchError(f"{path.name}, line {line}: nested more than {DEEPEST} levels deep")


def _value(path: Path, node: yaml.Node, location: Location, lines: dict[Location, int]) -> Any:
    """The node as plain Python values, noting lines on the way."""
    lines[location] = node.start_mark.line + 1
    if isinstance(node, yaml.CollectionNode) and node.tag not in _COLLECTION_TAGS:
        raise SkipbenchError(f"{path.name}, line {lines[location]}: this is no YAML that a suite may hold (the tag {shown(node.tag)})")
    if isinstance(node, yaml.SequenceNode):
        return [_value(path, item, (*location, index), lines) for index, item in enumerate(node.value)]
    if isinstance(node, yaml.MappingNode):
        return _mapping(path, node, location, lines)
    return _scalar(path, node, lines[location])


def _scalar(path: Path, node: yaml.Node, line: int) -> str | int | float | None:
    """Text, a number, true, false or null. PyYAML answers `!!int ""`, `!!bool x` and `!!timestamp x` with errors of four kinds."""
    kind = node.tag.rsplit(":", 1)[-1]
    try:
        value = yaml.SafeLoader("").construct_object(node, deep=True)
    except (ValueError, LookupError, AttributeError, OverflowError) as error:
        raise SkipbenchError(f"{path.name}, line {line}: {shown(node.value)} is no {kind}") from error
    if value is not None and not isinstance(value, str | int | float):
        allowed = "a suite holds text, numbers, true, false and null: put it into quotes"
        raise SkipbenchError(f"{path.name}, line {line}: {shown(node.value)} is read as a {kind}, but {allowed}")
    if isinstance(value, int) and abs(value) > LARGEST_WHOLE:
        raise SkipbenchError(f"{path.name}, line {line}: {shown(node.value)} is beyond the largest whole number, {LARGEST_WHOLE}")
    return value


def _mapping(path: Path, node: yaml.MappingNode, location: Location, lines: dict[Location, int]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key_node, value_node in node.value:
        line = key_node.start_mark.line + 1
        if not isinstance(key_node, yaml.ScalarNode):
            raise SkipbenchError(f"{path.name}, line {line}: a key must be a word")
        key = str(key_node.value)
        if key in result:
            raise SkipbenchError(f"{path.name}, line {line}: the key {shown(key)} stands here twice")
        result[key] = _value(path, value_node, (*location, key), lines)
        lines[(*location, key)] = line
    return result
