"""The loss of the book's recipes on a tiny GPT-2, held against the book's definition written out plainly.

The book's batch: each row gets one end token and is padded with more of it to the longest; inputs are all but the last
token and targets all but the first; of the end tokens in a row's targets the first stays, the others become -100;
and the loss is the mean cross entropy over the targets of the batch that are left.
"""

import pytest
import torch
from support.rows import make_rows
from support.tiny_models import CPU, own_attention
from support.tiny_tokenizer import write_tiny_gpt2
from transformers import AutoModelForCausalLM

from tutelage.config.recipe_file import load
from tutelage.config.recipes import shipped_path
from tutelage.data.prompts.prompts import make_renderer
from tutelage.model.forward import MAX_NODES, CausalModel
from tutelage.model.loading import load_tokenizer
from tutelage.model.parity_check import check_parity
from tutelage.model.tree_attention import ATTENTION
from tutelage.training.step import accumulate_gradients
from tutelage.tree.batches import micro_batches

IGNORED = -100
TOLERANCE = 1e-6
# Instruction, input, output: eight rows of lengths from short to long, as one batch of the book has them.
ROWS = [
    ("Rewrite the sentence.", "The cat sat.", "The cat was seated."),
    ("Rewrite the sentence.", "The cat sat.", "A cat was sitting there."),
    ("Rewrite the sentence.", "The dog ran away over the hill.", "Over the hill ran the dog."),
    ("What is the opposite of up?", "", "Down."),
    ("What is the opposite of the word 'complicated'?", "", "The opposite is 'simple'."),
    ("Name three fruits.", "", "1. Pear\n2. Plum\n3. Fig"),
    ("Spell it.", "Ocassion", "Occasion"),
    ("Say nothing much, at some length.", "", "As I said, the other word is another word, and so on. " * 4),
]
OPENING = "Below is an instruction that describes a task. Write a response that appropriately completes the request."


def alpaca_in_two_parts(instruction, given, answer):
    """The book's text of a row, cut where the header of the response begins."""
    asked = f"{OPENING}\n\n### Instruction:\n{instruction}" + (f"\n\n### Input:\n{given}" if given else "")
    return asked, "\n\n### Response:\n", answer


def phi3_in_two_parts(instruction, given, answer):
    """The same in the Phi-3 style; the book writes a colon behind the last marker, Phi-3 and Tutelage do not."""
    return f"<|user|>\n{instruction}" + (f"\n{given}" if given else ""), "\n<|assistant|>\n", answer


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_tiny_gpt2(tmp_path_factory.mktemp("gpt2"))


@pytest.fixture(scope="module")
def model(folder):
    module = AutoModelForCausalLM.from_pretrained(folder, attn_implementation=ATTENTION, dtype=torch.float64)
    return CausalModel(module.eval(), CPU, torch.float64)


@pytest.fixture(scope="module")
def tokenizer(folder):
    return load_tokenizer(folder)


def our_loss(model, tokenizer, name, *, micro_batch_size=8):
    """The loss of one step over all rows, under the settings of a recipe that ships."""
    settings = load(shipped_path(name), {}, []).recipe.data
    examples = list(
        make_renderer(tokenizer, settings.prompt_template).examples(
            make_rows(ROWS), train_on=settings.train_on
        )
    )
    cut = micro_batches(examples, size=micro_batch_size, distinct_tokens=MAX_NODES)
    loss, *_ = accumulate_gradients(model, cut, normalizer=sum(example.supervised for example in examples))
    return loss


def book_loss(model, tokenizer, in_two_parts, *, masked=False, ends_kept=1, shift=1, mean_of_rows=False):
    """The book's loss; the last three arguments break it."""
    end = tokenizer.eos_token_id
    rows, masked_tokens = [], []
    for row in ROWS:
        asked, header, answer = in_two_parts(*row)
        rows.append(tokenizer.encode(asked + header + answer, add_special_tokens=False))
        masked_tokens.append(len(tokenizer.encode(asked + header, add_special_tokens=False)))
    longest = max(map(len, rows)) + 1
    padded = torch.tensor([row + [end] * (longest + 1 - len(row)) for row in rows])  # (rows, longest + 1)
    inputs, targets = padded[:, :longest], padded[:, shift : shift + longest].clone()
    if shift == 0:
        targets = inputs.clone()
    for row, prompt_tokens in zip(targets, masked_tokens, strict=True):
        ends = (row == end).nonzero()[:, 0]
        row[ends[ends_kept:]] = IGNORED
        if masked:
            row[: prompt_tokens - 1] = IGNORED
    with torch.no_grad(), own_attention(model.module):
        logits = model.module(inputs, use_cache=False).logits  # (rows, longest, vocabulary)

    def mean(logits, targets):
        return torch.nn.functional.cross_entropy(
            logits.flatten(0, -2), targets.flatten(), ignore_index=IGNORED
        )

    if mean_of_rows:
        return (
            torch.stack([mean(one, other) for one, other in zip(logits, targets, strict=True)]).mean().item()
        )
    return mean(logits, targets).item()


RECIPES = {
    "book-ch7": (alpaca_in_two_parts, False),
    "book-ch7-phi3": (phi3_in_two_parts, False),
    "book-ch7-masked": (alpaca_in_two_parts, True),
}


@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.parametrize("micro_batch_size", [8, 3])
def test_our_loss_is_the_books(model, tokenizer, name, micro_batch_size):
    style, masked = RECIPES[name]
    ours = our_loss(model, tokenizer, name, micro_batch_size=micro_batch_size)
    assert ours == pytest.approx(book_loss(model, tokenizer, style, masked=masked), abs=TOLERANCE)


@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.parametrize(
    "fault",
    [{"ends_kept": 0}, {"ends_kept": 2}, {"ends_kept": 1000}, {"shift": 0}, {"mean_of_rows": True}],
    ids=[
        "no end token",
        "two end tokens",
        "padding learned",
        "targets not shifted",
        "mean of the rows' means",
    ],
)
def test_a_broken_definition_is_caught(model, tokenizer, name, fault):
    style, masked = RECIPES[name]
    broken = book_loss(model, tokenizer, style, masked=masked, **fault)
    assert abs(our_loss(model, tokenizer, name) - broken) > 100 * TOLERANCE


@pytest.mark.parametrize("name", RECIPES)
def test_the_mask_and_the_style_of_another_recipe_are_caught(model, tokenizer, name):
    for other, (style, masked) in RECIPES.items():
        if other != name:
            difference = our_loss(model, tokenizer, name) - book_loss(model, tokenizer, style, masked=masked)
            assert abs(difference) > 100 * TOLERANCE


def test_the_header_that_the_books_masked_variant_still_learns_is_masked_here(model, tokenizer):
    def header_with_the_answer(*row):
        asked, header, answer = alpaca_in_two_parts(*row)
        return asked, "", header + answer

    theirs = book_loss(model, tokenizer, header_with_the_answer, masked=True)
    assert abs(our_loss(model, tokenizer, "book-ch7-masked") - theirs) > 100 * TOLERANCE


def test_gpt2_with_its_learned_positions_is_exact_over_trees(model, tokenizer):
    examples = list(make_renderer(tokenizer, "alpaca").examples(make_rows(ROWS), train_on="all"))
    check_parity(model, examples[:2])
