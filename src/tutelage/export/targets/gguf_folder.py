"""`gguf`: one file with the merged weights, also quantised, for llama.cpp and what is made of it."""

import copy
import shutil
from collections.abc import Sequence
from pathlib import Path

import torch

from tutelage.export.converter import convert, require_gguf_support
from tutelage.export.gguf_file import is_written_here, rewrite_gguf, write_gguf
from tutelage.export.gguf_metadata import other_end_tokens
from tutelage.export.record import Exported
from tutelage.export.style import Style
from tutelage.export.targets import ExportTarget, ExportWork, passing_folder
from tutelage.export.targets.hf_folder import make_merged
from tutelage.export.verification import ExportComparison, compare
from tutelage.generation.llama_cpp import is_installed
from tutelage.model.folders import read_json_file
from tutelage.model.forward import CausalModel
from tutelage.model.gguf_conversion import convert_gguf
from tutelage.model.loading import load_tokenizer
from tutelage.model.sources import ModelSource
from tutelage.model.trained import TrainedModel
from tutelage.run.folder import gguf_name
from tutelage.system.storage import file_sha256

ACTIVATION_KEYS = ("activation_function", "hidden_activation", "hidden_act")
SENTENCEPIECE = "tokenizer.model"  # a vocabulary that only the converter wants
LLAMA_CPP = """llama.cpp:

```sh
llama-server -m {gguf} --jinja --temp 0
```"""


def make_gguf(work: ExportWork, folder: Path) -> None:
    """Write the file, by llama.cpp's own converter where the model is none that is written here."""
    path = folder / gguf_name(work.quantization)
    if is_written_here(work.merged.config.model_type, work.style.tokenizer):
        write_gguf(path, work.merged, work.source, work.style, work.quantization)
        return
    with passing_folder(folder / ".to-convert") as hf:
        make_merged(work, hf)
        vocabulary = work.source.folder / SENTENCEPIECE
        if vocabulary.is_file():
            shutil.copyfile(vocabulary, hf / SENTENCEPIECE)
        convert(hf, hf / "model.gguf")
        rewrite_gguf(path, hf / "model.gguf", work.source, work.style, work.quantization)


def check_gguf(trained: TrainedModel) -> None:
    """Stop where the file could not be written."""
    family = str(read_json_file(trained.source.folder / "config.json").get("model_type"))
    require_gguf_support(family, load_tokenizer(trained.source.folder))


def check_ends(source: ModelSource, style: Style) -> None:
    """Stop where the file cannot name all tokens that end an answer."""
    other_end_tokens(source, style, end_of_text=style.tokenizer.eos_token_id)


def verify_gguf(work: ExportWork, folder: Path, earlier: Sequence[Exported]) -> tuple[ExportComparison, str]:
    """Let llama.cpp read the file, or transformers where that is not installed."""
    base = work.source.folder
    file = folder / gguf_name(work.quantization)
    for one in earlier:  # the same file in another folder behaves the same
        same = one.folder / file.name
        if same.is_file() and file_sha256(same) == file_sha256(file):
            return one.comparison, one.verified_with
    if is_installed():
        comparison = compare(
            work.reference,
            "gguf",
            file,
            base=base,
            precision=_precision_in_llama_cpp(work),
            rounded=lambda: _as_stored(work),
        )
        return comparison, "llama.cpp"
    with passing_folder(folder / ".read-back") as read_back:
        convert_gguf(file, read_back)
        comparison = compare(
            work.reference,
            "hf",
            read_back,
            base=base,
            precision=work.quantization,
            rounded=lambda: _as_stored(work),
        )
    return comparison, "transformers' GGUF loader; llama.cpp is not installed"


def _precision_in_llama_cpp(work: ExportWork) -> str:
    """Return the precision of what llama.cpp computes: it looks GELU up in a table of half precision."""
    config = work.merged.config
    activation = next((name for key in ACTIVATION_KEYS if (name := getattr(config, key, None))), "")
    return "f16" if work.quantization == "f32" and "gelu" in activation else work.quantization


def _as_stored(work: ExportWork) -> CausalModel:
    """Return the model with its matrices as a file in half precision has them; one in float32 has them as they are."""
    module = copy.deepcopy(work.merged)
    if work.quantization == "f16":
        with torch.no_grad():
            for weight in module.parameters():
                if weight.ndim > 1:
                    weight.copy_(weight.half())
    return CausalModel(
        module, torch.device("cpu"), torch.float32, fallback_reason="transformers' own way is wanted"
    )


TARGET = ExportTarget(
    make_gguf,
    verify_gguf,
    LLAMA_CPP + "\n\nOllama: export with `--to ollama`, which adds the Modelfile.",
    check=check_gguf,
    check_style=check_ends,
)
