import pytest

from tutelage.data.quality.languages import language_of


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("What is the capital of France? It is Paris.", "en"),
        ("Was ist die Hauptstadt von Frankreich? Das ist Paris.", "de"),
        ("Quelle est la capitale de la France ? C'est Paris.", "fr"),
        ("¿Cuál es la capital de Francia? Es una ciudad que se llama París.", "es"),
        ("Qual é a capital da França? É uma cidade que não dorme.", "pt"),
        ("Qual è la capitale della Francia? È una città che non dorme.", "it"),
        ("Wat is de hoofdstad van Frankrijk? Dat is een stad die niet slaapt.", "nl"),
        ("法国的首都是哪里？", "zh"),
        ("フランスの首都はどこですか。", "ja"),
        ("프랑스의 수도는 어디입니까?", "ko"),
        ("ما هي عاصمة فرنسا؟", "ar"),
        ("מהי בירת צרפת?", "he"),
        ("Какая столица Франции?", "ru"),
        ("Ποια είναι η πρωτεύουσα;", "el"),
        ("फ्रांस की राजधानी क्या है?", "hi"),
        ("เมืองหลวงของฝรั่งเศสคืออะไร", "th"),
        ("Translate the word 梨 into the language of the book.", "en"),
        ("把 pear 翻译成中文，并解释它的意思。", "zh"),
        ("Xyzzy plugh", "latin"),
        ("1 + 1 = 2", "none"),
        ("", "none"),
        ("😀", "none"),
    ],
)
def test_a_text_is_told_by_its_script_or_its_commonest_words(text, language):
    assert language_of(text) == language
