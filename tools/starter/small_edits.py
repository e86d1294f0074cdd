"""Tasks that rephrase a sentence lightly: contractions, their expansion, joining and politeness."""

from __future__ import annotations

import re

from tools.starter.prompt_reading import subject_of
from tools.starter.rows import Task, items_from, lines_of


def small_edit_tasks() -> tuple[Task, ...]:
    """Give the tasks of this theme."""
    return (
        Task("contraction", items_from(FULL_TO_SHORT), *CONTRACTION_WORDINGS, check=is_the_same_contracted),
        Task("expansion", items_from(SHORT_TO_FULL), *EXPANSION_WORDINGS, check=is_the_same_written_out),
        Task("combine", items_from(PAIRS_TO_JOIN), *COMBINE_WORDINGS, check=joins_the_two_sentences),
        Task("polite_request", items_from(ORDERS), *POLITE_WORDINGS, check=asks_for_the_same_politely),
    )


def is_the_same_contracted(instruction: str, given: str, output: str) -> bool:
    """Write the one contraction of the answer out again and compare it with the prompt."""
    return output.count("'") == 1 and written_out(output) == subject_of(instruction, given)


def is_the_same_written_out(instruction: str, given: str, output: str) -> bool:
    """Write the contraction of the prompt out and compare it with the answer."""
    return "'" not in output and written_out(subject_of(instruction, given)) == output


def written_out(sentence: str) -> str:
    """Replace "won't" and "can't" by the table, and the other contractions by their endings."""
    for short, full in (("won't", "will not"), ("can't", "cannot")):
        sentence = sentence.replace(short, full)
    for short, full in (("n't", " not"), ("'re", " are"), ("'m", " am"), ("'ll", " will"), ("'ve", " have")):
        sentence = sentence.replace(short, full)
    return re.sub(r"(?i)\b(it|he|she|that|there|what|where|here)'s\b", r"\1 is", sentence)


def joins_the_two_sentences(instruction: str, given: str, output: str) -> bool:
    """Join the two sentences of the prompt with the quoted word, with a comma before "but" and "so"."""
    conjunction = instruction.split("'")[1]
    both = given or instruction.split(": ", 1)[1]
    first, second = both.split(". ")
    if not second.startswith("I "):
        second = second[0].lower() + second[1:]
    comma = "," if conjunction in ("but", "so") else ""
    return output == f"{first}{comma} {conjunction} {second}"


def asks_for_the_same_politely(instruction: str, given: str, output: str) -> bool:
    """Expect the order, with a small first letter, after "Could you please"."""
    order = subject_of(instruction, given)
    return output == f"Could you please {order[0].lower()}{order[1:].rstrip('.!')}?"


CONTRACTION_WORDINGS = (
    lines_of("""
        Rewrite the sentence with a contraction.
        Use a contraction to shorten this sentence.
        Make the sentence less formal by using a contraction.
        Contract the words that can be contracted.
        Shorten the sentence below with an apostrophe.
        Write this the way people say it, with a contraction.
    """),
    lines_of("""
        Rewrite this with a contraction: {x}
        Use a contraction in this sentence: {x}
        Shorten "{x}" by using a contraction.
        How does "{x}" look with a contraction?
        Contract this sentence: {x}
        Make this sound less stiff with a contraction: {x}
    """),
)

FULL_TO_SHORT = """
    I do not like cold coffee. | I don't like cold coffee.
    The bus does not stop here. | The bus doesn't stop here.
    We did not hear the bell. | We didn't hear the bell.
    The shop is not open yet. | The shop isn't open yet.
    My shoes are not dry. | My shoes aren't dry.
    The test was not difficult. | The test wasn't difficult.
    The seats were not free. | The seats weren't free.
    Paul cannot find his glasses. | Paul can't find his glasses.
    The car will not start. | The car won't start.
    You should not drive so fast. | You shouldn't drive so fast.
    Children could not enter the hall. | Children couldn't enter the hall.
    The letter has not arrived. | The letter hasn't arrived.
    My parents have not decided. | My parents haven't decided.
    It is time to go. | It's time to go.
    She is a brilliant cook. | She's a brilliant cook.
    He is on the phone. | He's on the phone.
    I am very thirsty. | I'm very thirsty.
    We are almost there. | We're almost there.
    They are from Norway. | They're from Norway.
    You are early today. | You're early today.
    I will call the plumber. | I'll call the plumber.
    They will be home by ten. | They'll be home by ten.
    We have lost the map. | We've lost the map.
    There is a spider in the bath. | There's a spider in the bath.
    That is a great idea. | That's a great idea.
    I would not say that. | I wouldn't say that.
"""

EXPANSION_WORDINGS = (
    lines_of("""
        Rewrite the sentence without the contraction.
        Write out the contraction in full.
        Expand the contracted words.
        Replace the short form with the full words.
        Make the sentence more formal by writing the contraction out.
        Give the sentence below with no contractions.
    """),
    lines_of("""
        Expand the contraction in this sentence: {x}
        Write this without contractions: {x}
        Rewrite "{x}" with the contraction written out.
        What is the full form of "{x}"?
        Replace the contraction with full words: {x}
        No contractions, please: {x}
    """),
)

SHORT_TO_FULL = """
    I don't know this street. | I do not know this street.
    She doesn't eat meat. | She does not eat meat.
    They didn't answer the phone. | They did not answer the phone.
    The milk isn't fresh. | The milk is not fresh.
    The stairs aren't safe. | The stairs are not safe.
    My bag wasn't heavy. | My bag was not heavy.
    The roads weren't icy. | The roads were not icy.
    I can't reach the shelf. | I cannot reach the shelf.
    The printer won't work. | The printer will not work.
    We shouldn't wait any longer. | We should not wait any longer.
    Lena couldn't sleep last night. | Lena could not sleep last night.
    The rain hasn't stopped. | The rain has not stopped.
    We haven't met before. | We have not met before.
    It's raining again. | It is raining again.
    She's my favourite teacher. | She is my favourite teacher.
    He's afraid of the dark. | He is afraid of the dark.
    I'm looking for my hat. | I am looking for my hat.
    We're very proud of you. | We are very proud of you.
    They're waiting at the gate. | They are waiting at the gate.
    You're right about the price. | You are right about the price.
    I'll bring the salad. | I will bring the salad.
    You'll love this book. | You will love this book.
    I've read the report. | I have read the report.
    There's a letter for you. | There is a letter for you.
    That's the wrong door. | That is the wrong door.
    The dog wouldn't come inside. | The dog would not come inside.
"""

COMBINE_WORDINGS = (
    lines_of("""
        Join the two sentences with '{d}'.
        Combine these sentences into one, using '{d}'.
        Use the word '{d}' to connect the sentences.
        Make one sentence out of the two with '{d}'.
        Link the two sentences below with '{d}'.
        Rewrite as a single sentence with '{d}'.
    """),
    lines_of("""
        Join these two sentences with '{d}': {x}
        Combine into one sentence using '{d}': {x}
        Use '{d}' to connect these sentences: {x}
        Make a single sentence with '{d}': {x}
        Put '{d}' between these sentences to make one: {x}
        Link these with the word '{d}': {x}
    """),
)

PAIRS_TO_JOIN = """
    I stayed at home. It was raining. | I stayed at home because it was raining. | because
    She opened the window. The room was hot. | She opened the window because the room was hot. | because
    We missed the bus. We left too late. | We missed the bus because we left too late. | because
    He is tired. He worked all night. | He is tired because he worked all night. | because
    The baby is crying. She is hungry. | The baby is crying because she is hungry. | because
    They took a taxi. The train was late. | They took a taxi because the train was late. | because
    I wear glasses. I cannot see well. | I wear glasses because I cannot see well. | because
    The match was cancelled. The field was wet. | The match was cancelled because the field was wet. | because
    We laughed. The joke was funny. | We laughed because the joke was funny. | because
    The sun was shining. It was cold. | The sun was shining, but it was cold. | but
    I like tea. I do not like coffee. | I like tea, but I do not like coffee. | but
    She studied hard. She failed the test. | She studied hard, but she failed the test. | but
    The house is small. The garden is huge. | The house is small, but the garden is huge. | but
    He called twice. Nobody answered. | He called twice, but nobody answered. | but
    The film was long. It was never boring. | The film was long, but it was never boring. | but
    We looked everywhere. The ring was gone. | We looked everywhere, but the ring was gone. | but
    The shop is near. It is closed today. | The shop is near, but it is closed today. | but
    I knocked at the door. No one was there. | I knocked at the door, but no one was there. | but
    It was late. We went to bed. | It was late, so we went to bed. | so
    The fridge was empty. They ordered pizza. | The fridge was empty, so they ordered pizza. | so
    I lost my key. I called my sister. | I lost my key, so I called my sister. | so
    The lift was broken. We took the stairs. | The lift was broken, so we took the stairs. | so
    He felt ill. He saw a doctor. | He felt ill, so he saw a doctor. | so
    The soup was cold. She heated it again. | The soup was cold, so she heated it again. | so
    My phone was dead. I asked for directions. | My phone was dead, so I asked for directions. | so
    The road was icy. The driver slowed down. | The road was icy, so the driver slowed down. | so
"""

POLITE_WORDINGS = (
    lines_of("""
        Make this request more polite. Begin with 'Could you please'.
        Turn the order into a polite question.
        Rewrite the command politely.
        Say this in a more polite way.
        This sounds rude. Ask for the same thing politely.
        Rephrase the instruction as a polite request.
    """),
    lines_of("""
        Make this sound polite: {x}
        Turn this order into a polite request: {x}
        Rewrite "{x}" as a polite question.
        Ask politely instead: {x}
        How can I say "{x}" more politely?
        Put this command politely: {x}
    """),
)

ORDERS = """
    Close the window. | Could you please close the window?
    Give me the menu. | Could you please give me the menu?
    Wait outside. | Could you please wait outside?
    Turn down the music. | Could you please turn down the music?
    Send me the file. | Could you please send me the file?
    Move your car. | Could you please move your car?
    Help me with my bags. | Could you please help me with my bags?
    Speak more slowly. | Could you please speak more slowly?
    Call me back. | Could you please call me back?
    Show me the way to the station. | Could you please show me the way to the station?
    Stop talking. | Could you please stop talking?
    Bring us some water. | Could you please bring us some water?
    Sign this form. | Could you please sign this form?
    Take off your shoes. | Could you please take off your shoes?
    Switch on the light. | Could you please switch on the light?
    Feed the dog. | Could you please feed the dog?
    Hold the door. | Could you please hold the door?
    Pass the butter. | Could you please pass the butter?
    Answer my question. | Could you please answer my question?
    Clean the kitchen. | Could you please clean the kitchen?
    Lend me a pen. | Could you please lend me a pen?
    Check the bill again. | Could you please check the bill again?
    Leave the keys on the desk. | Could you please leave the keys on the desk?
    Explain the rules. | Could you please explain the rules?
    Come a little earlier. | Could you please come a little earlier?
"""
