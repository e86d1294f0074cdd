"""Writes the numbers of a text plainly: ASCII digits and signs, powers as exponents, dates and times as a marker."""

import re
import unicodedata

MARKER = "\0"  # stands for a date, a time or an address, which is not a quantity

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
MONTHS = (
    r"(?:jan(?:uary|uar|vier)?|feb(?:ruary|ruar)?|février|march|mar|märz|mars|apr(?:il)?|avril|may|mai|june?|juni|juin"
    r"|july?|juli|juillet|aug(?:ust)?|août|sept?(?:ember|embre)?|o[ck]t(?:ober|obre|ubre)?|nov(?:ember|embre|iembre)?"
    r"|de[cz](?:ember|iembre)?|décembre|enero|febrero|marzo|abril|mayo|junio|julio|agosto)(?!\w)\.?"
)
DATES_AND_TIMES = (
    r"(?<!\w)[0-9a-f]{1,4}(?:::?[0-9a-f]{1,4}){2,7}(?!\w)",  # 10:30:45, and addresses of IPv6
    r"\d{1,4} ?年 ?\d{1,2} ?月(?: ?\d{1,2} ?[日号號])?|\d{1,2} ?月 ?\d{1,2} ?[日号號]",
    rf"(?<![\w.,/-])\d{{1,2}}(?:st|nd|rd|th|\.|er)? (?:(?:of|de) )?{MONTHS}(?:,? (?:de )?\d{{4}}(?!\w))?",
    rf"(?<!\w){MONTHS} \d{{1,2}}(?:st|nd|rd|th)?(?![\w%]|[.,:/]\d)(?:,? \d{{4}}(?!\w))?",
    r"(?<![\w.,/-])\d{1,2}(?:[:.]\d{2})? ?(?:[ap]\.m\.|[ap]m(?! ?\w)|o'clock|uhr(?!\w)|[時点點]钟?鐘?(?!\d))",
)
DATE_OR_TIME = re.compile("|".join(DATES_AND_TIMES), re.IGNORECASE)

LATEX_FRACTION = re.compile(r"\\[dt]?frac\s?(?:\{(\d+)\}|(\d))\s?(?:\{(\d+)\}|(\d))")
SCIENTIFIC = re.compile(r"(?<=\d) ?(?:[×x*·⋅]|\\times|\\cdot) ?10\^([-+]?\d+)")
POWER_OF_TEN = re.compile(r"(?<![\w.,^])10\^([-+]?\d+)(?![\d.,]*\d)")
# "= - 5", or a text that is nothing but "- 5": elsewhere a dash before a blank opens an item of a list.
SIGN_WITH_BLANK = re.compile(rf"((?:\A|[=:≈] ?)[-+]) (?=(?:{CURRENCY} ?)?[\d.,])")
SIGN_AS_WORD = re.compile(
    r"(?<!\w)(?<!\d )(?:minus|negative) (?=[\d.,$€£¥])|[负負](?=[\d.,$€£¥])", re.IGNORECASE
)
BLANKS = "\u00a0\u2009\u202f"


def plain_text(text: str, *, decimal_mark: str, blanks_group: bool) -> str:
    """Return a text whose numbers are written in ASCII; blanks that part thousands are gone."""
    text = text.strip().replace(MARKER, " ")
    if not text.isascii():
        text = "".join(_plain_character(character, decimal_mark) for character in text)
        text = re.sub("[⁰¹²³⁴-⁹⁺⁻]+", _power, text)
        text = _with_vulgar_fractions(text)
    if "\\" in text:
        text = re.sub(r"\\([$%])", r"\1", text.replace("{,}", ",")).replace("\\,", BLANKS[0])
        text = re.sub(r"\\sqrt(?![a-z])", "√", re.sub(r"\\pi(?![a-z])", "π", text))
        text = LATEX_FRACTION.sub(_fraction, text)
    text = re.sub(r"\^ ?\{?([-+]?\d+)\}?", r"^\1", text)
    text = POWER_OF_TEN.sub(r"1e\1", SCIENTIFIC.sub(r"e\1", text))
    text = re.sub(r"(?<=\d) / (?=\d)", "/", SIGN_AS_WORD.sub("-", text))
    if "\n" not in text:
        text = SIGN_WITH_BLANK.sub(r"\1", text)
    text = DATE_OR_TIME.sub(MARKER, text)
    text = _blank_groups(BLANKS + " ").sub(lambda found: _joined(found[0], blanks_group), text)
    return text if blanks_group else _blank_groups(BLANKS).sub(lambda found: _joined(found[0], True), text)


def _plain_character(character: str, decimal_mark: str) -> str:
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
    return f"^{found[0].translate(SUPERSCRIPTS)}" if before.isdecimal() else found[0]


def _with_vulgar_fractions(text: str) -> str:
    return re.sub(r"(?<=\d) ?([¼-¾⅐-⅞↉])|([¼-¾⅐-⅞↉])", _vulgar_fraction, text)


def _vulgar_fraction(found: re.Match[str]) -> str:
    """Write 1½ as 1 1/2."""
    parts = unicodedata.normalize("NFKC", found[1] or found[2]).replace("⁄", "/")
    return f" {parts}" if found[1] else parts


def _fraction(found: re.Match[str]) -> str:
    joins = found.string[found.start() - 1 : found.start()].isdecimal()
    return f"{' ' if joins else ''}{found[1] or found[2]}/{found[3] or found[4]}"


def _blank_groups(blanks: str) -> re.Pattern[str]:
    return re.compile(
        rf"(?<![\w.,'/:])(?<!\d[{blanks}])[1-9]\d{{0,2}}(?:[{blanks}]\d{{3}})+(?![\w/:'][\d]|\d|[{blanks}]\d)"
    )


def _joined(groups: str, is_group: bool) -> str:
    """Take the blanks out of 1 234; a group that begins with 0 shows that it is one, whatever the convention."""
    return re.sub(r"\D", "", groups) if is_group or re.search(r"\D0", groups) else groups
