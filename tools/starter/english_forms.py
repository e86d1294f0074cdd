"""The rules and tables of English word forms by which the checkers work answers out for themselves."""

from __future__ import annotations


def past_of(verb: str) -> str:
    """Give the past tense of a verb in its base form."""
    if verb in IRREGULAR_VERBS:
        return IRREGULAR_VERBS[verb][0]
    return regular_past_of(verb)


def participle_of(verb: str) -> str:
    """Give the past participle of a verb in its base form."""
    if verb in IRREGULAR_VERBS:
        return IRREGULAR_VERBS[verb][1]
    return regular_past_of(verb)


def regular_past_of(verb: str) -> str:
    """Add -ed by the rules of spelling."""
    if verb.endswith("e"):
        return verb + "d"
    if verb.endswith("y") and verb[-2] not in VOWELS:
        return verb[:-1] + "ied"
    if verb in DOUBLING_VERBS:
        return verb + verb[-1] + "ed"
    return verb + "ed"


def third_person_of(verb: str) -> str:
    """Give the form of a verb that goes with "she"."""
    if verb in THIRD_PERSON_EXCEPTIONS:
        return THIRD_PERSON_EXCEPTIONS[verb]
    return with_s(verb)


def base_of(form: str) -> str:
    """Give the base form of a present-tense verb such as "watches" or "watch".

    A form is taken for a base form unless it ends in a single s, so verbs in -s are not for this rule.
    """
    for base, exception in THIRD_PERSON_EXCEPTIONS.items():
        if form == exception:
            return base
    if form.endswith("ies"):
        return form[:-3] + "y"
    if form.endswith(("ches", "shes", "sses", "xes", "oes")):
        return form[:-2]
    if form.endswith("s") and not form.endswith("ss"):
        return form[:-1]
    return form


def plural_of(noun: str) -> str:
    """Give the plural of a noun."""
    if noun in IRREGULAR_PLURALS:
        return IRREGULAR_PLURALS[noun]
    return with_s(noun)


def with_s(word: str) -> str:
    """Add -s or -es by the rules of spelling."""
    if word.endswith("y") and word[-2] not in VOWELS:
        return word[:-1] + "ies"
    if word.endswith(("s", "x", "z", "ch", "sh", "o")) and word not in PLAIN_S_AFTER_O:
        return word + "es"
    return word + "s"


def comparative_of(adjective: str) -> str:
    """Give the comparative, such as "taller" or "more useful"."""
    return compared(adjective, "er", "more", IRREGULAR_COMPARISON.get(adjective, ("", ""))[0])


def superlative_of(adjective: str) -> str:
    """Give the superlative, such as "tallest" or "most useful"."""
    return compared(adjective, "est", "most", IRREGULAR_COMPARISON.get(adjective, ("", ""))[1])


def compared(adjective: str, ending: str, adverb: str, irregular: str) -> str:
    """Compare an adjective by ending, by adverb or by the irregular form if there is one."""
    if irregular:
        return irregular
    if syllables_in(adjective) > 2 or adjective.endswith(("ful", "ous", "less", "ern", "ed", "ing")):
        return f"{adverb} {adjective}"
    if adjective.endswith("e"):
        return adjective + ending[1:]
    if adjective.endswith("y"):
        return adjective[:-1] + "i" + ending
    if adjective[-1] in "dgntm" and adjective[-2] in VOWELS and adjective[-3] not in VOWELS:
        return adjective + adjective[-1] + ending
    return adjective + ending


def syllables_in(word: str) -> int:
    """Count the groups of vowels, without a silent e at the end."""
    stem = word[:-1] if word.endswith("e") and not word.endswith("le") else word
    previous, count = "", 0
    for letter in stem:
        if (letter in "aeiouy" and previous not in "aeiouy") or (letter in "aeiouy" and not previous):
            count += 1
        previous = letter
    return count


VOWELS = "aeiou"

DOUBLING_VERBS = frozenset({"stop", "plan", "drop", "travel"})

PLAIN_S_AFTER_O = frozenset({"piano", "photo", "radio", "zoo"})

THIRD_PERSON_EXCEPTIONS = {"be": "is", "have": "has", "do": "does", "go": "goes"}

IRREGULAR_VERBS = {
    line.split()[0]: (line.split()[1], line.split()[2])
    for line in """
    begin began begun
    bite bit bitten
    blow blew blown
    break broke broken
    bring brought brought
    build built built
    buy bought bought
    catch caught caught
    choose chose chosen
    come came come
    cut cut cut
    do did done
    draw drew drawn
    drink drank drunk
    drive drove driven
    eat ate eaten
    fall fell fallen
    feed fed fed
    feel felt felt
    find found found
    fly flew flown
    forget forgot forgotten
    get got got
    give gave given
    go went gone
    grow grew grown
    have had had
    hear heard heard
    hide hid hidden
    hold held held
    keep kept kept
    know knew known
    leave left left
    lose lost lost
    make made made
    meet met met
    pay paid paid
    ride rode ridden
    ring rang rung
    rise rose risen
    run ran run
    see saw seen
    sell sold sold
    send sent sent
    shake shook shaken
    sing sang sung
    sit sat sat
    sleep slept slept
    speak spoke spoken
    spend spent spent
    stand stood stood
    steal stole stolen
    sweep swept swept
    swim swam swum
    take took taken
    teach taught taught
    tell told told
    think thought thought
    throw threw thrown
    wake woke woken
    wear wore worn
    win won won
    write wrote written
    """.splitlines()
    if line.strip()
}

IRREGULAR_PLURALS = {
    "mouse": "mice", "child": "children", "foot": "feet", "tooth": "teeth", "goose": "geese", "man": "men",
    "woman": "women", "person": "people", "ox": "oxen", "sheep": "sheep", "deer": "deer", "fish": "fish",
    "leaf": "leaves", "knife": "knives", "wolf": "wolves", "shelf": "shelves", "wife": "wives",
    "loaf": "loaves", "half": "halves", "thief": "thieves", "life": "lives", "scarf": "scarves",
}  # fmt: skip

IRREGULAR_COMPARISON = {"good": ("better", "best"), "bad": ("worse", "worst"), "far": ("farther", "farthest")}
