"""Tasks with numbers: small sums, comparisons, number words and word counts."""

from __future__ import annotations

import re

from tools.starter.prompt_reading import (
    numbers_in,
    one_changed_word,
    subject_of,
    value_of_number_word,
)
from tools.starter.rows import Task, items_from, lines_of


def number_tasks() -> tuple[Task, ...]:
    """Give the tasks of this theme."""
    return (
        Task("arithmetic", items_from(SUMS), *SUM_WORDINGS, check=is_the_result_of_the_sum),
        Task("compare_numbers", items_from(COMPARISONS), *COMPARE_WORDINGS, check=is_the_number_asked_for),
        Task(
            "number_words",
            items_from(FIGURES_IN_SENTENCES),
            *NUMBER_WORD_WORDINGS,
            check=spells_the_figures_out,
        ),
        Task("count_words", items_from(SENTENCES_TO_COUNT), *COUNT_WORDINGS, check=is_the_number_of_words),
    )


def is_the_result_of_the_sum(instruction: str, given: str, output: str) -> bool:
    """Work the sum out from the numbers of the problem and the word that says what to do with them."""
    problem = f"{instruction} {given}".lower()
    numbers = numbers_in(problem)
    if re.search(r"\bhalf\b", problem):
        return output == str(numbers[0] // 2) and numbers[0] % 2 == 0
    if re.search(r"\b(double|twice)\b", problem):
        return output == str(numbers[0] * 2)
    first, second = numbers
    if re.search(r"\b(each|times)\b", problem):
        return output == str(first * second)
    if re.search(r"\b(left|minus|take away)\b", problem):
        return output == str(first - second)
    return bool(re.search(r"\b(altogether|in all|plus|add|now)\b", problem)) and output == str(first + second)


def is_the_number_asked_for(instruction: str, given: str, output: str) -> bool:
    """Find the largest or the smallest amount of the question, whichever it asks for."""
    question = f"{instruction} {given}"
    amounts = re.findall(r"\d+(?: (?:km|kg|metres|litres|minutes|degrees|euros|points|pages))?", question)
    asks_for_most = re.search(r"\b(larger|largest|bigger|biggest|greater|greatest|higher|highest|more|most"
                              r"|longer|longest|heavier|warmer|maximum)\b", question)  # fmt: skip
    asks_for_least = re.search(r"\b(smaller|smallest|lower|lowest|fewer|fewest|less|least"
                               r"|shorter|shortest|lighter|colder|cheaper|minimum)\b", question)  # fmt: skip
    if (asks_for_most is None) == (asks_for_least is None):
        return False
    choose = max if asks_for_most else min
    return output == choose(amounts, key=lambda amount: int(amount.split()[0]))


def spells_the_figures_out(instruction: str, given: str, output: str) -> bool:
    """Accept one changed word, a number in words that has the value of the figures it stands for."""
    changed = one_changed_word(subject_of(instruction, given), output)
    if changed is None or not changed[0].isdigit():
        return False
    figures, word = changed
    return value_of_number_word(word) == int(figures)


def is_the_number_of_words(instruction: str, given: str, output: str) -> bool:
    """Count the words of the sentence."""
    return output == str(len(subject_of(instruction, given).split()))


SUM_WORDINGS = (
    lines_of("""
        Solve the problem. Answer with a number only.
        Work this out and give just the number.
        Calculate the answer. Reply with the number.
        Do the sum.
        What is the result? Write only the number.
        Find the answer to this problem, in figures.
    """),
    lines_of("""
        {x}
        Give only the number: {x}
        Answer with a number: {x}
        Work this out for me, just the number: {x}
        Quick sum: {x}
        Maths problem (number only): {x}
    """),
)

SUMS = """
    What is 6 plus 3? | 9
    What do you get for 12 minus 4? | 8
    How much is 5 times 3? | 15
    What is half of 16? | 8
    What is double 11? | 22
    Add 20 and 7. | 27
    What is 10 take away 3? | 7
    Mia has 4 apples and gets 5 more. How many apples does she have now? | 9
    There were 9 birds on a roof and 2 flew away. How many are left? | 7
    There are 2 boxes with 6 eggs in each. How many eggs is that? | 12
    How much is seven plus eight? | 15
    What is twenty minus five? | 15
    What is three times four? | 12
    What is half of thirty? | 15
    What is twice nine? | 18
    Ben read 10 pages on Monday and 12 on Tuesday. How many pages is that altogether? | 22
    Of 15 biscuits, 6 were eaten. How many biscuits are left? | 9
    We bought 3 bags with 10 marbles in each. How many marbles do we have? | 30
    Eight boys and six girls are in the choir. How many children is that in all? | 14
    A bus with 18 passengers picks up 4 more. How many passengers are on it now? | 22
    I had 25 euros and spent 5. How many euros are left? | 20
    Two tables have 4 legs each. How many legs is that? | 8
    What is ten times seven? | 70
    What is 40 plus 60? | 100
    What number is twice as big as 12? | 24
"""

COMPARE_WORDINGS = (
    lines_of("""
        Answer the question with one of the numbers, and its unit if there is one.
        Compare the numbers and answer.
        Choose the right number.
        Reply only with the number (and unit) asked for.
        Look at the numbers and answer the question.
        Pick the correct value.
    """),
    lines_of("""
        {x}
        Just the value, please: {x}
        Compare and answer: {x}
        Answer briefly: {x}
        Tell me the right value: {x}
    """),
)

COMPARISONS = """
    Which number is larger, 45 or 54? | 54
    Which is smaller, 19 or 91? | 19
    Which of these is the greatest: 7, 12, 9? | 12
    Which is the lowest of 30, 13 and 33? | 13
    Is 80 km or 18 km the longer distance? | 80 km
    One bag has 5 kg, another 8 kg. How much does the heavier one have? | 8 kg
    Which of the two ropes is shorter, 14 metres or 11 metres? | 11 metres
    Yesterday it was 21 degrees, today it is 26 degrees. What is the higher temperature? | 26 degrees
    Which is more, 100 litres or 90 litres? | 100 litres
    Team A has 61 points, team B has 58 points. What is the higher score? | 61 points
    A taxi costs 24 euros and a bus 3 euros. What is the cheaper fare? | 3 euros
    Which takes less time, 40 minutes or 25 minutes? | 25 minutes
    Which book is longer, one of 320 pages or one of 210 pages? | 320 pages
    What is the biggest number here: 72, 27, 70? | 72
    Find the smallest number of 66, 6 and 16. | 6
    Which number is greater, 1000 or 999? | 1000
    What is the minimum of 15, 51 and 50? | 15
    Give the maximum of 4, 44 and 14. | 44
    Which is fewer, 12 points or 20 points? | 12 points
    Which parcel is lighter, the one of 2 kg or the one of 9 kg? | 2 kg
    The towers measure 70 metres and 95 metres. How many metres has the higher one? | 95 metres
    Which temperature is colder, 3 degrees or 8 degrees? | 3 degrees
    Out of 11, 17 and 13, which number is the highest? | 17
    Which of 202 and 220 is the bigger number? | 220
    Is 29 or 31 the smaller number? | 29
"""

NUMBER_WORD_WORDINGS = (
    lines_of("""
        Write the number in words.
        Rewrite the sentence with the number spelled out.
        Spell out the number in this sentence.
        Replace the figures with words.
        Change the digits to a number word.
        Copy the sentence, but write the number as a word.
    """),
    lines_of("""
        Write the number in words: {x}
        Spell out the number in this sentence: {x}
        Replace the figures by words: {x}
        Rewrite "{x}" with the number as a word.
        Turn the digits into a word: {x}
        No figures, please, write the number out: {x}
    """),
)

FIGURES_IN_SENTENCES = """
    We bought 14 chairs. | We bought fourteen chairs.
    The cat had 5 kittens. | The cat had five kittens.
    My aunt is 40 years old. | My aunt is forty years old.
    There are 12 eggs in the box. | There are twelve eggs in the box.
    He waited 3 hours at the airport. | He waited three hours at the airport.
    The class has 27 pupils. | The class has twenty-seven pupils.
    It takes 20 minutes by bus. | It takes twenty minutes by bus.
    She invited 11 friends. | She invited eleven friends.
    The hotel has 8 floors. | The hotel has eight floors.
    I need 2 tickets. | I need two tickets.
    The walk is 6 miles long. | The walk is six miles long.
    They planted 50 trees. | They planted fifty trees.
    Only 9 seats are left. | Only nine seats are left.
    The choir sang 15 songs. | The choir sang fifteen songs.
    Our house number is 33. | Our house number is thirty-three.
    The shop sold 90 lamps. | The shop sold ninety lamps.
    An octopus has 8 arms. | An octopus has eight arms.
    His coat has 7 buttons. | His coat has seven buttons.
    The film lasts 85 minutes. | The film lasts eighty-five minutes.
    I found 10 coins in a jar. | I found ten coins in a jar.
    The tower has 60 steps. | The tower has sixty steps.
"""

COUNT_WORDINGS = (
    lines_of("""
        How many words are in this sentence? Answer with a number.
        Count the words.
        Give the number of words in the sentence.
        Count how many words the sentence has, in figures.
        What is the word count?
        Tell me the number of words below.
    """),
    lines_of("""
        How many words does this sentence have? "{x}"
        Count the words in "{x}"
        Give the word count of this sentence: {x}
        What is the number of words in "{x}"?
        Word count, please: {x}
        Tell me how many words are here: {x}
    """),
)

SENTENCES_TO_COUNT = """
    Birds sing. | 2
    Snow is falling. | 3
    We are late. | 3
    The door is open. | 4
    My cat sleeps all day. | 5
    Coffee keeps me awake. | 4
    Please close the window. | 4
    Our bus is very slow. | 5
    She has a red bicycle. | 5
    They live near the beach. | 5
    The lake was calm today. | 5
    We ate pizza last night. | 5
    The dog ran into the garden. | 6
    There is a letter for you. | 6
    My brother works in a bank. | 6
    You can buy stamps over there. | 6
"""
