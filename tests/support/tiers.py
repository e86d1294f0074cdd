"""Mark one value of a parametrized test as slow; CONTRIBUTING.md says which tests are."""

import pytest


def slow(*values):
    return pytest.param(*values, marks=pytest.mark.slow)
