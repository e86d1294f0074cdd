"""Tasks about single words and their spelling: misspellings, antonyms and synonyms."""

from __future__ import annotations

import re

from tools.starter.prompt_reading import one_changed_word, subject_of
from tools.starter.rows import Item, Task, items_from, lines_of


def spelling_and_word_tasks() -> tuple[Task, ...]:
    """Give the tasks of this theme."""
    return (
        Task(
            "spelling_word", items_from(MISSPELT_WORDS), *SPELLING_WORD_WORDINGS, check=is_the_known_spelling
        ),
        Task(
            "spelling_sentence", misspelt_sentences(), *SPELLING_SENTENCE_WORDINGS, check=mends_one_known_word
        ),
        Task("antonym", items_from(ANTONYMS), *ANTONYM_WORDINGS, check=is_the_known_antonym),
        Task("synonym", synonym_items(), *SYNONYM_WORDINGS, check=is_the_synonym_offered, input_form="{d}"),
    )


def misspelt_sentences() -> tuple[Item, ...]:
    """Turn each sentence with a marked slip, as in "a [freind] friend", into its wrong and its right form."""
    items: list[Item] = []
    for line in lines_of(SENTENCES_WITH_A_SLIP):
        wrong = re.sub(r"\[(\w+)\] \w+", r"\1", line)
        right = re.sub(r"\[\w+\] ", "", line)
        items.append(Item(wrong, right))
    return tuple(items)


def synonym_items() -> tuple[Item, ...]:
    """Offer each synonym among two words of another meaning, in a place that changes from item to item."""
    items: list[Item] = []
    for position, line in enumerate(items_from(SYNONYMS)):
        options = line.detail.split(", ")
        options.insert(position % 3, line.answer)
        items.append(Item(line.text, line.answer, ", ".join(options)))
    return tuple(items)


def is_the_known_spelling(instruction: str, given: str, output: str) -> bool:
    """Accept the properly spelt word that is nearest to the misspelt one."""
    return mends(subject_of(instruction, given), output)


def mends_one_known_word(instruction: str, given: str, output: str) -> bool:
    """Accept the sentence of the prompt with nothing changed but one misspelt word."""
    changed = one_changed_word(subject_of(instruction, given), output)
    return changed is not None and mends(*changed)


def mends(wrong: str, right: str) -> bool:
    """Tell whether the first is no proper word and the second the nearest one, at most two edits away."""
    proper = {item.answer for item in items_from(MISSPELT_WORDS)} | set(PROPERLY_SPELT.split())
    nearest = min(edit_distance(wrong, word) for word in proper)
    return wrong not in proper and right in proper and edit_distance(wrong, right) == nearest <= 2


def edit_distance(one: str, other: str) -> int:
    """Count the letters to insert, delete or replace to turn one word into the other."""
    row = list(range(len(other) + 1))
    for i, letter in enumerate(one, start=1):
        before, row[0] = row[0], i
        for j, wanted in enumerate(other, start=1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (letter != wanted))
    return row[-1]


def is_the_known_antonym(instruction: str, given: str, output: str) -> bool:
    """Look the word up in the table of opposites."""
    opposites = {item.text: item.answer for item in items_from(ANTONYMS)}
    return opposites.get(subject_of(instruction, given)) == output


def is_the_synonym_offered(instruction: str, given: str, output: str) -> bool:
    """Accept the only word offered that the table of synonyms has for the quoted word."""
    word = instruction.split("'")[1]
    offered = re.split(r", ", given or instruction.split(": ", 1)[1].rstrip("?."))
    meanings = {item.text: item.answer for item in items_from(SYNONYMS)}
    return [option for option in offered if option == meanings.get(word)] == [output]


SPELLING_WORD_WORDINGS = (
    lines_of("""
        Correct the spelling of this word.
        This word is misspelled. Write it correctly.
        Fix the typo. Reply with the word only.
        What is the right spelling?
        Spell the word properly.
        Please give me the correct spelling of the word below.
        Someone typed this word wrong. What should it be?
    """),
    lines_of("""
        What is the correct spelling of '{x}'?
        How should '{x}' be spelled?
        Fix the spelling mistake in this word: {x}
        Correct this misspelled word: {x}
        I typed '{x}' but it looks wrong. How is it spelled?
        Write '{x}' with the right spelling.
    """),
)

MISSPELT_WORDS = """
    becuase | because
    tommorow | tomorrow
    beleive | believe
    neccessary | necessary
    adress | address
    goverment | government
    wierd | weird
    libary | library
    buisness | business
    seperate | separate
    begining | beginning
    suprise | surprise
    diffrent | different
    enviroment | environment
    knowlege | knowledge
    restarant | restaurant
    intresting | interesting
    vegtable | vegetable
    speach | speech
    foriegn | foreign
"""

SPELLING_SENTENCE_WORDINGS = (
    lines_of("""
        Correct the spelling mistake in the sentence.
        One word in this sentence is misspelled. Rewrite the sentence correctly.
        Fix the typo in the text below.
        Proofread the sentence and correct the misspelled word.
        Please spell-check this sentence.
        Rewrite the sentence with the right spelling.
        There is a spelling error here. Write the sentence without it.
    """),
    lines_of("""
        Fix the spelling error in this sentence: {x}
        Correct the misspelled word: {x}
        Rewrite this with the correct spelling: {x}
        Please check the spelling of "{x}" and write it correctly.
        Find the typo and give me the corrected sentence: {x}
        Can you correct the spelling in "{x}"?
    """),
)

SENTENCES_WITH_A_SLIP = """
    My best [freind] friend lives next door.
    We will [recieve] receive the parcel on Friday.
    The children played happily in the [gardin] garden.
    I left my [umbrela] umbrella on the bus.
    She [definately] definitely wants to come with us.
    Please wait a [minite] minute before you start.
    He forgot to lock the [kichen] kitchen door.
    The [wether] weather was cold and wet all week.
    They visited a small [villige] village in the hills.
    Her [bycicle] bicycle has a flat tyre.
    This soup tastes [realy] really good.
    Our train leaves at [eigth] eight in the morning.
    The museum is closed on [Wensday] Wednesday.
    I cannot [rember] remember where I put my keys.
    She gave me some good [advic] advice about sleep.
    We had a long [converstion] conversation about music.
    Both answers are [probly] probably wrong.
    There is a [beutiful] beautiful view from the tower.
    You can pay at the [recepton] reception desk.
    My [nieghbour] neighbour grows tomatoes on her balcony.
    The shop sells [chocolat] chocolate and fresh bread.
    Everyone [excpt] except Martin was on time.
    He is [allways] always late for lunch.
    The [langauge] language course starts in autumn.
    I read an [intersting] interesting article about whales.
    The [temprature] temperature drops at night.
    Please sign your name at the [botom] bottom of the page.
    We need a new [compter] computer for the office.
    She wrote a kind [mesage] message to her aunt.
    The match ended with a [suprising] surprising result.
"""

PROPERLY_SPELT = """
    friend receive garden umbrella definitely minute kitchen weather village bicycle really eight
    Wednesday remember advice conversation probably beautiful reception neighbour chocolate except
    always language interesting temperature bottom computer message surprising
"""

ANTONYM_WORDINGS = (
    lines_of("""
        Give the opposite of this word.
        What is the antonym of the word?
        Write one word that means the opposite.
        Find an antonym.
        Which word is the opposite of the one given?
        Name the opposite. One word is enough.
        Reply with an antonym for the word below.
    """),
    lines_of("""
        What word is the opposite of '{x}'?
        Tell me the opposite of the word '{x}'.
        Which word means the opposite of '{x}'?
        I need an antonym for '{x}'.
        Give one antonym of '{x}'.
        What's the opposite of {x}?
        Write down the opposite of this word: {x}
    """),
)

ANTONYMS = """
    hot | cold
    big | small
    fast | slow
    early | late
    full | empty
    clean | dirty
    heavy | light
    strong | weak
    wet | dry
    tall | short
    wide | narrow
    shallow | deep
    happy | sad
    night | day
    push | pull
    buy | sell
    win | lose
    love | hate
    inside | outside
    above | below
    before | after
    first | last
    loud | quiet
    near | far
    difficult | easy
    cheap | expensive
    friend | enemy
    success | failure
    north | south
    east | west
    increase | decrease
    asleep | awake
    dangerous | safe
    rough | smooth
    public | private
    remember | forget
    never | always
    ancient | modern
    polite | rude
    possible | impossible
    visible | invisible
    legal | illegal
    honest | dishonest
    agree | disagree
    appear | disappear
    lock | unlock
"""

SYNONYM_WORDINGS = (
    lines_of("""
        Which word in the list means nearly the same as '{x}'?
        Pick the synonym of '{x}' from these words.
        Choose the word that is closest in meaning to '{x}'.
        One of these words is a synonym for '{x}'. Which one?
        Select the best synonym for '{x}'.
        Which of the following could replace '{x}' in a sentence?
    """),
    lines_of("""
        Which of these words is a synonym of '{x}': {d}?
        Pick the word that means the same as '{x}': {d}
        Choose a synonym for '{x}' from this list: {d}
        Which word is closest in meaning to '{x}': {d}?
        What is another word for '{x}'? Choose from: {d}
        Find the synonym of '{x}' among these: {d}
    """),
)

SYNONYMS = """
    large | big | green, sour
    begin | start | sing, paint
    quick | fast | wooden, quiet
    glad | happy | hungry, tall
    silent | quiet | broken, heavy
    furious | angry | sleepy, clean
    tiny | small | bright, famous
    wealthy | rich | cold, young
    intelligent | clever | round, noisy
    ill | sick | funny, straight
    purchase | buy | throw, listen
    shout | yell | whisper, sit
    difficult | hard | sweet, empty
    repair | fix | break, borrow
    assist | help | forget, drive
    reply | answer | climb, bake
    gift | present | window, journey
    error | mistake | garden, colour
    physician | doctor | farmer, painter
    automobile | car | bottle, forest
    home | house | pencil, cloud
    attractive | beautiful | late, wet
    close | shut | wash, count
    speak | talk | sleep, carry
    odd | strange | warm, full
"""
