"""Tasks that bring a text into another form: title case, dates, phone numbers and names."""

from __future__ import annotations

import calendar
import datetime
import re

from tools.starter.prompt_reading import subject_of
from tools.starter.rows import Task, items_from, lines_of


def formatting_tasks() -> tuple[Task, ...]:
    """Give the tasks of this theme."""
    return (
        Task("title_case", items_from(PHRASES), *TITLE_WORDINGS, check=is_the_same_in_title_case),
        Task("iso_date", items_from(DATES), *ISO_WORDINGS, check=is_the_same_day),
        Task(
            "phone_number", items_from(TEXTS_WITH_PHONE), *PHONE_WORDINGS, check=is_the_number_with_a_hyphen
        ),
        Task("surname_first", items_from(FULL_NAMES), *SURNAME_WORDINGS, check=swaps_name_and_surname),
    )


def is_the_same_in_title_case(instruction: str, given: str, output: str) -> bool:
    """Give every word of the prompt's phrase a capital and compare."""
    return output == " ".join(word[0].upper() + word[1:] for word in subject_of(instruction, given).split())


def is_the_same_day(instruction: str, given: str, output: str) -> bool:
    """Read the date of the prompt as a day of the calendar and compare it in the form year-month-day."""
    months = "|".join(calendar.month_name[1:])
    prompt = f"{instruction} {given}"
    month = re.findall(rf"\b(?:{months})\b", prompt)
    day, year = sorted(int(number) for number in re.findall(r"\d+", prompt))
    wanted = datetime.date(year, list(calendar.month_name).index(month[0]), day)
    return len(month) == 1 and output == wanted.isoformat()


def is_the_number_with_a_hyphen(instruction: str, given: str, output: str) -> bool:
    """Take the hyphen after the third digit out again; the digits must be those of the prompt."""
    digits = re.findall(r"\b\d{7}\b", f"{instruction} {given}")
    return re.fullmatch(r"555-01\d\d", output) is not None and digits == [output.replace("-", "")]


def swaps_name_and_surname(instruction: str, given: str, output: str) -> bool:
    """Put the surname behind the first name again and compare with the prompt."""
    surname, comma, first_name = output.partition(", ")
    return bool(comma) and f"{first_name} {surname}" == subject_of(instruction, given)


TITLE_WORDINGS = (
    lines_of("""
        Capitalise the first letter of every word.
        Write this in title case, with a capital at the start of each word.
        Turn the phrase into a title. Every word begins with a capital.
        Put the text in title case.
        Make each word start with a capital letter.
        Format the phrase as a title with all words capitalised.
    """),
    lines_of("""
        Capitalise every word: {x}
        Write this in title case: {x}
        Convert "{x}" to title case.
        Make each word of "{x}" start with a capital letter.
        Title case, please: {x}
        Format this heading with a capital on every word: {x}
    """),
)

PHRASES = """
    red shoes for winter | Red Shoes For Winter
    the last ship home | The Last Ship Home
    how to bake bread | How To Bake Bread
    a cat called biscuit | A Cat Called Biscuit
    seven quiet rooms | Seven Quiet Rooms
    stories from the lighthouse | Stories From The Lighthouse
    gardening for beginners | Gardening For Beginners
    the boy and the kite | The Boy And The Kite
    easy soups | Easy Soups
    my summer in the mountains | My Summer In The Mountains
    letters to an old friend | Letters To An Old Friend
    the secret of the clock | The Secret Of The Clock
    notes on birds | Notes On Birds
    walking by the sea | Walking By The Sea
    one hundred card games | One Hundred Card Games
    the baker's daughter | The Baker's Daughter
    rain over the harbour | Rain Over The Harbour
    learn to draw horses | Learn To Draw Horses
    the house with green doors | The House With Green Doors
    night train to the north | Night Train To The North
    small dogs, big hearts | Small Dogs, Big Hearts
    a short history of tea | A Short History Of Tea
    songs for a rainy day | Songs For A Rainy Day
    the clever fox | The Clever Fox
    minutes of the spring meeting | Minutes Of The Spring Meeting
"""

ISO_WORDINGS = (
    lines_of("""
        Write the date in the format YYYY-MM-DD.
        Convert this date to ISO format (YYYY-MM-DD).
        Format the date as year-month-day, with two digits for month and day.
        Put the date into the form YYYY-MM-DD.
        Rewrite the date as YYYY-MM-DD.
        What is this date in ISO notation (YYYY-MM-DD)?
    """),
    lines_of("""
        Write {x} in the format YYYY-MM-DD.
        Convert {x} to ISO format (YYYY-MM-DD).
        How do you write {x} as YYYY-MM-DD?
        Format this date as YYYY-MM-DD: {x}
        Turn this date into the form YYYY-MM-DD: {x}
        Give the ISO date (YYYY-MM-DD) for {x}.
    """),
)

DATES = """
    12 March 2024 | 2024-03-12
    4 July 1998 | 1998-07-04
    21 January 2020 | 2020-01-21
    9 May 2015 | 2015-05-09
    30 November 2011 | 2011-11-30
    17 August 2023 | 2023-08-17
    1 February 2006 | 2006-02-01
    25 December 1999 | 1999-12-25
    6 April 2018 | 2018-04-06
    14 October 2002 | 2002-10-14
    28 June 2021 | 2021-06-28
    3 September 1985 | 1985-09-03
    March 5, 2019 | 2019-03-05
    July 22, 2010 | 2010-07-22
    January 8, 2001 | 2001-01-08
    May 16, 2022 | 2022-05-16
    November 2, 1994 | 1994-11-02
    August 11, 2025 | 2025-08-11
    February 19, 2013 | 2013-02-19
    December 31, 2000 | 2000-12-31
    April 27, 1976 | 1976-04-27
    October 7, 2017 | 2017-10-07
    June 13, 2008 | 2008-06-13
    September 24, 2016 | 2016-09-24
    the 10th of March 2014 | 2014-03-10
"""

PHONE_WORDINGS = (
    lines_of("""
        Write only the phone number, with a hyphen after the third digit.
        Format the telephone number in this text as 555-XXXX.
        Give the phone number in the form XXX-XXXX.
        Find the phone number and put a hyphen after the first three digits.
        Which number should I call? Answer in the form XXX-XXXX.
        Copy the phone number in the format XXX-XXXX.
    """),
    lines_of("""
        Write only the phone number in the form XXX-XXXX: {x}
        Give me the phone number as XXX-XXXX: {x}
        Format the phone number in this sentence as XXX-XXXX: {x}
        Pick out the number and put a hyphen after three digits: {x}
        Find the phone number and write it as XXX-XXXX: {x}
    """),
)

TEXTS_WITH_PHONE = """
    Call the bakery on 5550114. | 555-0114
    The taxi can be ordered under 5550142. | 555-0142
    My new mobile number is 5550187. | 555-0187
    For a table, ring 5550163 after four. | 555-0163
    Ms Keller's office is at 5550109. | 555-0109
    If the alarm goes off, dial 5550191. | 555-0191
    Leave a message on 5550128, please. | 555-0128
    The vet answers 5550175 day and night. | 555-0175
    Fax and phone: 5550136, weekdays only. | 555-0136
    You can text me on 5550150. | 555-0150
    The school secretary has the number 5550182. | 555-0182
    Reach the caretaker by phone, 5550147. | 555-0147
    Tickets by telephone from 5550168. | 555-0168
    Our old number was replaced by 5550121. | 555-0121
    Grandma's phone: 5550199. | 555-0199
    In an emergency, the lifeguard is at 5550133. | 555-0133
    To cancel, phone 5550156 a day before. | 555-0156
    The garage told me to try 5550117 on Saturday. | 555-0117
    Ask for Pia when you call 5550194. | 555-0194
    The hotel desk is 5550105, any time. | 555-0105
    Write down 5550179 in case you get lost. | 555-0179
    The sports club can be reached on 5550160. | 555-0160
"""

SURNAME_WORDINGS = (
    lines_of("""
        Write the name with the surname first, followed by a comma.
        Put this name in the form 'Surname, First name'.
        Format the name for an alphabetical register (last name, first name).
        Rewrite the name as: last name, comma, first name.
        Turn the name around: surname first, then a comma and the first name.
        Change the name to the order Last, First.
    """),
    lines_of("""
        Write this name as Surname, First name: {x}
        Put the surname first, with a comma: {x}
        Format this name as Last, First: {x}
        Rewrite "{x}" with the last name first and a comma.
        How is "{x}" listed in a register (last name, first name)?
        Last name first, please, with a comma: {x}
    """),
)

FULL_NAMES = """
    Anna Hill | Hill, Anna
    Robert Lund | Lund, Robert
    Mei Chen | Chen, Mei
    Carlos Vega | Vega, Carlos
    Fatima Nasser | Nasser, Fatima
    Peter Hofmann | Hofmann, Peter
    Grace Owusu | Owusu, Grace
    Nils Berg | Berg, Nils
    Lucia Ferrari | Ferrari, Lucia
    Tom Baker | Baker, Tom
    Irina Popova | Popova, Irina
    Daniel Frost | Frost, Daniel
    Amy Walsh | Walsh, Amy
    Omar Haddad | Haddad, Omar
    Julie Blanc | Blanc, Julie
    Marek Nowak | Nowak, Marek
    Susan Clarke | Clarke, Susan
    Kenji Mori | Mori, Kenji
    Elena Duarte | Duarte, Elena
    Frank Miller | Miller, Frank
    Ruth Adler | Adler, Ruth
    Paula Jensen | Jensen, Paula
    Henry Wood | Wood, Henry
"""
