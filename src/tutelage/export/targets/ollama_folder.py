"""`ollama`: a GGUF file with the Modelfile that Ollama wants beside it."""

from dataclasses import replace
from pathlib import Path

from tutelage.export.ollama import modelfile
from tutelage.export.targets import ExportWork
from tutelage.export.targets.gguf_folder import LLAMA_CPP, make_gguf
from tutelage.export.targets.gguf_folder import TARGET as GGUF
from tutelage.model.loading import context_length
from tutelage.run.folder import gguf_name, write_text

MODELFILE = "Modelfile"


def _make(work: ExportWork, folder: Path) -> None:
    make_gguf(work, folder)
    context = context_length(work.source.folder)
    told = modelfile(gguf_name(work.quantization), work.style, context=context, license=work.source.license)
    write_text(folder / MODELFILE, told)


TARGET = replace(
    GGUF,
    make=_make,
    loading="Ollama:\n\n```sh\nollama create tuned -f Modelfile\nollama run tuned\n```\n\n" + LLAMA_CPP,
)
