"""Bytes or text in a file, read as a source or refused."""

import pytest

from tutelage.config.recipe import DataSettings
from tutelage.data.sources.sources import read_source
from tutelage.errors import DataError


@pytest.fixture
def read(tmp_path):
    """Write bytes or text to a file and read it as a source."""

    def write_and_read(content, name="rows.json", **chosen):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return read_source(str(path), cache=tmp_path / "cache", settings=DataSettings(**chosen))

    return write_and_read


@pytest.fixture
def refused(read):
    def message(content, name="rows.json", **chosen):
        with pytest.raises(DataError) as fault:
            read(content, name, **chosen)
        return str(fault.value)

    return message
