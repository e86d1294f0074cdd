"""Tasks that pick one thing out of a short text: an e-mail address, a name, a date, a price or a city."""

from __future__ import annotations

import re

from tools.starter.prompt_reading import subject_of
from tools.starter.rows import Checker, Task, items_from, lines_of


def extraction_tasks() -> tuple[Task, ...]:
    """Give the tasks of this theme."""
    cities = "|".join(CITIES.split())
    first_names = "|".join(FIRST_NAMES.split())
    months = "|".join(MONTHS.split())
    return (
        Task(
            "extract_email",
            items_from(TEXTS_WITH_EMAIL),
            *EMAIL_WORDINGS,
            only_match_of(r"[\w.]+@example\.\w+"),
        ),
        Task(
            "extract_name",
            items_from(TEXTS_WITH_NAME),
            *NAME_WORDINGS,
            only_match_of(rf"(?:{first_names}) [A-Z]\w+"),
        ),
        Task(
            "extract_date",
            items_from(TEXTS_WITH_DATE),
            *DATE_WORDINGS,
            only_match_of(rf"\d+ (?:{months})(?: \d+)?"),
        ),
        Task(
            "extract_price",
            items_from(TEXTS_WITH_PRICE),
            *PRICE_WORDINGS,
            only_match_of(r"[$€£]\d+(?:\.\d\d)?"),
        ),
        Task(
            "extract_city", items_from(TEXTS_WITH_CITY), *CITY_WORDINGS, only_match_of(rf"\b(?:{cities})\b")
        ),
    )


def only_match_of(shape: str) -> Checker:
    """Make a checker that accepts the one piece of the text that has the shape."""

    def is_the_only_match(instruction: str, given: str, output: str) -> bool:
        return re.findall(shape, subject_of(instruction, given)) == [output]

    return is_the_only_match


EMAIL_WORDINGS = (
    lines_of("""
        Extract the e-mail address from the text.
        Find the email address in this message.
        Which e-mail address is mentioned?
        Copy out the email address.
        What is the e-mail address in the sentence below?
        Give me only the e-mail address.
        Pull the email out of this text.
    """),
    lines_of("""
        Extract the e-mail address: {x}
        Find the email address in this text: {x}
        Which e-mail address appears in this message? "{x}"
        Give only the email address from this sentence: {x}
        Copy the e-mail address from "{x}"
    """),
)

TEXTS_WITH_EMAIL = """
    For tickets, write to box.office@example.org before noon. | box.office@example.org
    My new address is lena.frost@example.com, please update it. | lena.frost@example.com
    Questions about the course go to school@example.org. | school@example.org
    Send the invoice to billing@example.com and keep a copy. | billing@example.com
    You can reach our vet at paws@example.org on weekdays. | paws@example.org
    Anton asked me to forward this to anton77@example.com today. | anton77@example.com
    The landlord (flats@example.org) never replies on Sundays. | flats@example.org
    If the parcel is damaged, contact returns@example.com. | returns@example.com
    Applications should be sent to jobs@example.com by Friday. | jobs@example.com
    Her work email is c.lindgren@example.org, not the old one. | c.lindgren@example.org
    Lost something? Tell lost.property@example.com what it was. | lost.property@example.com
    The choir meets on Tuesday; details from choir@example.org. | choir@example.org
    Please add press@example.com to the mailing list. | press@example.com
    To book a table, mail bistro@example.com or come by. | bistro@example.com
    We wrote to support@example.org twice without an answer. | support@example.org
    Photos of the trip can be sent to album@example.com. | album@example.com
    Ask for Mr Dale at garage@example.org about the brakes. | garage@example.org
    The editor can be found under letters@example.com. | letters@example.com
    Volunteers sign up at helpers@example.org this week. | helpers@example.org
    I never got the mail you sent to mira.k@example.com. | mira.k@example.com
    Report broken lamps to streets@example.org with a photo. | streets@example.org
    Our coach uses swim.team@example.com for all the news. | swim.team@example.com
"""

NAME_WORDINGS = (
    lines_of("""
        Extract the person's name from the text.
        Who is mentioned in this sentence? Give the full name.
        Find the name of the person.
        Which person does the text name?
        Give only the full name that appears below.
        Name the person in this message.
        Pick out the first name and surname.
    """),
    lines_of("""
        Extract the person's name: {x}
        Which person is named in this text? "{x}"
        Find the full name in this sentence: {x}
        Give only the name of the person: {x}
        Who is mentioned here? "{x}"
        Pull out the person's full name: {x}
    """),
)

TEXTS_WITH_NAME = """
    The first prize goes to Clara Newton for her poem. | Clara Newton
    Please leave the parcel with Hugo Brandt next door. | Hugo Brandt
    Our new librarian, Ines Romero, starts on Monday. | Ines Romero
    The appointment is for Walter Finch at half past two. | Walter Finch
    The song was written by Mabel Stone in one night. | Mabel Stone
    I bought the piano from Felix Arnold last spring. | Felix Arnold
    According to Greta Holm, the lake is safe for swimming. | Greta Holm
    The keys were handed in by Jonas Weber this morning. | Jonas Weber
    Tomorrow the class will be taught by Priya Nair. | Priya Nair
    A message for Oliver Grant is waiting at reception. | Oliver Grant
    The cake in the window was made by Rosa Bell. | Rosa Bell
    Everyone clapped when Simon Archer came on stage. | Simon Archer
    You should ask Nadia Karim about the garden keys. | Nadia Karim
    The winning goal was scored by Leo Fischer. | Leo Fischer
    Is this coat yours or does it belong to Edith Moore? | Edith Moore
    The bakery was founded by Bruno Costa a century ago. | Bruno Costa
    My dentist, Helen Marsh, is on holiday this week. | Helen Marsh
    On the last page you can see a drawing by Yuki Tanaka. | Yuki Tanaka
    The flat upstairs is rented by Martha Quinn and her dog. | Martha Quinn
    Yesterday the mayor thanked Samuel Ortiz for his help. | Samuel Ortiz
    The tour of the old mill is led by Agnes Dahl. | Agnes Dahl
    They found a letter addressed to Victor Lane in the attic. | Victor Lane
    The bicycle with the blue bell belongs to Amira Saleh. | Amira Saleh
"""

FIRST_NAMES = """
    Clara Hugo Ines Walter Mabel Felix Greta Jonas Priya Oliver Rosa Simon Nadia Leo Edith Bruno
    Helen Yuki Martha Samuel Agnes Victor Amira
"""

DATE_WORDINGS = (
    lines_of("""
        Extract the date from the text.
        Which date is mentioned?
        Find the date in this sentence.
        Give only the date.
        What is the date in the message below?
        When is it? Copy the date from the text.
        Pick out the date.
    """),
    lines_of("""
        Extract the date from this sentence: {x}
        Which date is mentioned here? "{x}"
        Find the date: {x}
        Give only the date in this text: {x}
        What date does this message name? "{x}"
        Copy the date from this text: {x}
    """),
)

TEXTS_WITH_DATE = """
    The library will be closed on 14 May for repairs. | 14 May
    Our wedding took place on 8 June 2019 in a small chapel. | 8 June 2019
    Please return the books by 3 October at the latest. | 3 October
    The exhibition opens on 21 February 2025. | 21 February 2025
    She was born on 30 August in a village by the sea. | 30 August
    Rent is due on 1 December, as always. | 1 December
    The contract ends on 31 March 2026 unless we renew it. | 31 March 2026
    I have a dentist's appointment on 17 July at nine. | 17 July
    The first snow fell on 5 November that year. | 5 November
    Tickets go on sale on 12 April at the theatre. | 12 April
    The bridge was opened on 26 September 1987. | 26 September 1987
    We leave for the coast on 9 August and come back a week later. | 9 August
    The new menu starts on 2 January. | 2 January
    Your passport expires on 19 June 2028. | 19 June 2028
    On 23 April the whole class went to the zoo. | 23 April
    The parcel was posted on 11 December and arrived today. | 11 December
    Mark 6 July in your calendar for the street party. | 6 July
    The old cinema showed its last film on 28 February 2003. | 28 February 2003
    The school play has been moved to 15 November. | 15 November
    Applications received after 10 September cannot be accepted. | 10 September
    The battle was fought on 18 October 1813. | 18 October 1813
    From 7 May the ferry runs every hour. | 7 May
    They signed the papers on 25 January 2022. | 25 January 2022
"""

MONTHS = "January February March April May June July August September October November December"

PRICE_WORDINGS = (
    lines_of("""
        Extract the price from the text.
        How much does it cost? Give only the price.
        Find the price in this sentence.
        Which price is mentioned?
        Copy the price, with the currency sign.
        What is the price given below?
        Pick out the amount of money.
    """),
    lines_of("""
        Extract the price: {x}
        Find the price in this text: {x}
        Which price is mentioned here? "{x}"
        Give only the price from this sentence: {x}
        What amount of money does this text name? "{x}"
    """),
)

TEXTS_WITH_PRICE = """
    The blue lamp in the window costs $45. | $45
    A day ticket for the zoo is €18.50 for adults. | €18.50
    I paid £12 for this scarf at the market. | £12
    Breakfast is included for $9.50 per guest. | $9.50
    You can rent a rowing boat for €7 an hour. | €7
    The plumber sent us a bill for £140. | £140
    These boots were reduced to $59.99 last week. | $59.99
    Two coffees and a bun came to €8.20. | €8.20
    The second-hand bike is yours for £75. | £75
    A haircut now costs $22 in our street. | $22
    Entry to the museum is €6 on weekdays. | €6
    My grandmother's first car cost her £300. | £300
    The room is $85 a night, parking is free. | $85
    Fresh strawberries are €3.40 a box today. | €3.40
    He sold his old guitar for £210 to a student. | £210
    The whole menu, with dessert, is $31.75. | $31.75
    For €15 you get a towel and a locker. | €15
    Delivery costs an extra £4.95 on Sundays. | £4.95
    The club asks for $20 a year from its members. | $20
    A new battery would cost €64, said the mechanic. | €64
    The cheapest seats in the hall are £16.50. | £16.50
    They found the same kettle for $27 in another shop. | $27
"""

CITY_WORDINGS = (
    lines_of("""
        Extract the city from the text.
        Which city is mentioned?
        Find the name of the city.
        Give only the name of the city.
        What city does the sentence mention?
        Pick out the city in the text below.
        Name the city that the text is about.
    """),
    lines_of("""
        Extract the city: {x}
        Which city is mentioned here? "{x}"
        Find the city in this sentence: {x}
        Give only the city named in this text: {x}
        What city does this message mention? "{x}"
        Copy the name of the city: {x}
    """),
)

TEXTS_WITH_CITY = """
    The next congress will be held in Stockholm in spring. | Stockholm
    My sister opened a flower shop in Bristol. | Bristol
    After two days in Krakow we were tired but happy. | Krakow
    Rain is forecast for Hamburg this afternoon. | Hamburg
    He studied law in Boston before he became a chef. | Boston
    The streets of Naples were full of music that night. | Naples
    Our head office in Toronto opens at eight. | Toronto
    I lost my umbrella somewhere in Seville. | Seville
    The museum in Zagreb has a room full of clocks. | Zagreb
    We spent our honeymoon in Kyoto. | Kyoto
    Trams are the best way to get around Melbourne. | Melbourne
    A storm delayed every flight to Chicago. | Chicago
    The best bakery in Lyon is behind the station. | Lyon
    Her grandparents still live in Bergen. | Bergen
    The marathon through Valencia starts at dawn. | Valencia
    They moved from a farm to Glasgow last year. | Glasgow
    This bridge in Porto is painted blue. | Porto
    The band will play in Leipzig on Saturday. | Leipzig
    Our guide grew up in Istanbul and speaks four languages. | Istanbul
    The parcel has been stuck in Rotterdam for a week. | Rotterdam
    The river divides Budapest into two parts. | Budapest
    Ferries to the islands leave from Athens every morning. | Athens
    A famous clock stands in the centre of Bern. | Bern
"""

CITIES = """
    Stockholm Bristol Krakow Hamburg Boston Naples Toronto Seville Zagreb Kyoto Melbourne Chicago
    Lyon Bergen Valencia Glasgow Porto Leipzig Istanbul Rotterdam Budapest Athens Bern
"""
