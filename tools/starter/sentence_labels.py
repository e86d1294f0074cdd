"""Tasks that put a label on a sentence: sentiment, topic, fact or opinion, and kind of sentence."""

from __future__ import annotations

import re

from tools.starter.prompt_reading import subject_of
from tools.starter.rows import Task, items_from, lines_of


def sentence_label_tasks() -> tuple[Task, ...]:
    """Give the tasks of this theme."""
    return (
        Task("sentiment", items_from(REVIEWS), *SENTIMENT_WORDINGS, check=has_the_mood_of_its_words),
        Task("topic", items_from(HEADLINES), *TOPIC_WORDINGS, check=has_the_topic_of_its_words),
        Task("fact_or_opinion", items_from(CLAIMS), *FACT_WORDINGS, check=is_an_opinion_only_if_it_judges),
        Task("sentence_kind", items_from(KINDS_OF_SENTENCE), *KIND_WORDINGS, check=has_the_shape_of_its_kind),
    )


def has_the_mood_of_its_words(instruction: str, given: str, output: str) -> bool:
    """Look for glad and for unhappy words; a review may hold words of one mood only."""
    words = words_of(subject_of(instruction, given))
    moods = [mood for mood, cues in MOOD_WORDS.items() if words & set(cues.split())]
    return moods == [output]


def has_the_topic_of_its_words(instruction: str, given: str, output: str) -> bool:
    """Look for the words of each topic; a headline may hold words of one topic only."""
    words = words_of(subject_of(instruction, given))
    return [topic for topic, cues in TOPIC_WORDS.items() if words & set(cues.split())] == [output]


def is_an_opinion_only_if_it_judges(instruction: str, given: str, output: str) -> bool:
    """Take a claim for an opinion if and only if it holds a word of judgement."""
    judges = bool(words_of(subject_of(instruction, given)) & set(WORDS_OF_JUDGEMENT.split()))
    return output == ("Opinion" if judges else "Fact")


def has_the_shape_of_its_kind(instruction: str, given: str, output: str) -> bool:
    """Know a question by its mark and a command by the bare verb it begins with."""
    sentence = subject_of(instruction, given)
    if sentence.endswith("?"):
        return output == "Question"
    return output == ("Command" if sentence.split()[0] in COMMANDING_WORDS.split() else "Statement")


def words_of(sentence: str) -> set[str]:
    """Give the words of a sentence in small letters."""
    return set(re.findall(r"[a-z]+", sentence.lower()))


SENTIMENT_WORDINGS = (
    lines_of("""
        Is the sentiment of this sentence positive or negative?
        Classify the review as positive or negative.
        What is the sentiment: positive or negative?
        Label the text Positive or Negative.
        Decide whether the writer is pleased. Answer Positive or Negative.
        Determine the sentiment of the comment below.
        Sentiment analysis: positive or negative?
        Read the customer comment and give its sentiment.
    """),
    lines_of("""
        Is this review positive or negative? "{x}"
        Classify the sentiment of this sentence: {x}
        Positive or negative? "{x}"
        What is the sentiment of "{x}"?
        Label this comment as positive or negative: {x}
        A customer wrote: "{x}" Is that positive or negative?
        Tell me the sentiment of this text: {x}
    """),
)

REVIEWS = """
    The staff were friendly and the room was spotless. | Positive
    I waited an hour and the food was cold. | Negative
    What a wonderful little book! | Positive
    The zip broke on the first day. | Negative
    I would recommend this hotel to everyone. | Positive
    The film was a waste of time. | Negative
    The cake was delicious. | Positive
    Their customer service is terrible. | Negative
    We had a fantastic day at the zoo. | Positive
    The instructions were confusing and incomplete. | Negative
    This is the best pillow I have ever owned. | Positive
    I am very disappointed with these shoes. | Negative
    The guide was funny and kind. | Positive
    The waiter was rude to my mother. | Negative
    My son loves his new bike. | Positive
    The screen arrived with a crack in it, so I want my money back. | Negative
    A great little café with excellent coffee. | Positive
    The bed was uncomfortable and the street was noisy. | Negative
    I am really happy with the result. | Positive
    The app crashes every time I open it. | Negative
    The view from our balcony was beautiful. | Positive
    The soup tasted awful. | Negative
    Everything worked perfectly from the start. | Positive
    The jacket looks cheap and fits badly. | Negative
    Thank you for the lovely evening! | Positive
    I regret buying this vacuum cleaner. | Negative
    The delivery was quick and the flowers were fresh. | Positive
    The concert was boring from start to finish. | Negative
    I enjoyed every minute of the trip. | Positive
    This was the worst meal of our holiday. | Negative
    The new keyboard is a joy to use. | Positive
    The bathroom was dirty when we arrived. | Negative
    Superb quality for such a low price. | Positive
    The toaster stopped working after a week. | Negative
    Our teacher is patient and always helpful. | Positive
    The tour was overpriced and far too short. | Negative
    I am impressed by how quiet this fan is. | Positive
    The seats were broken and it smelled bad. | Negative
    The lamp is pretty and easy to fix to the wall. | Positive
    I hate the taste of this toothpaste. | Negative
    It is a pleasure to shop here. | Positive
    The parcel was lost and nobody apologised. | Negative
"""

MOOD_WORDS = {
    "Positive": """
        friendly wonderful recommend delicious fantastic best kind loves great excellent happy beautiful
        perfectly lovely quick enjoyed joy superb helpful impressed pretty pleasure
    """,
    "Negative": """
        cold broke waste terrible confusing disappointed rude crack uncomfortable crashes awful badly regret
        boring worst dirty stopped overpriced broken hate lost
    """,
}

TOPIC_WORDINGS = (
    lines_of("""
        What is the topic of this headline: sport, weather, food, health or travel?
        Sort the headline into one of these topics: sport, weather, food, health, travel.
        Choose the topic that fits: weather, travel, sport, food or health.
        Classify the sentence by topic (food, sport, health, travel or weather).
        Assign one label: travel, food, weather, health or sport.
        Which section of the newspaper does this belong in: sport, food, weather, travel or health?
    """),
    lines_of("""
        Is this about sport, weather, food, health or travel? "{x}"
        Pick a topic (sport, weather, food, health or travel) for this headline: {x}
        Choose from food, health, sport, travel and weather. What is the topic of "{x}"?
        Which topic fits best, travel, sport, food, weather or health? "{x}"
        Give the topic of this text (health, weather, food, sport or travel): {x}
        Label the topic of "{x}" as weather, food, travel, sport or health.
    """),
)

HEADLINES = """
    Local team wins the final after extra time | Sport
    Heavy rain expected across the north this weekend | Weather
    Five soups that are ready in twenty minutes | Food
    New vaccine protects children against measles | Health
    Airline adds daily flights to Lisbon | Travel
    Young goalkeeper signs for a bigger club | Sport
    Fog and frost in the valleys on Monday morning | Weather
    Bakers share their secrets for better bread | Food
    Doctors advise older patients to walk every day | Health
    The ten best beaches for a summer holiday | Travel
    Champion breaks the record in the marathon | Sport
    Storm brings strong winds to the coast | Weather
    How to roast a chicken without drying it out | Food
    Hospital opens a new ward for heart patients | Health
    Tourists return to the islands after a quiet spring | Travel
    Tennis star withdraws before the second round | Sport
    Sunny spells and light clouds for most of the week | Weather
    This pasta recipe needs only four ingredients | Food
    Flu cases rise sharply in schools | Health
    Night trains connect more cities, and passengers love them | Travel
    Coach praises players after a narrow victory | Sport
    Snow closes mountain roads for a third day | Weather
    Chef opens a restaurant with an all-vegetable menu | Food
    Dentists warn against brushing too hard | Health
    Hotels near the old harbour are fully booked | Travel
    Swimmer takes gold in the relay | Sport
    Heatwave to last until Thursday | Weather
    The right cheese for every kind of sandwich | Food
    Nurses offer free blood pressure checks in the library | Health
    What to pack for a week of camping abroad | Travel
"""

TOPIC_WORDS = {
    "Sport": "team goalkeeper champion tennis coach swimmer",
    "Weather": "rain fog storm sunny snow heatwave",
    "Food": "soups bread chicken pasta restaurant cheese",
    "Health": "vaccine doctors hospital flu dentists nurses",
    "Travel": "airline beaches tourists passengers hotels abroad",
}

FACT_WORDINGS = (
    lines_of("""
        Is this statement a fact or an opinion?
        Fact or opinion?
        Decide whether the sentence states a fact or an opinion.
        Label the sentence Fact or Opinion.
        Classify the statement as fact or opinion.
        Could this be proved, or is it a matter of taste? Answer Fact or Opinion.
        Tell whether this is a fact or somebody's opinion.
    """),
    lines_of("""
        Is this a fact or an opinion? "{x}"
        Fact or opinion: {x}
        Would you call "{x}" a fact or an opinion?
        Label this as fact or opinion: {x}
        Decide if this is a fact or an opinion: {x}
        Does "{x}" state a fact or an opinion?
    """),
)

CLAIMS = """
    Water freezes at zero degrees Celsius. | Fact
    Cats make better pets than dogs. | Opinion
    A week has seven days. | Fact
    Autumn is the most beautiful season. | Opinion
    The Nile flows through Egypt. | Fact
    Pop music is too loud. | Opinion
    Bees make honey. | Fact
    Everyone should learn to play an instrument. | Opinion
    A triangle has three sides. | Fact
    Chess is a boring game. | Opinion
    The Earth goes around the Sun. | Fact
    Pizza tastes better than pasta. | Opinion
    Penguins cannot fly. | Fact
    Black coffee tastes horrible. | Opinion
    Madrid is the capital of Spain. | Fact
    Living in the country is nicer than living in a city. | Opinion
    Whales are mammals. | Fact
    Red cars are ugly. | Opinion
    There are sixty minutes in an hour. | Fact
    The best holidays are spent at the sea. | Opinion
    Spiders have eight legs. | Fact
    Homework is a silly idea. | Opinion
    Gold is a metal. | Fact
    Winter is the worst time of the year. | Opinion
    Plants need light to grow. | Fact
    Old films are more interesting than new ones. | Opinion
    Japan is made up of many islands. | Fact
    Painting is more fun than singing. | Opinion
    The human body has two lungs. | Fact
    Football is the most exciting sport in the world. | Opinion
    Ice is lighter than water. | Fact
    Nobody should get up before seven. | Opinion
    Shakespeare wrote Hamlet. | Fact
    Vanilla ice cream is boring. | Opinion
"""

WORDS_OF_JUDGEMENT = """
    better beautiful too should boring horrible nicer ugly best silly worst interesting fun exciting
"""

KIND_WORDINGS = (
    lines_of("""
        Is this sentence a statement, a question or a command?
        Statement, question or command?
        Name the kind of sentence: statement, question or command.
        Classify the sentence as a question, a statement or a command.
        What type of sentence is this? Choose statement, question or command.
        Decide whether the sentence tells, asks or orders. Answer Statement, Question or Command.
    """),
    lines_of("""
        Is this a statement, a question or a command? "{x}"
        What type of sentence is "{x}" (statement, question or command)?
        Statement, question or command? "{x}"
        Classify this sentence as a statement, a question or a command: {x}
        Tell me if this is a command, a question or a statement: {x}
        Which kind of sentence is this, a question, a command or a statement? "{x}"
    """),
)

KINDS_OF_SENTENCE = """
    Put the plates on the shelf. | Command
    The lake is frozen in winter. | Statement
    Who is at the door? | Question
    Turn left at the traffic lights. | Command
    My grandfather collects stamps. | Statement
    Have you fed the rabbits? | Question
    Read the first page aloud. | Command
    The ferry leaves every two hours. | Statement
    Where did you buy that scarf? | Question
    Wash your hands before dinner. | Command
    Our school has a large library. | Statement
    Is it still snowing? | Question
    Bring your passport to the desk. | Command
    Two swans were swimming on the pond. | Statement
    What would you like to drink? | Question
    Do not feed the ducks. | Command
    She painted the wall yellow. | Statement
    Can we go home now? | Question
    Listen to your coach. | Command
    This bridge is two hundred years old. | Statement
    How many stairs are there? | Question
    Lock the gate behind you. | Command
    The market is busy on Saturdays. | Statement
    Did the parcel arrive? | Question
    Stir the sauce until it thickens. | Command
    I forgot my gloves on the bus. | Statement
    Why are the lights off? | Question
    Fold the letter twice. | Command
"""

COMMANDING_WORDS = "Put Turn Read Wash Bring Do Listen Lock Stir Fold"
