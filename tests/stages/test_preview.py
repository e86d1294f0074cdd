"""Rows as the model sees them, called from a program: their tokens, and the tree that several of them share."""

import pytest
from support.rows import alpaca_values

from tutelage.config.recipe_file import load
from tutelage.errors import DataError
from tutelage.stages.inputs import Inputs
from tutelage.stages.preview import check_rows, draw_tree, render_answers, render_text, row_of
from tutelage.stages.reporter import Reporter


def prefixes(renderer, rows):
    """Return every distinct beginning of what is read of some rows: one node of the tree each."""
    examples = renderer.examples([row.row for row in rows], train_on="assistant")
    return {tuple(one.read_ids[:length]) for one in examples for length in range(1, len(one.read_ids) + 1)}


def test_a_row_is_shown_with_all_its_tokens_and_the_prompt_that_serving_sends(session_on, capsys):
    checked = check_rows(session_on().inputs)
    [(name, answer)] = render_answers(checked, row_of(checked, 3))
    assert name == "Answer"
    assert "".join(piece.text for piece in answer.pieces).startswith(answer.prompt)
    assert sum(piece.tokens for piece in answer.pieces) == len(answer.ids)
    supervised = sum(piece.tokens for piece in answer.pieces if piece.is_supervised)
    assert supervised == answer.supervised_tokens == len(answer.ids) - answer.prompt_tokens
    assert answer.is_prompt_equal
    assert capsys.readouterr() == ("", "")


def test_the_tree_counts_every_shared_token_once(session_on):
    checked = check_rows(session_on().inputs)
    tree, apart = (
        draw_tree(checked, checked.rows[:4]),
        [draw_tree(checked, [row]) for row in checked.rows[:4]],
    )
    assert tree.tokens == len(prefixes(checked.renderer, checked.rows[:4]))
    assert tree.tokens_apart == sum(one.tokens for one in apart) > tree.tokens
    assert tree.tokens != len(prefixes(checked.renderer, checked.rows[:3]))
    assert total(tree.nodes) == tree.tokens


def total(nodes):
    return sum(node.tokens + total(node.nodes) for node in nodes)


def test_preferences_have_two_answers(session_on, tmp_path):
    pairs = tmp_path / "pairs.jsonl"
    pairs.write_text('{"prompt": "Say.", "chosen": "yes", "rejected": "no"}\n')
    checked = check_rows(session_on(data__source=pairs, training__objective="dpo").inputs)
    found = dict(render_answers(checked, row_of(checked, 0)))
    assert list(found) == ["Chosen answer", "Rejected answer"]
    assert found["Chosen answer"].ids != found["Rejected answer"].ids
    assert draw_tree(checked, checked.rows).rows == 1


@pytest.mark.parametrize(("token", "place"), [("first", 0), ("last", -1)])
def test_a_text_is_shown_with_the_token_that_the_head_reads(tmp_path, model, token, place):
    labels = tmp_path / "labels.csv"
    labels.write_text("text,label\ngood day,fine\nbad day,poor\n")
    settings = {
        "data.source": labels,
        "data.pooling": token,
        "model.name_or_path": model,
        "training.objective": "classification",
    }
    loaded = load(None, {}, [f"{name}={value}" for name, value in settings.items()])
    checked = check_rows(Inputs(loaded, Reporter()))
    text = render_text(checked, row_of(checked, 1))
    assert (text.label, text.token) == ("poor", token)
    assert len(text.ids) > 1
    assert text.ids[text.place] == text.ids[place]
    [read] = [piece for piece in text.pieces if piece.is_supervised]
    assert read == text.pieces[place]


def test_a_row_that_is_not_there_is_refused(session_on, tmp_path):
    checked = check_rows(session_on().inputs)
    for number in (-1, len(alpaca_values(80))):
        with pytest.raises(DataError) as fault:
            row_of(checked, number)
        assert fault.value.code == "data.no_such_row"
    empty = tmp_path / "empty.jsonl"
    empty.write_text('{"instruction": "", "output": ""}\n')
    with pytest.raises(DataError) as fault:
        check_rows(session_on(data__source=empty).inputs)
    assert fault.value.code == "data.no_usable_rows"
