"""`target_log_probs` over a tree against the model on one example at a time, token by token."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from support.tiny_models import (
    END,
    FAMILIES,
    gradients_of,
    largest_relative_difference,
    log_probs_token_by_token,
    ragged_examples,
    siblings_see_each_other,
    tiny_model,
)

from tutelage.model.forward import CausalModel, target_log_probs
from tutelage.tree.examples import Example
from tutelage.tree.prefix_tree import PrefixTree, merge


@pytest.fixture(params=FAMILIES)
def model(request) -> CausalModel:
    return tiny_model(request.param)


def largest_difference(model, examples, *, changed=lambda tree: tree) -> float:
    """Return the largest difference in nats from the reference, over trees of 16 examples."""
    differences = []
    with torch.no_grad():
        for begin in range(0, len(examples), 16):
            run = examples[begin : begin + 16]
            found = target_log_probs(model, changed(merge(run)))
            expected = torch.cat([log_probs_token_by_token(model.module, example) for example in run])
            assert found.shape == expected.shape
            assert len(expected) == sum(example.supervised for example in run)
            differences.append((found - expected).abs().max().item())
    return max(differences)


def test_a_tree_gives_the_log_probabilities_of_one_example_at_a_time(model):
    assert largest_difference(model, ragged_examples(200)) < 1e-10


def test_targets_stand_in_the_order_of_the_examples(model):
    examples = ragged_examples(12, seed=1)
    backwards = examples[::-1]
    with torch.no_grad():
        forwards = target_log_probs(model, merge(examples)).split([e.supervised for e in examples])
        reversed_ = target_log_probs(model, merge(backwards)).split([e.supervised for e in backwards])
    for one, other in zip(forwards, reversed_[::-1], strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-12)


@pytest.mark.parametrize("family", FAMILIES)
def test_float32_rounds_by_less_than_5e_6(family):
    exact, rounded = tiny_model(family), tiny_model(family, dtype=torch.float32)
    examples = ragged_examples(16)
    with torch.no_grad():
        found = target_log_probs(rounded, merge(examples))
        expected = target_log_probs(exact, merge(examples))
    assert found.dtype == torch.float32
    # Relative to 1 nat and more: log-probabilities of these models reach -20.
    assert ((found - expected).abs() / expected.abs().clamp(min=1)).max() < 5e-6


@pytest.mark.parametrize("family", FAMILIES)
def test_bfloat16_sums_the_vocabulary_in_float32(family):
    examples = ragged_examples(16)
    with torch.no_grad():
        found = target_log_probs(tiny_model(family, dtype=torch.bfloat16), merge(examples))
    assert found.dtype == torch.float32


def nodes_do_not_see_the_first(tree: PrefixTree) -> PrefixTree:
    """Each path that goes on has its second node in the place of its first."""
    return replace(tree, paths=[np.append(path[1:2], path[1:]) for path in tree.paths])


def positions_count_nodes(tree: PrefixTree) -> PrefixTree:
    return replace(tree, depths=np.arange(len(tree.depths)))


def targets_are_one_late(tree: PrefixTree) -> PrefixTree:
    return replace(tree, target_ids=np.roll(tree.target_ids, 1))


def a_target_is_predicted_by_its_own_node(tree: PrefixTree) -> PrefixTree:
    after = np.minimum(tree.target_parents + 1, len(tree.token_ids) - 1)
    return replace(tree, target_parents=after)


@pytest.mark.parametrize(
    "fault",
    [
        siblings_see_each_other,
        nodes_do_not_see_the_first,
        positions_count_nodes,
        targets_are_one_late,
        a_target_is_predicted_by_its_own_node,
    ],
)
def test_a_wrong_tree_is_caught(model, fault):
    assert largest_difference(model, ragged_examples(16), changed=fault) > 1e-2


def tree_gradients(model, examples):
    (-target_log_probs(model, merge(examples)).sum()).backward()
    return gradients_of(model.module)


def one_at_a_time_gradients(model, examples):
    for example in examples:
        (-log_probs_token_by_token(model.module, example).sum()).backward()
    return gradients_of(model.module)


def test_gradients_of_a_tree_are_the_sum_of_those_of_its_examples(model):
    examples = ragged_examples(16)
    found, expected = tree_gradients(model, examples), one_at_a_time_gradients(model, examples)
    assert largest_relative_difference(found, expected) < 1e-10


@pytest.mark.parametrize("family", FAMILIES)
def test_under_autocast_a_tree_is_as_near_to_float32_as_one_example_at_a_time(family):
    examples = ragged_examples(16)
    exact = tree_gradients(tiny_model(family), examples)

    def error(gradients) -> float:
        assert {gradient.dtype for gradient in gradients.values()} == {torch.float32}
        wide = {name: gradient.double() for name, gradient in gradients.items()}
        return largest_relative_difference(wide, exact)

    model = tiny_model(family, dtype=torch.float32, compute_dtype=torch.bfloat16)
    of_the_tree = tree_gradients(model, examples)
    with model.autocast():
        one_at_a_time = one_at_a_time_gradients(model, examples)
    assert error(of_the_tree) < 1.25 * error(one_at_a_time)


def test_gradients_where_shared_nodes_count_once_are_caught(model):
    examples = ragged_examples(16)
    once = list({example.ids: example for example in examples}.values())
    assert len(once) < len(examples)
    difference = largest_relative_difference(
        tree_gradients(model, once), one_at_a_time_gradients(model, examples)
    )
    assert difference > 1e-3


def test_a_row_that_stands_twice_weighs_twice(model):
    example = ragged_examples(8)[0]
    once, twice = tree_gradients(model, [example]), tree_gradients(model, [example, example])
    doubled = {name: 2 * gradient for name, gradient in once.items()}
    assert largest_relative_difference(twice, doubled) < 1e-12


def edited(example: Example, place: int) -> Example:
    ids = list(example.ids)
    ids[place] = (ids[place] + 1) % END
    return replace(example, ids=tuple(ids))


def changes_of_the_others(model, examples, index, changed, *, broken=lambda tree: tree) -> list[float]:
    """Replace one example by another version; return by how much each other log-probability moved."""
    counts = [example.supervised for example in examples]
    after = [*examples[:index], changed, *examples[index + 1 :]]
    with torch.no_grad():
        one = target_log_probs(model, broken(merge(examples))).split(counts)
        other = target_log_probs(model, broken(merge(after))).split(counts)
    assert not torch.equal(one[index], other[index])
    return [
        (before - now).abs().max().item()
        for place, (before, now) in enumerate(zip(one, other, strict=True))
        if place != index
    ]


def own_last_token(example: Example) -> int:
    """The last place that other tokens follow; in the examples below no other example has its node."""
    return len(example.ids) - 2


@pytest.fixture
def branches() -> list[Example]:
    """Three responses to one prompt, whose order stays the same when the last token of one grows by 1."""
    prompt = (5, 9, 2, 7)
    return [Example(row, (*prompt, 10 * row, 3, 4, 6 + row, END), len(prompt), 5) for row in range(3)]


@pytest.mark.parametrize("index", [0, 1, 2])
def test_an_edit_in_one_example_leaves_the_others_bitwise_the_same(model, branches, index):
    changed = edited(branches[index], own_last_token(branches[index]))
    assert changes_of_the_others(model, branches, index, changed) == [0.0, 0.0]


def test_an_edit_that_seeps_into_a_sibling_is_caught(model, branches):
    changed = edited(branches[0], own_last_token(branches[0]))
    changes = changes_of_the_others(model, branches, 0, changed, broken=siblings_see_each_other)
    assert min(changes) > 1e-4


def test_an_edit_anywhere_leaves_the_others_the_same(model):
    examples = ragged_examples(12, seed=3)
    for index, example in enumerate(examples):
        for place in (0, example.prompt_tokens - 1, len(example.ids) - 1):
            # An edit can split or join nodes; the matrix products then have other shapes and round otherwise.
            assert max(changes_of_the_others(model, examples, index, edited(example, place))) < 1e-12


def test_training_mode_without_dropout_gives_what_evaluation_mode_gives(model):
    tree = merge(ragged_examples(12))
    with torch.no_grad():
        model.module.eval()
        evaluated = target_log_probs(model, tree)
        model.module.train()
        assert torch.equal(target_log_probs(model, tree), evaluated)
