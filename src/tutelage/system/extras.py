"""Build commands that install optional dependencies by package name, since Tutelage is not on an index."""

import re
import shlex
import sys
from importlib import metadata
from importlib.util import find_spec

OF_EXTRA = re.compile(r"""^(?P<requirement>[^;]+?)\s*;\s*extra\s*==\s*['"](?P<extra>[^'"]+)['"]\s*$""")


def install_command(extra: str) -> str:
    """Return the command that installs the packages of an extra for this Python interpreter."""
    found = map(OF_EXTRA.match, metadata.requires("tutelage") or ())
    packages = [one["requirement"] for one in found if one and one["extra"] == extra]
    assert packages, f"pyproject.toml has an extra {extra}"
    python = shlex.quote(sys.executable)
    # Environments created by uv have no pip.
    installer = f"{python} -m pip install" if find_spec("pip") else f"uv pip install --python {python}"
    return " ".join([installer, *map(shlex.quote, packages)])
