"""What is installed by version and what is installed by hash are the same packages."""

import re
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]
WITHOUT_HASHES = {"torch"}  # its builds differ by machine


def versions(text):
    return {
        re.sub(r"[-_.]+", "-", name).lower(): version
        for name, version in re.findall(r"^([\w.-]+)==([^\s;\\]+)", text, re.MULTILINE)
    }


def without_hashes(text):
    entries = re.split(r"\n(?=\S)", text.strip())
    return [entry for entry in entries if not re.search(r"--hash=sha256:[0-9a-f]{64}\b", entry)]


def test_what_is_pinned_is_locked_at_the_same_version():
    pinned = versions((CHECKOUT / "constraints.txt").read_text())
    locked = versions((CHECKOUT / "requirements.lock").read_text())
    assert {name: version for name, version in pinned.items() if name not in WITHOUT_HASHES} == locked


def test_every_locked_package_has_a_hash():
    assert without_hashes((CHECKOUT / "requirements.lock").read_text()) == []


def test_a_package_without_a_hash_is_caught():
    assert without_hashes(f"a==1 \\\n    --hash=sha256:{'0' * 64}\nb==2\n") == ["b==2"]
