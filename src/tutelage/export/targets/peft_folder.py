"""`peft`: the adapter alone, to be put on the base model."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from tutelage.errors import RunFolderError
from tutelage.export.record import Exported
from tutelage.export.targets import TRANSFORMERS, ExportTarget, ExportWork
from tutelage.export.targets.hf_folder import save_generation_config, save_tokenizer
from tutelage.export.verification import ExportComparison, compare
from tutelage.model.config_compatibility import name_base
from tutelage.model.trained import TrainedModel
from tutelage.system.storage import MANIFEST

TRAINING_RECORDS = (
    "training.json",
    "recipe.toml",
    "README.md",
    MANIFEST,
)  # of model/, what an export has no use for
LOADING = """{where}

transformers and peft:

```python
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig
base = AutoModelForCausalLM.from_pretrained({base}, dtype=torch.float32)
model = PeftModel.from_pretrained(base, ".")
model.generation_config = GenerationConfig.from_pretrained(".")  # the base brings its own
tokenizer = AutoTokenizer.from_pretrained(".")
```

vLLM, which would otherwise use the chat template of the base model:

```sh
vllm serve {vllm_base} --enable-lora --max-lora-rank {rank} --lora-modules tuned=. --chat-template {template}
```"""


def _make(work: ExportWork, folder: Path) -> None:
    for file in work.trained.weights.iterdir():
        if file.is_file() and file.name not in TRAINING_RECORDS:
            shutil.copyfile(file, folder / file.name)
    if work.source.original is not None:
        name_base(folder, work.source.original.name, work.source.original.revision)
    save_tokenizer(work, folder)
    save_generation_config(work, folder)


def _check(trained: TrainedModel) -> None:
    if not trained.recipe.tuning.is_lora:
        raise RunFolderError(
            "export.no_adapter",
            f"{trained.name} trained all weights, so there is no adapter for --to peft. Export with --to hf"
            " or gguf.",
        )


def _verify(work: ExportWork, folder: Path, earlier: Sequence[Exported]) -> tuple[ExportComparison, str]:
    return compare(work.reference, "peft", folder, base=work.source.folder, precision="f32"), TRANSFORMERS


TARGET = ExportTarget(_make, _verify, LOADING, library="peft", needs_merged=False, check=_check)
