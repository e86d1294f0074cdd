"""An export target that no module of the program has: the weights as one file of safetensors, and what each is."""

import json
from dataclasses import replace

from safetensors.torch import load_file, save_file

from tutelage.export.targets import TRANSFORMERS, ExportTarget, passing_folder
from tutelage.export.targets.hf_folder import make_merged
from tutelage.export.verification import compare

WEIGHTS, SHAPES = "weights.safetensors", "weights.json"


def make(work, folder):
    """Write the merged weights, and their shapes and number types."""
    state = {name: weight.detach().contiguous().clone() for name, weight in weights_of(work.merged)}
    save_file(state, folder / WEIGHTS)
    shapes = {name: [*weight.shape, str(weight.dtype)] for name, weight in state.items()}
    (folder / SHAPES).write_text(json.dumps(shapes))


def weights_of(module):
    """Return the names and weights of a model, tied ones once."""
    return dict(module.named_parameters()).items()


def verify(work, folder, earlier):
    """Put the weights into a folder of transformers, and let its own generate() answer."""
    with passing_folder(folder / ".read-back") as read_back:
        make_merged(work, read_back)
        save_file(load_file(folder / WEIGHTS), read_back / "model.safetensors", {"format": "pt"})
        found = compare(work.reference, "hf", read_back, base=work.source.folder, precision="f32")
    return found, TRANSFORMERS


def make_negated(work, folder):
    """Write the weights so that the least probable token is the most probable one."""
    make(work, folder)
    state = load_file(folder / WEIGHTS)
    save_file({**state, "model.norm.weight": -state["model.norm.weight"]}, folder / WEIGHTS)


TARGET = ExportTarget(make, verify, 'safetensors: `load_file("weights.safetensors")`')
BROKEN = replace(TARGET, make=make_negated)
