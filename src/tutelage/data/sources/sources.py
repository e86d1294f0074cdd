"""Find sources of rows: files, folders, URLs, Hub data sets, and built-in data sets."""

import hashlib
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from importlib import resources
from itertools import count
from pathlib import Path

from tutelage.codes import Message
from tutelage.config.built_in_data import REMOTE_DATA, STARTER, built_in_names
from tutelage.config.extensions import FILE_FORMATS
from tutelage.config.recipe import DataSettings
from tutelage.data.rows.records import Record, Source, SourceReader
from tutelage.data.sources.files import RowsFile, look_at_file
from tutelage.data.sources.hub import HUB_PREFIX, read_hub
from tutelage.errors import DataError
from tutelage.system.fetching import check_url_secrets, fetch_url, file_sha256
from tutelage.text.spelling import did_you_mean, nearest, nearest_path

NAMES_SHOWN = 5


def read_source(name: str, *, cache: Path, settings: DataSettings = DataSettings()) -> Source:  # noqa: B008 - frozen
    """Read all records of a source into memory; raise DataError as `find_source` does, or if a record is
    faulty.
    """
    opened = find_source(name, cache=cache, settings=settings)
    return Source(opened.name, opened.sha256, list(opened.records()), opened.notes, opened.kind)


def find_source(name: str, *, cache: Path, settings: DataSettings = DataSettings()) -> SourceReader:  # noqa: B008 - frozen
    """Open a source without reading its rows.

    Raise DataError if it does not exist or its hash is not the expected one.
    """
    if name.startswith(HUB_PREFIX):
        source = read_hub(name, split=settings.hub_split, max_row_bytes=settings.max_row_bytes)
    else:
        path = locate_source(name, cache=cache, settings=settings)
        source = _find_folder(name, path, settings) if path.is_dir() else _find_file(name, path, settings)
    if settings.sha256 not in (None, source.sha256):
        raise DataError(
            "data.checksum_mismatch",
            f"{name} has the SHA-256 {source.sha256}, but data.sha256 is {settings.sha256}. The file has"
            " changed, or the hash belongs to another file.",
        )
    return replace(source, records=partial(_one_at_least, name, source.records))


def _one_at_least(name: str, records: Callable[[], Iterator[Record]]) -> Iterator[Record]:
    are_none = True
    for record in records():
        are_none = False
        yield record
    if are_none:
        raise DataError(
            "data.no_rows",
            f"{name} holds no rows. Give a file with at least one row of instruction and output.",
        )


def locate_source(name: str, *, cache: Path, settings: DataSettings = DataSettings()) -> Path:  # noqa: B008 - frozen
    """Return the local file or folder of a source, downloading it once if it is remote."""
    if name == STARTER:
        return Path(str(resources.files("tutelage.data.starter") / "starter.json"))
    if name in REMOTE_DATA:
        return fetch_url(
            REMOTE_DATA[name].url,
            sha256=REMOTE_DATA[name].sha256,
            destination=cached_file(name, cache),
            max_bytes=settings.max_file_bytes,
        )
    if is_address(name):
        check_url_secrets(name)
        if settings.sha256 is None:
            raise DataError(
                "data.checksum_required",
                f"{name} is a URL, whose content can change. Set the SHA-256 that you expect: --set"
                " data.sha256=…",
            )
        return fetch_url(
            name,
            sha256=settings.sha256,
            destination=cache / "data" / settings.sha256,
            max_bytes=settings.max_file_bytes,
        )
    try:
        path = Path(name).expanduser()
    except RuntimeError as fault:  # ~name of an unknown user
        raise DataError(
            "data.not_found",
            f"{name} does not exist: {str(fault).rstrip('.')}. Check the path.",
        ) from fault
    return check_path(path, settings)


def cached_file(name: str, cache: Path) -> Path:
    """Return the cache path of a built-in data set that is downloaded."""
    return cache / "data" / REMOTE_DATA[name].file


def is_here(settings: DataSettings, *, cache: Path) -> bool:
    """Return whether a recipe's source can be read without network access."""
    if settings.source in REMOTE_DATA:
        return cached_file(settings.source, cache).exists()
    if is_address(settings.source):
        check_url_secrets(settings.source)
        return bool(settings.sha256) and (cache / "data" / str(settings.sha256)).exists()
    return not settings.source.startswith(HUB_PREFIX)


def is_address(name: str) -> bool:
    """Return whether the name of a source is a URL."""
    return "://" in name


def is_path(name: str) -> bool:
    """Return whether the name of a source is a path, not a URL, a Hub data set or a built-in name."""
    return not (name in built_in_names() or is_address(name) or name.startswith(HUB_PREFIX))


def _find_file(name: str, path: Path, settings: DataSettings) -> SourceReader:
    file = look_at_file(path, settings)
    return SourceReader(name, file_sha256(path), file.records, file.notes, file.kind)


def _find_folder(name: str, folder: Path, settings: DataSettings) -> SourceReader:
    """Open the files of a folder, sorted by name, as one source."""
    found = sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
    paths = [path for path in found if _has_known_suffix(path)]
    if not paths:
        raise DataError(
            "data.folder_without_data",
            f"{folder} holds no data file. Add one that ends in {', '.join(FILE_FORMATS)}, each also with"
            " .gz.",
        )
    files: dict[str, RowsFile] = {}
    notes = _left_out(folder, [path for path in found if path not in paths])
    digest = hashlib.sha256()
    for path in paths:
        label = path.relative_to(folder).as_posix()
        files[label] = look_at_file(check_path(path, settings), settings)
        notes += [Message(note.code, f"{label}: {note.text}") for note in files[label].notes]
        digest.update(f"{label} {file_sha256(path)}\n".encode("utf-8", "surrogateescape"))
    shown = " and ".join(dict.fromkeys(file.kind for file in files.values()))
    return SourceReader(
        name, digest.hexdigest(), partial(_records_of, files), notes, f"{len(paths)} files of {shown}"
    )


def _records_of(files: Mapping[str, RowsFile]) -> Iterator[Record]:
    """Yield the records of several files with continuous row numbers."""
    rows = count()
    for label, file in files.items():
        for record in file.records():
            yield replace(record, row=next(rows), file=label)


def _has_known_suffix(path: Path) -> bool:
    return path.name.lower().removesuffix(".gz").endswith(tuple(FILE_FORMATS))


def _left_out(folder: Path, others: Sequence[Path]) -> list[Message]:
    if not others:
        return []
    named = ", ".join(path.relative_to(folder).as_posix() for path in others[:NAMES_SHOWN])
    more = f" and {len(others) - NAMES_SHOWN:,} more" if len(others) > NAMES_SHOWN else ""
    return [Message("data.files_skipped", f"Files with other endings were not read: {named}{more}.")]


def check_path(path: Path, settings: DataSettings) -> Path:
    """Return a path that can be read; raise DataError if it cannot."""
    try:
        mode, size = path.stat().st_mode, path.stat().st_size
        if stat.S_ISREG(mode):
            path.open("rb").close()
    except (FileNotFoundError, NotADirectoryError, ValueError) as fault:
        raise DataError(
            "data.not_found",
            f"{path} does not exist.{_nearest_name(path)}",
        ) from fault
    except OSError as fault:
        raise DataError(
            "data.unreadable",
            f"{path} cannot be read: {fault.strerror}. Check its name and permissions.",
        ) from fault
    if stat.S_ISDIR(mode):
        return path
    if not stat.S_ISREG(mode):
        # Opening a pipe can block forever, and a device may never end.
        raise DataError(
            "data.not_a_regular_file",
            f"{path} is not a regular file. Save its content to a file and give that.",
        )
    if size > settings.max_file_bytes:
        raise DataError(
            "data.file_too_large",
            f"{path} has {size:,} bytes, but the limit is {settings.max_file_bytes:,}. Split it into smaller"
            " files, or raise data.max_file_bytes.",
        )
    return path


def _nearest_name(path: Path) -> str:
    near = nearest_path(path, lambda _: True)
    meant = near.name if near else nearest(path.name, built_in_names())
    return did_you_mean(meant) or " Check the path given as data.source or --data."
