"""Data sets with a name: the one that ships with the package, and those that are downloaded once.

To add one, add an entry to `REMOTE_DATA`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

STARTER = "starter"


@dataclass(frozen=True)
class RemoteData:
    """Where a data set is downloaded from, the name of its file in the cache, and how its rows are read.

    `settings` are defaults for the settings in [data]; a recipe or the command line can override each of them.
    """

    url: str
    sha256: str
    file: str
    settings: Mapping[str, Any] = field(default_factory=dict)


REMOTE_DATA: dict[str, RemoteData] = {
    "instruction-data": RemoteData(
        "https://raw.githubusercontent.com/rasbt/LLMs-from-scratch/main/ch07/01_main-chapter-code/instruction-data.json",
        "7e09a9af353722ca15c18bc580f093f9c39d3178335a75177319cb1e1d163944",
        "instruction-data.json",
    ),
    # The SMS Spam Collection of Almeida and Hidalgo. Quotation marks belong to the messages.
    "sms-spam": RemoteData(
        "https://raw.githubusercontent.com/zerotodeeplearning/ztdl-masterclasses/2a8b56f875171d3140b89192da7363a6531f1dae/data/sms.tsv",
        "b56ad3b4c69213ba1aa12207fc320fc0194ee17a36edd3eab78dfa8af6ce8a07",
        "sms-spam.tsv",
        {"column_map": {"text": "msg"}, "quoting": "none", "license": "CC-BY-4.0"},
    ),
}


def built_in_names() -> list[str]:
    """Return the names of all built-in data sets."""
    return [STARTER, *REMOTE_DATA]


def default_settings(source: Any) -> Mapping[str, Any]:
    """Return the defaults of a source for the settings in [data]; {} unless it is a built-in data set with some."""
    known = REMOTE_DATA.get(source) if isinstance(source, str) else None
    return known.settings if known else MappingProxyType({})
