"""Conversations of several answers, through the tree and one at a time: equal log-probabilities in equal order."""

import torch
from support.tiny_models import tiny_model

from tutelage.model.forward import target_log_probs
from tutelage.model.parity_check import check_parity, one_at_a_time_log_probs
from tutelage.tree.examples import Example
from tutelage.tree.prefix_tree import merge

ONE = Example(0, (5, 6, 7, 8, 9, 10, 11, 12), 6, 4, earlier_spans=((2, 4),))
OTHER = Example(1, (5, 6, 7, 8, 20, 21, 22), 5, 4, earlier_spans=((2, 4),))


@torch.no_grad()
def test_every_answer_of_a_conversation_has_the_log_probs_that_it_has_alone():
    model = tiny_model("llama")
    tree = target_log_probs(model, merge([ONE, OTHER]))
    alone = torch.cat(one_at_a_time_log_probs(model, [ONE, OTHER]))
    assert len(tree) == ONE.supervised + OTHER.supervised
    assert (tree - alone).abs().max() < 1e-5  # the reference's norms go through float32
    shifted = torch.cat(one_at_a_time_log_probs(model, [ONE, Example(1, OTHER.ids, 5, 4, ((1, 3),))]))
    assert (tree - shifted).abs().max() > 0.1
    check_parity(model, [ONE, OTHER])
