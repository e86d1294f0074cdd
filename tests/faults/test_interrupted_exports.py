"""An export that is killed at any point leaves a whole one or none, and the next call clears up and works."""

import os
import shutil
import signal

import pytest
from support.children import run
from support.interrupted import at, listing

from tutelage.export import verification
from tutelage.run.folder import ExportFolder, RunFolder, read_json
from tutelage.system.storage import find_damage

pytestmark = [pytest.mark.forks, pytest.mark.usefixtures("at_home")]


@pytest.fixture
def quick(monkeypatch):
    """Compare on few prompts; how much is compared has tests of its own."""
    monkeypatch.setattr(verification, "ROW_PROMPTS", 2)
    monkeypatch.setattr(verification, "ANSWER_TOKENS", 4)
    monkeypatch.setattr(verification, "CONTEXTS", 2)
    monkeypatch.setattr(verification, "chinese_prompts", lambda: ["你好"])


def kill():
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_killed_export_leaves_a_whole_one_or_none_and_the_next_call_works(home, straight, tmp_path, quick):
    pytest.importorskip("xllamacpp", exc_type=ImportError)
    root, said, operations = tmp_path / "run", tmp_path / "said.txt", tmp_path / "operations"
    shutil.copytree(home / "straight", root)
    exports = ExportFolder(RunFolder(root).export)
    place = exports.of("gguf")
    words = ["export", root, "--to", "gguf", "--quantization", "f32", "--overwrite"]
    first = run(words, said, around=lambda: listing(operations))
    assert first.code == 0, first.said
    whole = (place / "model-f32.gguf").read_bytes()
    count = len(operations.read_text().split("\n"))
    for number in sorted({*range(1, count, 3), count}):
        ended = run(words, said, around=at(number, kill))
        assert ended.code == -signal.SIGKILL, (number, ended.said)
        assert not place.exists() or find_damage(place) is None, number
        again = run(words, said)
        assert again.code == 0, again.said
        assert (place / "model-f32.gguf").read_bytes() == whole
        assert {path.name for path in exports.root.iterdir()} == {"gguf", "verification.json"}
        assert read_json(exports.verification)["gguf"]["verified_with"] == "llama.cpp"
