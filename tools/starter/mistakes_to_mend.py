"""Tasks that mend a sentence: missing capitals, a missing end mark, a verb that does not agree."""

from __future__ import annotations

from tools.starter.english_forms import third_person_of
from tools.starter.prompt_reading import one_changed_word, subject_of
from tools.starter.rows import Item, Task, items_from, lines_of


def mistake_tasks() -> tuple[Task, ...]:
    """Give the tasks of this theme."""
    return (
        Task("capitalisation", without_capitals(), *CAPITAL_WORDINGS, check=has_its_capitals_back),
        Task("punctuation", without_end_marks(), *END_MARK_WORDINGS, check=ends_in_the_right_mark),
        Task("agreement", items_from(DISAGREEING), *AGREEMENT_WORDINGS, check=agrees_with_its_subject),
    )


def without_capitals() -> tuple[Item, ...]:
    """Give sentences in small letters together with their proper form."""
    return tuple(Item(sentence.lower(), sentence) for sentence in lines_of(SENTENCES_WITH_NAMES))


def without_end_marks() -> tuple[Item, ...]:
    """Give sentences without their last mark together with their proper form."""
    return tuple(Item(sentence[:-1], sentence) for sentence in lines_of(STATEMENTS_AND_QUESTIONS))


def has_its_capitals_back(instruction: str, given: str, output: str) -> bool:
    """Give a capital to the first word, to "I" and to every name known to be one, and compare."""
    words = subject_of(instruction, given).split()
    capitalised = [
        word.capitalize() if place == 0 or word.rstrip(".,?").lower() in NAMES.split() else word
        for place, word in enumerate(words)
    ]
    return output == " ".join(capitalised)


def ends_in_the_right_mark(instruction: str, given: str, output: str) -> bool:
    """Expect a question mark where the first word asks, and a full stop otherwise."""
    sentence = subject_of(instruction, given)
    return output == sentence + ("?" if sentence.split()[0].lower() in ASKING_WORDS.split() else ".")


def agrees_with_its_subject(instruction: str, given: str, output: str) -> bool:
    """Accept one changed verb, in the form that the words before it ask for."""
    sentence = subject_of(instruction, given)
    changed = one_changed_word(sentence, output)
    if changed is None:
        return False
    subject = output.split(f" {changed[1]}", maxsplit=1)[0]
    is_plural = (
        subject in ("They", "We", "You", "I")
        or " and " in subject
        or subject.endswith(("s", "children", "people"))
    )
    singular, plural = (changed[0], changed[1]) if is_plural else (changed[1], changed[0])
    if (singular, plural) in (("is", "are"), ("was", "were"), ("has", "have"), ("doesn't", "don't")):
        return True
    return third_person_of(plural) == singular


CAPITAL_WORDINGS = (
    lines_of("""
        Correct the capital letters in the sentence.
        Add the missing capital letters.
        Fix the capitalisation.
        Rewrite the sentence with proper capitals.
        Everything is in small letters. Put the capitals where they belong.
        Capitalise this sentence correctly.
        Which letters should be capitals? Write the corrected sentence.
    """),
    lines_of("""
        Fix the capital letters in this sentence: {x}
        Add capitals where they are needed: {x}
        Write this with the right capitalisation: {x}
        Correct the capitalisation of "{x}"
        Please put in the missing capitals: {x}
        Rewrite with correct capital letters: {x}
    """),
)

SENTENCES_WITH_NAMES = """
    My uncle lives in Berlin.
    We fly to Madrid on Monday.
    Julia speaks French and German.
    The course starts in September.
    I met Daniel at the station.
    Her flight to Tokyo was late.
    On Friday we play football.
    The largest city in Italy is Rome.
    Sophie and Mark moved to Canada.
    Last August I was in Greece.
    Can you call Laura on Tuesday?
    The river Thames flows through London.
    My friend Oscar was born in May.
    Do you know where Vienna is?
    He reads a Spanish newspaper every Sunday.
    In January it often snows in Oslo.
    Emma and I are learning Italian.
    The train from Paris arrives at noon.
    Yesterday Thomas sold his old car.
    Is Lisbon in Portugal?
    The shop is closed until Thursday.
    Our neighbour Clara comes from Poland.
    They spent Christmas in Dublin.
    The museum in Prague was crowded.
    Next Saturday I will visit Helen.
    Every summer Ben works in Denmark.
    We had dinner with Nina and Victor.
    The Danube is a long river.
"""

NAMES = """
    berlin madrid monday julia french german september i daniel tokyo friday italy rome sophie mark canada
    august greece laura tuesday thames london oscar may vienna spanish sunday january oslo emma italian paris
    thomas lisbon portugal thursday clara poland christmas dublin prague saturday helen ben denmark nina
    victor danube
"""

END_MARK_WORDINGS = (
    lines_of("""
        Add the missing punctuation mark at the end.
        The last mark is missing. Write the sentence with it.
        Put a full stop or a question mark at the end of the sentence.
        Complete the punctuation.
        Fix the punctuation of this sentence.
        Does this end in a full stop or a question mark? Write the sentence out.
        Finish the sentence below with the right mark.
    """),
    lines_of("""
        Add a full stop or a question mark to this sentence: {x}
        Put the right mark at the end: {x}
        Punctuate this sentence: {x}
        Fix the missing end punctuation: {x}
        Write this with the correct final mark: {x}
        Add the missing mark at the end of "{x}"
    """),
)

STATEMENTS_AND_QUESTIONS = """
    Where do you live?
    The cat is asleep on the sofa.
    How much does this lamp cost?
    We baked a cake for Grandma.
    When does the next bus leave?
    My brother plays the drums.
    Who left the door open?
    The bridge was closed for a week.
    Why is the sky so dark?
    I found a coin in the street.
    Can you help me with this box?
    She never drinks coffee.
    Did they enjoy the concert?
    The shop around the corner sells fruit.
    Are these your gloves?
    It snowed all night.
    What time is it?
    They built a treehouse last summer.
    Have you ever seen a whale?
    His room is always tidy.
    Does the hotel have a pool?
    The soup needs more salt.
    Which platform does it leave from?
    Our teacher told us a story.
    Will it be sunny tomorrow?
    You can sit next to me.
    Is there any milk left?
    The pupils went home early.
"""

ASKING_WORDS = "where how when who why can did are what have does which will is"

AGREEMENT_WORDINGS = (
    lines_of("""
        Correct the verb so that it agrees with the subject.
        Fix the grammar mistake in the sentence.
        The verb does not match the subject. Rewrite the sentence.
        Correct the grammar, keeping the tense.
        There is an error with the verb form here. Write it correctly.
        Repair the subject-verb agreement.
    """),
    lines_of("""
        Fix the verb in this sentence: {x}
        Correct the grammar: {x}
        Make the verb agree with its subject: {x}
        What is the correct form of "{x}"?
        Rewrite "{x}" with correct grammar.
        Find and fix the grammar mistake: {x}
    """),
)

DISAGREEING = """
    She walk to school every day. | She walks to school every day.
    He like strawberry ice cream. | He likes strawberry ice cream.
    They was late again. | They were late again.
    We is ready to order. | We are ready to order.
    The dogs barks at night. | The dogs bark at night.
    My sister play the piano. | My sister plays the piano.
    The cars is parked outside. | The cars are parked outside.
    It rain a lot in autumn. | It rains a lot in autumn.
    You was right about him. | You were right about him.
    Tom and Eva lives next door. | Tom and Eva live next door.
    The baby cry when he is hungry. | The baby cries when he is hungry.
    The film start at eight. | The film starts at eight.
    Our teachers works very hard. | Our teachers work very hard.
    He have two brothers. | He has two brothers.
    The children plays in the park. | The children play in the park.
    She don't like onions. | She doesn't like onions.
    The keys was under the mat. | The keys were under the mat.
    My father watch the news at six. | My father watches the news at six.
    I has a question. | I have a question.
    This shop sell old books. | This shop sells old books.
    The windows needs cleaning. | The windows need cleaning.
    The train leave in ten minutes. | The train leaves in ten minutes.
"""
