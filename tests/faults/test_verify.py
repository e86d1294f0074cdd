"""`tutelage verify` tells a run that came about as it says from one that did not."""

import shutil

import pytest
from safetensors.torch import load_file
from support.children import run

from tutelage.run.folder import RunFolder
from tutelage.system import storage

pytestmark = [pytest.mark.forks, pytest.mark.usefixtures("at_home")]


def test_verify_proves_a_run_and_finds_a_changed_bit(straight, home, tmp_path):
    copied = shutil.copytree(home / "straight", tmp_path / "run")
    for more in ([], ["--from-step", 0]):
        proved = run(["verify", copied, *more], tmp_path / "said.txt")
        assert proved.code == 0, proved.said
        assert "to step 6: weights and optimizer are bit-identical" in proved.said
    weights = copied / "model" / "adapter_model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    refused = run(["verify", copied], tmp_path / "said.txt")
    assert refused.code == 4, refused.said
    assert "adapter_model.safetensors does not match its checksum" in refused.said


def test_verify_finds_a_checkpoint_that_the_training_does_not_lead_to(straight, home, tmp_path):
    """Forged with a manifest of its own, so that only training again tells."""
    copied = shutil.copytree(home / "straight", tmp_path / "run")
    last = RunFolder(copied).checkpoint(6)
    weights = load_file(last / "optimizer.safetensors")
    name = next(name for name, value in weights.items() if value.ndim == 2)
    weights[name][0, 0] += 1e-3
    forge(last, weights)
    refused = run(["verify", copied], tmp_path / "said.txt")
    assert refused.code == 4, refused.said
    assert "optimizer.safetensors differ from" in refused.said


def forge(folder, weights):
    from safetensors.torch import save_file

    with storage.staged_folder(folder) as staged:
        shutil.copytree(folder, staged, dirs_exist_ok=True)
        save_file(weights, staged / "optimizer.safetensors")
        (staged / storage.MANIFEST).unlink()
