import pytest
from support.fake_examples import PREAMBLE

from tutelage.evaluation.stats.clusters import cluster_rows, shared_frame


def asked(*instructions):
    return [f"{PREAMBLE}\n\n### Instruction:\n{text}\n\n### Response:\n" for text in instructions]


def test_equal_and_nearly_equal_prompts_are_one_cluster():
    long = "Convert the temperature of the water in the kettle from {} degrees Celsius to Fahrenheit."
    prompts = asked(
        long.format(25), "Name a bird.", long.format(26), "name a bird", "What is the capital of Peru?"
    )
    assert cluster_rows(prompts).tolist() == [0, 1, 0, 1, 4]


def test_what_a_third_prompt_joins_is_joined():
    letters = "abcdefghijklmnopqrstuvwxyz"
    # Each shares over four fifths with its neighbour; the first and the last share less.
    chain = asked(letters + "0456", letters + "0456" + "12398", letters + "0456" + "12398" + "87135")
    assert cluster_rows(chain).tolist() == [0, 0, 0]
    assert cluster_rows([chain[0], chain[2], *asked("Another thing")]).tolist() == [0, 1, 2]


def test_the_preamble_does_not_make_prompts_alike():
    assert cluster_rows(asked("Name a bird.", "Name a fish.", "Name a tree.")).tolist() == [0, 1, 2]


def test_prompts_that_are_all_the_same_are_one_cluster():
    assert cluster_rows(asked("Name a bird.") * 3).tolist() == [0, 0, 0]
    assert cluster_rows([]).tolist() == []


@pytest.mark.parametrize(
    ("opening", "ending"),
    [
        ("<|im_start|>user\n", "<|im_end|>\n<|im_start|>assistant\n"),
        (
            "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\n",
            "<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n",
        ),
        ("<bos><start_of_turn>user\n", "<end_of_turn>\n<start_of_turn>model\n"),
        ("<s>[INST]", "[/INST]"),
    ],
)
def test_the_frame_of_a_chat_template_ends_at_its_control_tokens(opening, ending):
    prompts = [
        f"{opening}Name {one} with a < b?{ending}" for one in ("a bird", "a tree", "a bird and a tree")
    ]
    assert shared_frame(prompts) == (opening, ending)
    # Words that all questions share stay with them.
    assert shared_frame([prompt.replace(ending, "") for prompt in prompts]) == (opening, "")


def test_the_frame_that_prompts_share_is_whole_lines():
    assert shared_frame(["Task:\nDo this\nAnswer:\n", "Task:\nDo that\nAnswer:\n"]) == (
        "Task:\n",
        "\nAnswer:\n",
    )
    assert shared_frame(["a\na\n", "a\na\na\n"]) == ("a\na\n", "")
    assert shared_frame(["same\n", "same\n"]) == ("", "")
