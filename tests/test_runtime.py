"""What a process settles before torch is imported, and that it leaves alone what the user settled."""

import os
from unittest.mock import patch

import pytest
import torch

from tutelage import runtime
from tutelage.runtime import choose_dtype_to_open, settle_process


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
    assert choose_dtype_to_open(trained, torch.device("cpu")) is expected


def test_a_gpu_opens_a_model_in_the_type_of_its_training(monkeypatch):
    monkeypatch.setattr(runtime, "has_bfloat16_products", lambda: False)
    assert choose_dtype_to_open("bfloat16", torch.device("cuda")) is torch.bfloat16
