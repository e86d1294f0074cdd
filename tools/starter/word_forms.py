"""Tasks about the forms and classes of words: plural, past tense, comparison and part of speech."""

from __future__ import annotations

from tools.starter.english_forms import comparative_of, past_of, plural_of, superlative_of
from tools.starter.prompt_reading import subject_of
from tools.starter.rows import Item, Task, items_from, lines_of


def word_form_tasks() -> tuple[Task, ...]:
    """Give the tasks of this theme."""
    return (
        Task(
            "plural", items_from(PLURALS), *PLURAL_WORDINGS, check=is_the_plural,
            answer_form="The plural of '{x}' is '{a}'.",
        ),
        Task(
            "past_tense_verb", items_from(PAST_TENSES), *PAST_TENSE_WORDINGS, check=is_the_past_tense,
            answer_form="The past tense of '{x}' is '{a}'.",
        ),
        Task("comparative", items_from(COMPARATIVES), *COMPARATIVE_WORDINGS, check=is_the_comparative),
        Task("superlative", items_from(SUPERLATIVES), *SUPERLATIVE_WORDINGS, check=is_the_superlative),
        Task("part_of_speech", words_with_their_class(), *PART_OF_SPEECH_WORDINGS, check=is_the_known_class),
    )  # fmt: skip


def words_with_their_class() -> tuple[Item, ...]:
    """Give every word of the table with the name of its class."""
    return tuple(Item(word, name) for name, words in WORD_CLASSES.items() for word in words.split())


def is_the_plural(instruction: str, given: str, output: str) -> bool:
    """Work the plural out by rule and compare the whole sentence."""
    noun = subject_of(instruction, given)
    return output == f"The plural of '{noun}' is '{plural_of(noun)}'."


def is_the_past_tense(instruction: str, given: str, output: str) -> bool:
    """Work the past tense out by rule and compare the whole sentence."""
    verb = subject_of(instruction, given)
    return output == f"The past tense of '{verb}' is '{past_of(verb)}'."


def is_the_comparative(instruction: str, given: str, output: str) -> bool:
    """Work the comparative out by rule."""
    return output == comparative_of(subject_of(instruction, given))


def is_the_superlative(instruction: str, given: str, output: str) -> bool:
    """Work the superlative out by rule."""
    return output == superlative_of(subject_of(instruction, given))


def is_the_known_class(instruction: str, given: str, output: str) -> bool:
    """Look the word up in the table of word classes; only adverbs may end in -ly or mean a frequency."""
    word = subject_of(instruction, given)
    is_adverb = word.endswith("ly") or word in ("often", "never", "soon", "seldom")
    return word in WORD_CLASSES.get(output, "").split() and is_adverb == (output == "Adverb")


PLURAL_WORDINGS = (
    lines_of("""
        What is the plural of this noun?
        Give the plural form of the word.
        Make this noun plural.
        Turn the singular noun into its plural.
        How do you write more than one of these?
        State the plural.
        Write the plural form.
    """),
    lines_of("""
        What is the plural form of '{x}'?
        How do you form the plural of '{x}'?
        Give me the plural of the noun '{x}'.
        Tell me the plural of '{x}', please.
        What do we call more than one '{x}'?
        Write '{x}' in the plural.
        Write the plural of this noun: {x}
    """),
)

PLURALS = """
    mouse | mice
    child | children
    foot | feet
    tooth | teeth
    goose | geese
    woman | women
    person | people
    sheep | sheep
    leaf | leaves
    knife | knives
    wolf | wolves
    shelf | shelves
    loaf | loaves
    thief | thieves
    scarf | scarves
    box | boxes
    bus | buses
    church | churches
    dish | dishes
    glass | glasses
    city | cities
    baby | babies
    story | stories
    cherry | cherries
    country | countries
    potato | potatoes
    hero | heroes
    toy | toys
    key | keys
    window | windows
    photo | photos
"""

PAST_TENSE_WORDINGS = (
    lines_of("""
        What is the past tense of this verb?
        Give the simple past of the verb.
        Put the verb into the past tense.
        State the past tense form.
        Write the past tense of the verb below.
        Change this verb to the simple past.
        How does this verb look in the past tense?
    """),
    lines_of("""
        What is the past tense of the verb '{x}'?
        Give me the past tense of '{x}'.
        How do you say '{x}' in the past tense?
        Put the verb '{x}' into the simple past.
        Which form does '{x}' take in the past tense?
        Write the past tense of this verb: {x}
        Today I {x}. What is the past tense of {x}?
    """),
)

PAST_TENSES = """
    go | went
    see | saw
    eat | ate
    write | wrote
    ring | rang
    swim | swam
    buy | bought
    bring | brought
    teach | taught
    catch | caught
    wear | wore
    speak | spoke
    break | broke
    drive | drove
    ride | rode
    blow | blew
    grow | grew
    take | took
    give | gave
    run | ran
    make | made
    leave | left
    sleep | slept
    walk | walked
    study | studied
    carry | carried
    stop | stopped
    plan | planned
    play | played
    cook | cooked
"""

COMPARATIVE_WORDINGS = (
    lines_of("""
        Give the comparative form of the adjective.
        What is the comparative of this adjective?
        Write the form that goes before 'than'.
        Turn this adjective into its comparative.
        Form the comparative.
        Which form of this adjective compares two things?
    """),
    lines_of("""
        What is the comparative of '{x}'?
        Give the comparative form of '{x}'.
        How do you form the comparative of '{x}'?
        Which form of '{x}' is used before the word than?
        Write the comparative of this adjective: {x}
        Tell me the comparative of {x}.
    """),
)

COMPARATIVES = """
    tall | taller
    small | smaller
    cold | colder
    young | younger
    long | longer
    cheap | cheaper
    nice | nicer
    large | larger
    wide | wider
    big | bigger
    thin | thinner
    happy | happier
    easy | easier
    heavy | heavier
    noisy | noisier
    good | better
    bad | worse
    careful | more careful
    famous | more famous
    dangerous | more dangerous
    expensive | more expensive
    comfortable | more comfortable
"""

SUPERLATIVE_WORDINGS = (
    lines_of("""
        Give the superlative form of the adjective.
        What is the superlative of this adjective?
        Turn the adjective into its superlative, without 'the'.
        Form the superlative.
        Write the superlative form of the word below.
        Which form of this adjective means the highest degree?
    """),
    lines_of("""
        What is the superlative of '{x}'?
        Give the superlative form of '{x}'.
        How do you form the superlative of '{x}'?
        Write '{x}' in the superlative, leaving out the article.
        Write the superlative of this adjective: {x}
        Tell me the superlative of {x}.
    """),
)

SUPERLATIVES = """
    fast | fastest
    short | shortest
    warm | warmest
    old | oldest
    strong | strongest
    high | highest
    brave | bravest
    safe | safest
    late | latest
    hot | hottest
    fat | fattest
    funny | funniest
    busy | busiest
    early | earliest
    dirty | dirtiest
    pretty | prettiest
    useful | most useful
    modern | most modern
    beautiful | most beautiful
    difficult | most difficult
    popular | most popular
    interesting | most interesting
"""

PART_OF_SPEECH_WORDINGS = (
    lines_of("""
        Is this word a noun, a verb, an adjective or an adverb?
        What part of speech is the word?
        Name the word class (noun, verb, adjective or adverb).
        Classify the word as noun, verb, adjective or adverb.
        Identify the part of speech.
        Which word class does this word belong to?
        Noun, verb, adjective or adverb?
    """),
    lines_of("""
        What part of speech is '{x}'?
        Is '{x}' a noun, a verb, an adjective or an adverb?
        Which word class does '{x}' belong to?
        Name the part of speech of the word '{x}'.
        Classify this word as noun, verb, adjective or adverb: {x}
        Tell me the word class of '{x}'.
        Grammar question, what kind of word is '{x}'?
    """),
)

WORD_CLASSES = {
    "Noun": "kitchen teacher honesty bicycle mountain happiness government umbrella library",
    "Verb": "arrive forget explain decide destroy receive believe become invite",
    "Adjective": "beautiful dangerous famous tiny hungry useful careless enormous expensive",
    "Adverb": "quickly happily carefully often loudly slowly never politely easily",
}
