"""Whether a text is program code, as its lines show: definitions, assignments, calls, tags, queries and commands."""

import re

CODE_LINES = 0.5  # a text is code if so many of its lines are
FENCED_CHARACTERS = 0.5  # or, where it has code fences, so much of it stands in them
LINES_READ = 60  # of each text
CHARACTERS_READ = 300  # of each line

FENCED = re.compile(
    r"^[ \t]*(?:```+|~~~+)[^\n]*\n(.*?)(?:^[ \t]*(?:```+|~~~+)[ \t]*$|\Z)", re.DOTALL | re.MULTILINE
)
LIST_ITEM = re.compile(r"(?:[-*•+]|\d+[.)])\s")
# A line is prose if it ends as a sentence does, or has seven plain words one after another.
PROSE = re.compile(
    r".* .*[^\W_][\"')*]*[.!?。！？][\"')*]*|.*?(?:\b[^\W\d_][^\W\d_A-Z]*(?:['’][a-z]+)?[,;:]?\s+){6}[^\W\d_]+\b.*"
)

NAME = r"[A-Za-z_$][\w$]*"
DOTTED = rf"{NAME}(?:(?:\.|::|->){NAME}|\[[^\]]*\])*"
COMMANDS = (  # those that are no English words
    "git|sudo|docker|kubectl|npm|npx|yarn|pip3?|chmod|chown|mkdir|rmdir|[ef]?grep|awk|sed|curl|wget|ssh|scp|rsync|tar"
    "|apt|apt-get|brew|systemctl|journalctl|xargs|ps|du|df|ls|cd|cp|mv|rm|ln|wc|gzip|ffmpeg|cargo|conda|pytest|psql"
    "|openssl|lsof"
)
MODIFIERS = (
    r"(?:(?:export|default|async|static|pub|public|private|protected|final|abstract|inline|const|let|var) )*"
)
# What a line of code is in the usual languages; each pattern takes a whole line without its indentation.
LINE_PATTERNS = {
    "brackets": (r"[\[\](){};,]+",),
    "comment": (r"//.*|/\*.*|\*/|#!.*|--\s.*|<!--.*",),
    "definition": (
        rf"{MODIFIERS}(?:def|function\*?|fn|func|fun|sub) {NAME}\s*(?:[(<{{:].*)?",
        rf"{MODIFIERS}(?:class {NAME}|(?:class|struct|enum|interface|trait|impl|type) {NAME}.*[{{:=;(])",
        rf"{MODIFIERS}(?:[\w<>\[\]*&]+ \*?{NAME}\(.*[{{)]|{NAME}\s*\(.*\)\s*(?:->.*)?\{{)",
    ),
    "import": (
        r"from [\w.]+ import .+|import [\w.{*'\"].*|package \w+",
        r"#(?:include|define|ifdef|ifndef|endif|pragma)\b.*",
        r"(?:using|package|require|use) [\w.:'\"\\]+.*;|require\s*\(?['\"].*",
    ),
    "block": (
        r"(?:if|elif|while|except|match|case|foreach|switch|catch)\b.*[:{]",
        r"for\b.*(?: in |[(;]).*[:{]|with .*(?: as |\().*:",
        r"\}?\s*(?:else|try|finally|do|begin)\s*[:{]?",
        r"(?:if|while|for|foreach|unless|until)\b.*(?:[;)(\]]|(?:; ?|\b)(?:then|do|done|fi))",
        r"(?:end|fi|done|esac|pass|break|continue);?",
    ),
    "result": (r"(?:return|yield|raise|throw|await)\b.*[;()\[\]{}=+*\"'].*|return(?: \w+)?",),
    "assignment": (
        rf"{MODIFIERS}(?:{NAME}(?:::{NAME}|<[^=]*>|\[\])?[*&]? )?\*?{DOTTED}(?:, ?{DOTTED})*(?:: ?[\w\[\], |.]+)?\s*"
        r"(?:[-+*/%|&^:]|<<|>>|\*\*|//|\|\||&&)?=\s*[^=\s].*",
        rf"{DOTTED}\s*<-\s*\S.*",
    ),
    "call": (rf"(?:await |new |!|\.)?{DOTTED}!?(?:<\w+>)?\(.*(?:\).*|[,({{\[])",),
    "statement": (r".*(?:[=(){}\[\]<>$&|*#_\\]|\w\.\w|\+\+|--).*;|.*[\w)=>\]]\s*\{",),
    "decorator": (rf"@{NAME}(?:\.{NAME})*(?:\(.*\))?",),
    "output": (r"(?:puts|echo|print|printf|console\.log)\s*[\"'$(:].*",),
    "tag": (r"</?[A-Za-z][\w:.-]*(?:\s[^<>]*)?/?>.*|<[!?]\w.*>",),
    "expression": (
        r"[\[({\"'].*\bfor \w+ in .*|[\"'].*[\"']\.\w+\(.*\)|lambda\b.*:.*",
        r"\((?:define|defun|let|lambda|cond|if|map|[-+*/<>=])[\s(].*",
        r"\S*\\[dwsDWS](?![A-Za-z])\S*",
    ),
    "style": (r"[.#@]?[\w\-.#:>*, ]+\{[^{}:]+:[^{}]*\}|--?[\w-]+\s*:[^;]+;|[a-z-]+:\s[^;]+;",),
    "query": (
        r"SELECT(?:\s.+)?|INSERT INTO\s.+|UPDATE\s+\S+\s+SET\s.+|DELETE FROM\s.+|WITH \w+ AS\s*\(.*",
        r"(?:CREATE|ALTER|DROP) (?:OR REPLACE |UNIQUE |TEMP(?:ORARY)? )?[A-Z]+\s.+",
        r"(?:FROM|WHERE|GROUP BY|ORDER BY|HAVING|LIMIT|VALUES|MATCH)\s*[\w(].*|UNION(?: ALL)?",
        r"(?:ON|AND|OR|SET)\s.*(?:[=<>(]| IN | LIKE | IS ).*|(?:LEFT |RIGHT |INNER |OUTER |FULL |CROSS )*JOIN\b.+",
    ),
    "query in lower case": (
        r"select\s.+\sfrom\s+\w.*[=*;()_<>].*|select\s+\*\s+from\s+\w+.*|insert into\s+\w+\s*(?:\(|values).*",
        r"update \w+ set \w+\s*=.*|delete from\s+\w+.*[=;]|create table\s+\w+\s*\(.*",
    ),
    "command": (
        rf"(?:RUN|COPY|CMD|ENTRYPOINT|WORKDIR|ENV|EXPOSE) \S.*|(?:\$ )?(?:{COMMANDS}) [^\sA-Z].*",
        r"(?:\$ )?[a-z][\w.-]+(?: \S+)*? (?:--?[A-Za-z]\S*|[.~]{0,2}/\S+|\*\.\w+|\| \S+|>+ \S+|&& \S+)(?: .*)?",
    ),
    "formula": (r"=[A-Z][A-Z0-9.]*\(.*\).*|=\S*[A-Z]+\d+\S*",),
}
LINE = re.compile("|".join(f"(?:{pattern})" for patterns in LINE_PATTERNS.values() for pattern in patterns))


def is_code(text: str) -> bool:
    """Tell whether a text is code: half of its characters in code fences or, where there is none, half of its lines."""
    fenced = "".join(FENCED.findall(text)).strip()
    if fenced:
        beside = FENCED.sub("", text).strip()
        return len(fenced) >= FENCED_CHARACTERS * (len(fenced) + len(beside))
    lines = [line[:CHARACTERS_READ].rstrip() for line in text.splitlines()[:LINES_READ] if line.strip()]
    count, was_code = 0, False
    for line in lines:
        was_code = is_code_line(line.strip()) or (was_code and _continues(line))
        count += was_code
    return bool(lines) and count >= CODE_LINES * len(lines)


def is_code_line(line: str) -> bool:
    """Tell whether a line, without its indentation, is code and no prose."""
    return LINE.fullmatch(line) is not None and PROSE.fullmatch(line) is None


def _continues(line: str) -> bool:
    """Tell whether a line after code belongs to it: it is indented, and neither prose nor an item of a list."""
    content = line.lstrip()
    return content != line and LIST_ITEM.match(content) is None and PROSE.fullmatch(content) is None
