"""What a process settles before torch is imported, and that it leaves alone what the user settled."""

import os
from unittest.mock import patch

import pytest
import torch

from tutelage.config.recipe import Recipe
from tutelage.errors import RecipeError
from tutelage.system import runtime
from tutelage.system.runtime import choose_device, choose_dtype, choose_inference_dtype, settle_process


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, "5000"),
        ({"GOMP_SPINCOUNT": "300000"}, "300000"),
        ({"OMP_WAIT_POLICY": "ACTIVE"}, None),
    ],
)
def test_threads_sleep_soon_unless_the_user_says_otherwise(given, expected):
    with patch.dict(os.environ, given, clear=True):
        settle_process()
        assert os.environ.get("GOMP_SPINCOUNT") == expected


@pytest.mark.parametrize(
    ("trained", "is_native", "expected"),
    [
        ("bfloat16", True, torch.bfloat16),
        ("bfloat16", False, torch.float32),
        ("float32", True, torch.float32),
        ("float32", False, torch.float32),
    ],
)
def test_a_trained_model_is_opened_in_its_own_type_unless_that_is_emulated(
    monkeypatch, trained, is_native, expected
):
    monkeypatch.setattr(runtime, "has_bfloat16_products", lambda: is_native)
    assert choose_inference_dtype(trained, torch.device("cpu")) is expected


def test_a_gpu_opens_a_model_in_the_type_of_its_training(monkeypatch):
    monkeypatch.setattr(runtime, "has_bfloat16_products", lambda: False)
    assert choose_inference_dtype("bfloat16", torch.device("cuda")) is torch.bfloat16


def test_mps_is_taken_where_torch_has_it_and_refused_by_name_where_not(monkeypatch):
    """No Apple processor runs it here: only which device is taken is shown."""
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(RecipeError) as refused:
        choose_device("mps")
    assert refused.value.code == "device.no_mps"
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert takes_mps(choose_device)
    assert choose_device("auto").type != "mps"
    assert choose_dtype("auto", torch.device("mps")) is torch.float32
    assert choose_dtype("bfloat16", torch.device("mps")) is torch.bfloat16


def test_the_check_of_mps_catches_a_processor_taken_in_its_place():
    assert not takes_mps(lambda wanted: torch.device("cpu"))


def takes_mps(choose):
    return choose("mps").type == "mps"


@pytest.mark.parametrize(("given", "is_taken"), [("mps", True), ("metal", False)])
def test_a_recipe_takes_mps_and_no_other_name(given, is_taken):
    try:
        taken = Recipe.model_validate({"training": {"device": given}}).training.device
    except ValueError:
        taken = None
    assert taken == (given if is_taken else None)
