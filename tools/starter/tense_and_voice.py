"""Tasks that rewrite a sentence by its verb: past, future, passive, question and negation."""

from __future__ import annotations

import re

from tools.starter.english_forms import IRREGULAR_VERBS, base_of, participle_of, past_of
from tools.starter.prompt_reading import one_changed_word, subject_of
from tools.starter.rows import Task, items_from, lines_of


def tense_and_voice_tasks() -> tuple[Task, ...]:
    """Give the tasks of this theme."""
    return (
        Task("past_sentence", items_from(PRESENT_TO_PAST), *PAST_WORDINGS, check=is_the_same_in_the_past),
        Task("future_sentence", items_from(PRESENT_TO_FUTURE), *FUTURE_WORDINGS, check=is_the_same_with_will),
        Task("passive", items_from(ACTIVE_TO_PASSIVE), *PASSIVE_WORDINGS, check=says_the_same_in_the_passive),
        Task(
            "question",
            items_from(STATEMENT_TO_QUESTION),
            *QUESTION_WORDINGS,
            check=asks_by_swapping_the_auxiliary,
        ),
        Task("negative", items_from(STATEMENT_TO_NEGATIVE), *NEGATIVE_WORDINGS, check=only_adds_not),
    )


def is_the_same_in_the_past(instruction: str, given: str, output: str) -> bool:
    """Accept the sentence with one word changed, a present-tense verb to its past."""
    changed = one_changed_word(subject_of(instruction, given), output)
    if changed is None:
        return False
    old, new = changed
    return new == {"is": "was", "am": "was", "are": "were"}.get(old, past_of(base_of(old)))


def is_the_same_with_will(instruction: str, given: str, output: str) -> bool:
    """Take "will" out again; the word after it must be the base form of the verb that stood there."""
    words = output.split()
    if words.count("will") != 1:
        return False
    place = words.index("will")
    sentence = subject_of(instruction, given).split()
    if len(sentence) != len(words) - 1 or place >= len(sentence):
        return False
    verb = sentence[place].rstrip(".")
    base = "be" if verb in ("is", "are", "am") else base_of(verb)
    rest_is_kept = sentence[:place] == words[:place] and sentence[place + 1 :] == words[place + 2 :]
    return rest_is_kept and words[place + 1].rstrip(".") == base


def says_the_same_in_the_passive(instruction: str, given: str, output: str) -> bool:
    """Turn the passive answer back into the active and compare it with the prompt."""
    parts = re.fullmatch(r"(.+) (was|were) (\w+) by (.+)\.", output)
    if parts is None:
        return False
    patient, auxiliary, participle, agent = parts.groups()
    is_plural = patient.endswith("s") or patient.split()[-1] in ("children", "sheep") or " and " in patient
    simple_pasts = {participle_of(verb): past_of(verb) for verb in IRREGULAR_VERBS}
    if participle not in simple_pasts and not participle.endswith("ed"):
        return False
    active = f"{agent} {simple_pasts.get(participle, participle)} {patient}."
    same_words = active.lower() == subject_of(instruction, given).lower()
    return same_words and (auxiliary == "were") == is_plural and output[0].isupper() and agent[0].islower()


def asks_by_swapping_the_auxiliary(instruction: str, given: str, output: str) -> bool:
    """Move the auxiliary from the front of the question back behind the subject and compare."""
    auxiliary, _, rest = output.partition(" ")
    words = subject_of(instruction, given).split()
    if auxiliary.lower() not in AUXILIARIES or auxiliary.lower() not in words or not output.endswith("?"):
        return False
    words.remove(auxiliary.lower())
    statement = " ".join(words).removesuffix(".")
    if statement.split()[0] not in KEEP_THEIR_CAPITAL:
        statement = statement[0].lower() + statement[1:]
    return rest == statement + "?" and auxiliary.istitle()


def only_adds_not(instruction: str, given: str, output: str) -> bool:
    """Take "not" out again; it must have stood right behind the first auxiliary."""
    words = output.split()
    sentence = subject_of(instruction, given).split()
    first = next((place for place, word in enumerate(sentence) if word in AUXILIARIES), None)
    return first is not None and words == [*sentence[: first + 1], "not", *sentence[first + 1 :]]


AUXILIARIES = frozenset({"is", "are", "am", "was", "were", "will", "has", "have", "can", "should"})

KEEP_THEIR_CAPITAL = frozenset({"Maria", "Peter"})

PAST_WORDINGS = (
    lines_of("""
        Rewrite the sentence in the past tense.
        Put this sentence into the simple past.
        Change the sentence from present to past tense.
        Turn the sentence below into the past tense.
        Say this as something that already happened. Use the simple past.
        Please write the same sentence in the past tense.
    """),
    lines_of("""
        Change this sentence to the past tense: {x}
        Put this into the simple past: {x}
        Write the following in the past tense: {x}
        How would you say "{x}" in the past tense?
        Rewrite "{x}" in the past tense.
        Past tense, please: {x}
    """),
)

PRESENT_TO_PAST = """
    She walks to work by the river. | She walked to work by the river.
    The boys play chess after lunch. | The boys played chess after lunch.
    My father cooks on Sundays. | My father cooked on Sundays.
    The bus stops in front of the school. | The bus stopped in front of the school.
    We visit our cousins in summer. | We visited our cousins in summer.
    Olga studies medicine in Vienna. | Olga studied medicine in Vienna.
    They live in a small flat. | They lived in a small flat.
    The baby cries at night. | The baby cried at night.
    He opens the shop at nine. | He opened the shop at nine.
    I enjoy long walks in the forest. | I enjoyed long walks in the forest.
    The dog barks at the postman. | The dog barked at the postman.
    Our teacher explains the rule twice. | Our teacher explained the rule twice.
    The train leaves from platform two. | The train left from platform two.
    She writes letters to her grandmother. | She wrote letters to her grandmother.
    We eat soup with fresh bread. | We ate soup with fresh bread.
    The sun rises behind the hills. | The sun rose behind the hills.
    He drives a red van. | He drove a red van.
    They sing in the church choir. | They sang in the church choir.
    I know the answer. | I knew the answer.
    The children sleep in the big tent. | The children slept in the big tent.
    My sister has a black cat. | My sister had a black cat.
    The soup is too salty. | The soup was too salty.
    The streets are empty. | The streets were empty.
    Paul buys apples at the market. | Paul bought apples at the market.
    We meet at the station. | We met at the station.
    The river runs through the old town. | The river ran through the old town.
    I am tired of waiting. | I was tired of waiting.
    Grandpa tells funny stories. | Grandpa told funny stories.
"""

FUTURE_WORDINGS = (
    lines_of("""
        Rewrite the sentence in the future tense with 'will'.
        Put this sentence into the future, using will.
        Change the sentence from the present to the future tense (will).
        Turn the sentence below into the future tense.
        Use 'will' to make this a sentence about the future.
        Please write the same sentence in the simple future.
    """),
    lines_of("""
        Change this sentence to the future tense: {x}
        Put this into the simple future: {x}
        Write this in the future with will: {x}
        How would you say "{x}" in the future tense?
        Rewrite "{x}" in the future tense.
        Future tense with will, please: {x}
    """),
)

PRESENT_TO_FUTURE = """
    The concert starts at seven. | The concert will start at seven.
    She calls her mother from the airport. | She will call her mother from the airport.
    We paint the fence green. | We will paint the fence green.
    He takes the early train. | He will take the early train.
    My parents sell their car. | My parents will sell their car.
    I help you with the boxes. | I will help you with the boxes.
    They move to a bigger house. | They will move to a bigger house.
    The museum opens a new hall. | The museum will open a new hall.
    It rains in the mountains. | It will rain in the mountains.
    The plumber repairs the tap. | The plumber will repair the tap.
    You find the key under the mat. | You will find the key under the mat.
    Our team wins the cup. | Our team will win the cup.
    Nora bakes a cake for the party. | Nora will bake a cake for the party.
    The children watch a film. | The children will watch a film.
    The library closes at six. | The library will close at six.
    We travel through Spain by car. | We will travel through Spain by car.
    He washes the dishes after dinner. | He will wash the dishes after dinner.
    The plane lands on time. | The plane will land on time.
    I write to the landlord. | I will write to the landlord.
    She is a good nurse. | She will be a good nurse.
    The shops are busy. | The shops will be busy.
    Emil carries the heavy bags. | Emil will carry the heavy bags.
    The farmers pick the grapes. | The farmers will pick the grapes.
    They sleep at a friend's place. | They will sleep at a friend's place.
    The bank sends a new card. | The bank will send a new card.
    The guide shows us the castle. | The guide will show us the castle.
"""

PASSIVE_WORDINGS = (
    lines_of("""
        Rewrite the sentence in the passive voice.
        Change this sentence from active to passive.
        Put the sentence into the passive, keeping the tense.
        Turn the active sentence into a passive one.
        Use the passive voice to say the same thing.
        Please make this sentence passive.
    """),
    lines_of("""
        Change this sentence into the passive voice: {x}
        Rewrite in the passive: {x}
        What is the passive form of "{x}"?
        Put "{x}" into the passive voice.
        Make this active sentence passive: {x}
        Turn this into a passive sentence: {x}
    """),
)

ACTIVE_TO_PASSIVE = """
    The fox chased the rabbit. | The rabbit was chased by the fox.
    The storm damaged the roof. | The roof was damaged by the storm.
    My aunt baked the bread. | The bread was baked by my aunt.
    The children planted the trees. | The trees were planted by the children.
    A thief stole the painting. | The painting was stolen by a thief.
    The teacher corrected the tests. | The tests were corrected by the teacher.
    The mechanic repaired the brakes. | The brakes were repaired by the mechanic.
    A nurse opened the door. | The door was opened by a nurse.
    The wind broke the window. | The window was broken by the wind.
    The mayor opened the bridge. | The bridge was opened by the mayor.
    The dog ate the sausages. | The sausages were eaten by the dog.
    The pupils wrote the play. | The play was written by the pupils.
    A famous architect built the tower. | The tower was built by a famous architect.
    The waiter served the soup. | The soup was served by the waiter.
    The jury chose the winner. | The winner was chosen by the jury.
    The farmer sold the horses. | The horses were sold by the farmer.
    Our neighbour found the keys. | The keys were found by our neighbour.
    The snow covered the fields. | The fields were covered by the snow.
    The manager signed the contract. | The contract was signed by the manager.
    The police stopped the car. | The car was stopped by the police.
    A stranger drew this picture. | This picture was drawn by a stranger.
    The choir sang the last song. | The last song was sung by the choir.
    The cook forgot the salt. | The salt was forgotten by the cook.
    The students cleaned the classroom. | The classroom was cleaned by the students.
    My brother washed the plates. | The plates were washed by my brother.
"""

QUESTION_WORDINGS = (
    lines_of("""
        Turn the statement into a question.
        Rewrite this sentence as a yes/no question.
        Make a question out of this sentence.
        Change the statement into a yes/no question by moving the verb.
        Ask this as a question.
        Convert the sentence below to a question.
    """),
    lines_of("""
        Turn this statement into a question: {x}
        Make this a yes/no question: {x}
        Rewrite "{x}" as a question.
        How do you ask "{x}" as a question?
        Change this sentence into a question: {x}
        Form a question from this statement: {x}
    """),
)

STATEMENT_TO_QUESTION = """
    They are ready for the test. | Are they ready for the test?
    The shop is open on Sundays. | Is the shop open on Sundays?
    She can swim very well. | Can she swim very well?
    The guests have arrived. | Have the guests arrived?
    He will join us for dinner. | Will he join us for dinner?
    The tickets were expensive. | Were the tickets expensive?
    It was cold in the cabin. | Was it cold in the cabin?
    Maria has finished her book. | Has Maria finished her book?
    You are from Portugal. | Are you from Portugal?
    The keys are on the table. | Are the keys on the table?
    We should wait outside. | Should we wait outside?
    Peter is working today. | Is Peter working today?
    The dog can open the gate. | Can the dog open the gate?
    This seat is free. | Is this seat free?
    The film was good. | Was the film good?
    They will move the meeting. | Will they move the meeting?
    Your parents have met him. | Have your parents met him?
    The water is warm enough. | Is the water warm enough?
    He was at the dentist. | Was he at the dentist?
    The lights were on. | Were the lights on?
    She has sent the letter. | Has she sent the letter?
    The train will be late. | Will the train be late?
    There is a bank near here. | Is there a bank near here?
    We can pay by card. | Can we pay by card?
    The children are asleep. | Are the children asleep?
"""

NEGATIVE_WORDINGS = (
    lines_of("""
        Make this sentence negative. Use 'not'.
        Rewrite the sentence in the negative, without contractions.
        Turn the statement into a negative one.
        Add 'not' so that the sentence says the opposite.
        Change the sentence below to its negative form.
        Negate the sentence with the full word 'not'.
    """),
    lines_of("""
        Make this negative: {x}
        Rewrite this sentence with not: {x}
        What is the negative form of "{x}"?
        Negate this sentence: {x}
        Change "{x}" into a negative sentence.
        Put this statement into the negative: {x}
    """),
)

STATEMENT_TO_NEGATIVE = """
    The soup is hot. | The soup is not hot.
    We are in a hurry. | We are not in a hurry.
    My brother was at home. | My brother was not at home.
    The shoes were cheap. | The shoes were not cheap.
    She will come to the party. | She will not come to the party.
    They have seen the film. | They have not seen the film.
    The bus has left. | The bus has not left.
    I am afraid of spiders. | I am not afraid of spiders.
    You should touch the wires. | You should not touch the wires.
    This answer is correct. | This answer is not correct.
    The museum is far from here. | The museum is not far from here.
    His hands were clean. | His hands were not clean.
    The room has been cleaned. | The room has not been cleaned.
    It was a good idea. | It was not a good idea.
    The apples are ripe. | The apples are not ripe.
    Our neighbours are noisy. | Our neighbours are not noisy.
    I will forget your birthday. | I will not forget your birthday.
    The lift is working. | The lift is not working.
    The letters have arrived. | The letters have not arrived.
    That was my fault. | That was not my fault.
    The water is deep. | The water is not deep.
    Dinner will be ready at six. | Dinner will not be ready at six.
    The pupils were late. | The pupils were not late.
    The battery is empty. | The battery is not empty.
    He has paid the bill. | He has not paid the bill.
    These chairs are comfortable. | These chairs are not comfortable.
    The door was locked. | The door was not locked.
"""
