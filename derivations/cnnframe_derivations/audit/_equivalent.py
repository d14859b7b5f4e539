"""Lists of changes that change no answer, each with the reason.

A list is a TOML file of tables `[[equivalent]]` with `id`, `before`, `after` and `why`. An entry means the mutant with these
texts; the id says which, where a text occurs more than once. Lines in ids may have moved since.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from cnnframe import DataError

from ..suite._mutants import Mutant

BUILT_IN = Path(__file__).with_name("equivalent.toml")
"""The list for the operations that come with cnnframe."""

FIELDS = ("id", "before", "after", "why")


@dataclass(frozen=True)
class Equivalent:
    """One entry of a list."""

    id: str
    before: str
    after: str
    why: str

    @property
    def name(self) -> str:
        """The operation."""
        return self.id.partition(":")[0]

    @property
    def key(self) -> tuple[str, ...]:
        """What does not change when lines move: operation, method, operator, and the texts."""
        return (*key(self.id), self.before, self.after)


def entry(identity: str, before: str, after: str) -> str:
    """The entry for a mutant, as it is written in a list, but for the reason."""
    # A JSON string is a TOML string.
    texts = {"id": identity, "before": before, "after": after, "why": "say here why no answer changes"}
    return "\n".join(["[[equivalent]]", *(f"{name} = {json.dumps(text, ensure_ascii=False)}" for name, text in texts.items())])


def key(identity: str) -> tuple[str, ...]:
    """Operation, method and operator of an id."""
    parts = identity.split(":")
    return (*parts[:2], parts[3])


def equivalents(path: Path) -> tuple[Equivalent, ...]:
    """Read a list.

    Raises:
        DataError: the file is no such list.
    """
    try:
        entries = tomllib.loads(path.read_text(encoding="utf-8")).get("equivalent", [])
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read: {error}") from error
    found = []
    for number, entry in enumerate(entries, start=1):
        if not isinstance(entry, dict) or set(entry) != set(FIELDS) or not all(isinstance(entry[name], str) for name in FIELDS):
            raise DataError(f"{path}: entry {number} must have the texts {', '.join(FIELDS)} and nothing else")
        if entry["id"].count(":") != 4 or not entry["why"].strip():
            raise DataError(f"{path}: entry {number} needs an id such as conv:backward:L42:drop-factor:1, and a reason")
        found.append(Equivalent(**entry))
    return tuple(found)


def assigned(entries: Iterable[Equivalent], mutants: Sequence[Mutant]) -> tuple[dict[str, Equivalent], tuple[Equivalent, ...]]:
    """Entries by the id of the mutant that they mean, and those that mean none."""
    alike: dict[tuple[str, ...], list[str]] = {}
    for mutant in mutants:
        alike.setdefault((*key(mutant.id), mutant.before, mutant.after), []).append(mutant.id)
    found: dict[str, Equivalent] = {}
    stale = []
    for entry in entries:
        free = [identity for identity in alike.get(entry.key, []) if identity not in found]
        if free:
            found[entry.id if entry.id in free else free[0]] = entry
        else:
            stale.append(entry)
    return found, tuple(stale)
