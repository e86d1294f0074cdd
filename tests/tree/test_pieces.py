"""Tokens as characters: no character is shown in part."""

from tutelage.tree.pieces import token_pieces, whole_characters


def decode(ids):
    return bytes(ids).decode("utf-8", "replace")


def test_a_token_is_shown_with_those_that_make_whole_characters_with_it():
    text = "a票b🥲"
    ids = list(text.encode())
    spans = [whole_characters(ids, place, decode) for place in range(len(ids))]
    assert [decode(ids[begin:end]) for begin, end in spans] == [*"a票票票b🥲🥲🥲🥲"]
    for span in spans:
        pieces = list(token_pieces(ids, [span], decode))
        assert "".join(piece.text for piece in pieces) == text
        assert sum(piece.tokens for piece in pieces) == len(ids)


def test_a_token_that_makes_no_character_stands_alone():
    assert whole_characters([0xFF, 0xFF, 0xFF], 1, decode) == (1, 2)
