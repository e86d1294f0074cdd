"""llama.cpp in this process: a model that is let go ends, whatever was asked of it."""

import subprocess
import sys

import pytest
from support.tiny_gguf import write_tiny_gguf


def test_a_model_that_is_let_go_at_once_ends(tmp_path):
    pytest.importorskip("xllamacpp", exc_type=ImportError)
    script = f"""
from pathlib import Path
from tutelage.generation.llama_cpp import load_gguf

for _ in range(5):
    load_gguf(Path({str(write_tiny_gguf(tmp_path / "tiny.gguf"))!r}), context=32, at_once=1, threads=1)
print("over")
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=300
    )
    assert done.stdout.strip() == "over"
