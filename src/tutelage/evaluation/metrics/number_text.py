"""Writes the numbers of a text plainly: ASCII digits and signs, powers as exponents, dates and times as a marker."""

import re
import unicodedata

MARKER = "\0"  # stands for a date, a time or an address, which is not a quantity
UNREADABLE = "\1"  # stands for a quantity that is not read, as a fraction of letters

SIGNS = {"−": "-", "–": "-", "﹣": "-", "－": "-", "＋": "+", "﹢": "+"}
PUNCTUATION = {
    "⁄": "/",
    "∕": "/",
    "／": "/",
    "．": ".",
    "，": ",",
    "：": ":",
    "％": "%",
    "﹪": "%",
    "٪": "%",
    "’": "'",
}
SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻", "0123456789+-")
CURRENCY = (
    r"(?<![A-Za-z])(?:[A-Z]{0,3}[$¢£¤¥֏؋৲৳૱௹฿៛₠-₿﷼﹩＄￠￡￥￦]|Rs\.?|kr\.?|R|RM|USD|EUR|GBP|JPY|CNY|RMB|INR|CHF|CAD"
    r"|AUD|NZD|SEK|NOK|DKK|PLN|CZK|HUF|BRL|MXN|KRW|SGD|HKD|ZAR|TRY|RUB|THB)"
)
# Month words that mean nothing else, in every spelling; and those that do ("may", "12 Mars bars", "5 dec").
MONTHS = (
    r"(?:january|januar|janvier|february|februar|février|märz|april|avril|mai|june|juni|juin|july|juli|juillet|août"
    r"|september|septembre|october|oktober|octobre|octubre|november|novembre|noviembre|december|dezember|diciembre"
    r"|décembre|enero|febrero|marzo|abril|junio|julio|agosto|septiembre)(?!\w)"
)
UNSURE_MONTHS = r"(?:jan|feb|march|mar|mars|apr|may|mayo|jun|jul|august|aug|sept?|o[ck]t|nov|de[cz])(?!\w)\.?"
CAPITAL_MONTHS = rf"(?-i:(?=[A-Z])){UNSURE_MONTHS}"
DAY = r"(?:0?[1-9]|[12]\d|3[01])"
YEAR = r"(?:,? (?:de )?\d{4}(?!\w))"
END = r"(?=[ *]*(?:\Z|[\n.,;:!?)\]\"'。，；！？）]))"
DATES_AND_TIMES = (
    r"(?<!\w)[0-9a-f]{1,4}(?:::?[0-9a-f]{1,4}){2,7}(?!\w)",  # 10:30:45, and addresses of IPv6
    r"\d{1,4} ?年 ?\d{1,2} ?月(?: ?\d{1,2} ?[日号號])?|\d{1,2} ?月 ?\d{1,2} ?[日号號]",
    rf"(?<![\w.,/-]){DAY}(?:st|nd|rd|th|\.|er)? (?:(?:of|de) )?{MONTHS}{YEAR}?",
    rf"(?<![\w.,/-]){DAY}(?: de {UNSURE_MONTHS}{YEAR}?|(?:st|nd|rd|th|\.|er) (?:of )?{CAPITAL_MONTHS}{YEAR}?"
    rf"|(?:st|nd|rd|th|\.|er)? (?:of )?(?:{UNSURE_MONTHS}{YEAR}|{CAPITAL_MONTHS}{END}))|(?<=\ble ){DAY} mars(?!\w)",
    rf"(?<!\w){MONTHS} {DAY}(?:st|nd|rd|th)?(?![\w%]|[.,:/]\d){YEAR}?",
    rf"(?<!\w)(?:{UNSURE_MONTHS} {DAY}(?:st|nd|rd|th)?{YEAR}"
    rf"|{CAPITAL_MONTHS} {DAY}(?:(?:st|nd|rd|th)(?!\w)|(?![.,:/]\d){END}))",
    r"(?<![\w.,/-])\d{1,2}(?:[:.]\d{2})? ?(?:[ap]\.m\.|[ap]m(?! ?\w)|o'clock|uhr(?!\w)|[時点點]钟?鐘?(?!\d))",
)
DATE_OR_TIME = re.compile("|".join(DATES_AND_TIMES), re.IGNORECASE)

_GROUP = r"\{(?:[^{}]|\{(?:[^{}]|\{[^{}]*\})*\})*\}"
_ARGUMENT = rf"({_GROUP}|\\[A-Za-z]+|[^\s{{}}\\])"
LATEX_FRACTION = re.compile(rf"\\[cdt]?frac\s?{_ARGUMENT}\s?{_ARGUMENT}(\d*)")
LATEX_OVER = re.compile(r"\{([^{}]*)\\over(?![A-Za-z])([^{}]*)\}(\d*)")
PLAIN_PART = re.compile(r"([-+]?)([.,]?\d(?:[\d.,]*\d)?)")
# The ** of a power, and not that of a number in bold: 10**3, (1 + 2) ** 3, but not "5 **3**".
DOUBLE_ASTERISK = re.compile(r"(?<=[\d)])(?:\*\*| \*\* )(?=[({]?[-+]?\d)(?![\d.,]*\*\*)")
EXPONENT = re.compile(r"\^ ?(?:\{ ?([-+]?\d+) ?\}|\( ?([-+]?\d+) ?\)|([-+]?\d+))")
SCIENTIFIC = re.compile(r"(?<=\d) ?(?:[×x*·⋅]|\\times|\\cdot) ?10\^([-+]?\d+)")
POWER_OF_TEN = re.compile(r"(?<![\w.,^])10\^([-+]?\d+)(?![\d.,]*\d)")
# What is left of powers: 2^n and (1 + 2)^3 are not read, and the 2 of m^2 is part of a unit.
OTHER_POWER = re.compile(r"(?<=[\d)\]}]) ?\^ ?(?:\{[^{}]*\}|\([^()]*\)|[^\W\d_])|(?<=[)\]}])\^[-+]?\d+")
POWER_OF_UNIT = re.compile(r"(?<=[^\W\d_])\^[-+]?\d+(?![.,]?\d)")
# "= - 5", or a text that is nothing but "- 5": elsewhere a dash before a blank opens an item of a list.
SIGN_WITH_BLANK = re.compile(rf"((?:\A|[=:≈] ?)[-+]) (?=(?:{CURRENCY} ?)?[\d.,])")
SIGN_AS_WORD = re.compile(
    r"(?<!\w)(?<!\d )(?:minus|negative) (?=[\d.,$€£¥])|[负負](?=[\d.,$€£¥])", re.IGNORECASE
)
BLANKS = "\u00a0\u2009\u202f"


def plain_text(text: str, *, decimal_mark: str, blanks_group: bool) -> str:
    """Return a text whose numbers are written in ASCII; blanks that part thousands are gone."""
    text = text.strip().replace(MARKER, " ").replace(UNREADABLE, " ")
    if not text.isascii():
        text = "".join(plain_character(character, decimal_mark) for character in text)
        text = re.sub("[⁰¹²³⁴-⁹⁺⁻]+", _power, text)
        text = _with_vulgar_fractions(text)
    if "\\" in text:
        text = re.sub(r"\\([$%])", r"\1", text.replace("{,}", ",")).replace("\\,", BLANKS[0])
        text = re.sub(r"\\sqrt(?![a-z])", "√", re.sub(r"\\pi(?![a-z])", "π", text))
        text = LATEX_OVER.sub(_fraction, LATEX_FRACTION.sub(_fraction, text))
    if "^" in text or "**" in text:
        text = EXPONENT.sub(r"^\1\2\3", DOUBLE_ASTERISK.sub("^", text))
        text = POWER_OF_TEN.sub(r"1e\1", SCIENTIFIC.sub(r"e\1", text))
        text = POWER_OF_UNIT.sub("", OTHER_POWER.sub(UNREADABLE, text))
    text = re.sub(r"(?<=\d) / (?=\d)", "/", SIGN_AS_WORD.sub("-", text))
    if "\n" not in text:
        text = SIGN_WITH_BLANK.sub(r"\1", text)
    text = DATE_OR_TIME.sub(MARKER, text)
    text = _blank_groups(BLANKS + " ").sub(lambda found: _joined(found[0], blanks_group), text)
    return text if blanks_group else _blank_groups(BLANKS).sub(lambda found: _joined(found[0], True), text)


def plain_character(character: str, decimal_mark: str) -> str:
    """Return the ASCII digit, sign or punctuation that a character stands for in a number; else itself."""
    if character.isdecimal():
        return str(unicodedata.decimal(character))
    if character == "٫":
        return decimal_mark
    if character == "٬":
        return "," if decimal_mark == "." else "."
    return SIGNS.get(character) or PUNCTUATION.get(character) or character


def _power(found: re.Match[str]) -> str:
    """Write 10³ as 10^3; the ² of m² is part of a unit."""
    before = found.string[found.start() - 1 : found.start()]
    return f"^{found[0].translate(SUPERSCRIPTS)}" if before.isdecimal() or before == ")" else found[0]


def _with_vulgar_fractions(text: str) -> str:
    return re.sub(r"(?<=\d) ?([¼-¾⅐-⅞↉])|([¼-¾⅐-⅞↉])", _vulgar_fraction, text)


def _vulgar_fraction(found: re.Match[str]) -> str:
    """Write 1½ as 1 1/2."""
    parts = unicodedata.normalize("NFKC", found[1] or found[2]).replace("⁄", "/")
    return f" {parts}" if found[1] else parts


def _fraction(found: re.Match[str]) -> str:
    r"""Write \frac{-1}{2} as -1/2; what is no fraction of two numbers, or is a factor of more, is not read."""
    parts = [PLAIN_PART.fullmatch(part.strip("{} ")) for part in (found[1], found[2])]
    before = found.string[: found.start()].rstrip("{ ")[-1:]
    joins = found.string[found.start() - 1 : found.start()].isdecimal()
    if parts[0] is None or parts[1] is None or found[3]:
        return UNREADABLE
    sign = "-" if (parts[0][1] == "-") != (parts[1][1] == "-") else ""
    if (parts[0][1] or parts[1][1]) and (before in ("-", "+", ")") or before.isdecimal()):
        return UNREADABLE
    blank = " " if joins or (sign and before.isalpha()) else ""
    return f"{blank}{sign}{parts[0][2]}/{parts[1][2]}"


def _blank_groups(blanks: str) -> re.Pattern[str]:
    return re.compile(
        rf"(?<![\w.,'/:])(?<!\d[{blanks}])[1-9]\d{{0,2}}(?:[{blanks}]\d{{3}})+(?![\w/:'][\d]|\d|[{blanks}]\d)"
    )


def _joined(groups: str, is_group: bool) -> str:
    """Take the blanks out of 1 234; a group that begins with 0 shows that it is one, whatever the convention."""
    return re.sub(r"\D", "", groups) if is_group or re.search(r"\D0", groups) else groups
