"""`hf`: the weights with the adapter merged, as transformers keeps a model."""

from collections.abc import Sequence
from pathlib import Path

from tutelage.export.record import Exported
from tutelage.export.style import TEMPLATE
from tutelage.export.targets import TRANSFORMERS, ExportTarget, ExportWork
from tutelage.export.verification import ExportComparison, compare
from tutelage.model.config_compatibility import adapt_config, adapt_tokenizer, write_generation_config
from tutelage.model.loading import quietly, vocabulary_size
from tutelage.run.folder import write_text

LOADING = """transformers:

```python
from transformers import pipeline
ask = pipeline("text-generation", model=".")
print(ask([{{"role": "user", "content": "Name a fruit."}}], max_new_tokens=64, do_sample=False))
```

vLLM: `vllm serve . --dtype float32`"""


def make_merged(work: ExportWork, folder: Path) -> None:
    """Write the merged model."""
    with quietly():
        work.merged.save_pretrained(folder)
    adapt_config(folder)
    save_tokenizer(work, folder)
    save_generation_config(work, folder)


def save_generation_config(work: ExportWork, folder: Path) -> None:
    """Write where answers end, and that they are greedy."""
    vocabulary = vocabulary_size(work.source.folder)
    write_generation_config(folder, work.style.tokenizer, work.ends, vocabulary=vocabulary)


def save_tokenizer(work: ExportWork, folder: Path) -> None:
    """Write the tokenizer with the run's template, as a file and in its configuration: some runtimes read only one."""
    tokenizer = work.style.tokenizer
    own = tokenizer.chat_template
    tokenizer.chat_template = work.style.jinja
    try:
        with quietly():
            tokenizer.save_pretrained(folder)
    finally:
        tokenizer.chat_template = own
    adapt_tokenizer(folder, chat_template=work.style.jinja)
    write_text(folder / TEMPLATE, work.style.jinja)


def _verify(work: ExportWork, folder: Path, earlier: Sequence[Exported]) -> tuple[ExportComparison, str]:
    return compare(work.reference, "hf", folder, base=work.source.folder, precision="f32"), TRANSFORMERS


TARGET = ExportTarget(make_merged, _verify, LOADING)
