"""What a browser would build from a page, everything in it that could act, and text that tries to."""

import re
from collections import Counter
from html.parser import HTMLParser

HOSTILE = (
    "<script>alert(1)</script><img src=x onerror=alert(2)></style></title></details>--> \" ' {{ 7 * 7 }}"
    ' &lt; <a href="https://evil.example/">x</a> \u202eright to left\u202c zero\u200bwidth \u2028'
    " \x1b[31m \x00 \ufeff"
)
ELEMENT = re.compile(
    "html|head|meta|title|style|body|header|main|nav|section|article|figure|figcaption|h[1-5]|p|b|a|span"
    "|dl|dt|dd|div|ul|li|table|thead|tbody|tr|th|td|details|summary|mark|pre|svg|g|path|line|circle|rect|text"
    "|input|label"
)


class Page(HTMLParser):
    """What a browser would build from the file, as far as the checks need it."""

    def __init__(self, html):
        super().__init__()
        self.elements, self.attributes, self.styles, self.text = Counter(), [], [], ""
        self.headings, self.open = [], []
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        self.elements[tag] += 1
        self.attributes += [(tag, name, value or "") for name, value in attributes]
        self.open.append(tag)
        if re.fullmatch("h[1-6]", tag):
            self.headings.append(int(tag[1]))

    def handle_endtag(self, tag):
        if tag in self.open:
            while self.open.pop() != tag:
                pass

    def handle_data(self, data):
        if "style" in self.open:
            self.styles.append(data)
        else:
            self.text += data


def offences(html):
    """List everything in a page that could act, or ask for something outside."""
    parsed = Page(html)
    found = [f"<{tag}>" for tag in parsed.elements if not ELEMENT.fullmatch(tag)]
    for tag, name, value in parsed.attributes:
        is_namespace = name in ("xmlns", "xmlns:xlink")
        if name.startswith("on") or name in ("src", "srcset", "style", "action", "data", "xlink:href"):
            found.append(f"{tag} {name}")
        if name == "href" and not re.fullmatch("#[a-z-]+", value):
            found.append(f"{tag} href={value}")
        if "//" in value and not is_namespace:
            found.append(f"{tag} {name}={value}")
    style = "".join(parsed.styles)
    return found + re.findall(r"url\(|@import|expression\(|//", style)
