"""Texts on which tokenizers disagree: English, Chinese and odd ones, the same at every call."""

import random

SPECIAL_STRINGS = [
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<repo_name>",
    "<file_sep>",
    "</s>",
    "[INST]",
]

ENGLISH = [
    "Rewrite the sentence in the passive voice.",
    "The chef cooks the meal every day.",
    "It's what they'd've said, isn't it? We'll see; I'm sure you're right.",
    "IT'S WHAT THEY'D SAY, I'M SURE. DON'T!",
    "What is the capital of France? The capital of France is Paris.",
    "Name three animals:\n1. A dog\n2. A cat\n3. A horse",
    "Steps:\n\n1. Mix.\n\n2. Bake.\n\n10. Eat.",
    "\n\n1. First\n\n2. Second",
    "\n\n\n\n100. A hundredth",
    "a) one\n\tb) two\n\t\tc) three",
    "- item\n  - nested item\n    - deeper",
    "Convert 1000 grams to 2.2046 pounds (about 35.274 oz).",
    "In 1989-11-09, at 18:53:00, 99.9% of 1,234,567 people...",
    "pi is 3.14159265358979323846264338327950288",
    "12345678901234567890123456789012345678901234567890",
    "0000000000000000 1111111111 22 333 4444",
    "v1.2.3-rc.4+build.5678, 0x1F600, 1e-10, 6.022e23",
    "Phone: +1 (555) 010-9999 ext. 42",
    "1st 2nd 3rd 4th 21st; Q3/2024; 5km, 7°C, 20€, £3.50, $4",
    "   three spaces before and after   ",
    "trailing space ",
    "trailing spaces   ",
    "trailing newline\n",
    "trailing tab\t",
    " ",
    "  ",
    "        ",
    "\n",
    "\n\n",
    "\n\n\n",
    "\t",
    "\t\t\t",
    " \n",
    "\n ",
    " \n \n ",
    "\r\n",
    "one\r\ntwo\r\n\r\nthree\r\n",
    "one\rtwo\r\rthree",
    "tab\tseparated\tvalues\t1\t2\t3",
    "a  b   c    d     e",
    "!!!???...---***",
    "(((nested [brackets {here}])))",
    'He said: "No," and then, \'Yes.\' – "maybe" — „perhaps“…',
    "e-mail: someone@example.org; path: /usr/share/doc; C:\\Users\\x",
    "https://example.org/a/b?c=d&e=f#g",
    "snake_case camelCase PascalCase kebab-case SCREAMING_CASE",
    "supercalifragilisticexpialidocious antidisestablishmentarianism",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "### Instruction:\nDo it.\n\n### Response:\n",
    "Below is an instruction that describes a task.\n\n### Input:\n42",
    " unreachable unreachable",
]

CHINESE = [
    "你好，世界！",
    "请把下面的句子改写成被动语态。",
    "第1步：打开文件。第2步：保存文件。",
    "1、苹果\n2、香蕉\n3、橙子",
    "\n\n1. 第一\n\n2. 第二",
    "二〇二四年十一月二十二日，星期五，下午3点45分。",
    "价格是１２３４元，折扣为８５％。",
    "中文English混排123测试，空格 有 没有。",
    "“引号”、‘单引号’、《书名号》、【方括号】、（括号）……——",
    "他说：「是的。」她问：『为什么？』",
    "繁體中文：臺灣、香港、澳門。",
    "人工智能是研究、开发用于模拟、延伸和扩展人的智能的理论、方法、技术及应用系统的一门新的技术科学。",
    "　　全角空格开头，结尾　",
    "①②③④ ㈠㈡ 壹贰叁 Ⅷ",
    "𠮷野家 𡃁 㐂 䶮",
    "今天天气很好😀我们去公园吧🌳！",
    "第\t一\n第\r\n二",
    "版本2.0.1发布于2023-05-06，下载量超过1000000次。",
]

CODE = [
    "def f(x):\n    return x ** 2  # square\n",
    "for (int i = 0; i < 10; ++i) { sum += a[i]; }",
    'if x != None and y == "z":\n\tprint(f"{x!r:>10}")\n\n\n',
    "SELECT * FROM t WHERE id IN (1, 22, 333) ORDER BY 2 DESC;",
    '{"key": [1, 2.5, null, true], "nested": {"a": "b\\n"}}',
    "<div class='a'>\n  <p>1 &lt; 2</p>\n</div>",
    "x=>x+1;y=!x;z=x!=y;w=x===y||!(x&&y)",
    "$ ls -la | grep '^d' > out.txt 2>&1",
    "\\frac{1}{2} \\sum_{i=0}^{10} x_i^{2}",
    "    four\n        eight\n\ttab\n \t mixed",
]

ODD = [
    "",
    "a",
    "é e\u0301 ñ n\u0303 ü u\u0308",
    "Z\u0351\u036b\u0343a\u0329\u0327l\u0334g\u0321o",
    "naïve café façade Ångström Straße ŒUVRE",
    "😀😃😄 👍🏽 👩‍👩‍👧‍👦 🏳️‍🌈 🇩🇪🇨🇳 1️⃣2️⃣",
    "🙂1🙂22🙂333",
    "ﷺ ﬁ ﬂ ½ ¼ ² ³ ₂ Ⅳ ⅷ ٣ ४ 五 𝟗 ৬৭",
    "١٢٣٤٥ ۱۲۳ १२३४ ๑๒๓",
    "مرحبا بالعالم، كيف حالك؟ ١٢٣",
    "שלום עולם! 123 מה שלומך?",
    "\u202bעברית\u202c and \u200fEnglish\u200e",
    "Привет, мир! Ёлка №5.",
    "Γειά σου Κόσμε· ΐ ὕ",
    "नमस्ते दुनिया क्षत्रिय",
    "สวัสดีชาวโลก ภาษาไทย",
    "안녕하세요 세계 한글 ㄱㄴㄷ",
    "こんにちは世界。カタカナ ﾊﾝｶｸ １２３",
    "Tiếng Việt có dấu: ữ ệ ỗ",
    "mixed: aбγד中あ한🙂1٢३",
    "zero\u200bwidth\u200cjoin\u200der\ufeffbom\u2060wj",
    "nbsp\u00a0here\u202fthin\u2009em\u2003line\u2028para\u2029nel\u0085end",
    "\u00a0\u00a0two",
    "soft\u00adhyphen",
    "\ufffd replacement \ufffd",
    "\x01\x02\x03 control \x07\x08\x0b\x0c \x1b[31mred\x1b[0m \x7f",
    "lost\x04bytes\x06\x13\x14here\x16=\x1d'",
    "c1:\x80\x81\x9f",
    "!\x16=!\x16=",
    "private \ue000 \uf8ff \U000f0000 \U0010ffff",
    "unassigned \u0378 \U0003fffe",
    "mathematical 𝒜𝓫𝕔 𝟘𝟙𝟚",
    "tags \U000e0041\U000e0042",
    "'s 't 're 've 'm 'll 'd 'S 'T 'RE ''s '' '",
    "it’s don’t ‘quoted’",
    "x'sy 1's \n's",
]

# Blocks that Unicode filled long ago: the libraries' tables are of different age, and newer letters differ.
SETTLED_BLOCKS = [
    (0x0001, 0x0370),
    (0x0391, 0x0530),
    (0x0621, 0x06D5),
    (0x0904, 0x093A),
    (0x0E01, 0x0E3B),
    (0x1E00, 0x1EFA),
    (0x2000, 0x2065),
    (0x20A0, 0x20B9),
    (0x2100, 0x23F0),
    (0x2460, 0x27C0),
    (0x3000, 0x3040),
    (0x3041, 0x3100),
    (0x4E00, 0x9FA6),
    (0xAC00, 0xD7A4),
    (0xFF01, 0xFFBF),
    (0x1F300, 0x1F650),
    (0x20000, 0x2A6D7),
]


def odd_texts() -> list[str]:
    """At least 300 distinct texts: written ones first, then seeded mixtures of what troubles tokenizers."""
    written = (
        ENGLISH + CHINESE + CODE + ODD + [_around(special) for special in SPECIAL_STRINGS] + SPECIAL_STRINGS
    )
    dice = random.Random(20)
    mixtures = [_mixture(dice, written) for _ in range(400)]
    return list(dict.fromkeys(written + mixtures))


def _around(special: str) -> str:
    return f"user text with {special} inside,{special}{special}1 {special}\n"


def _mixture(dice: random.Random, written: list[str]) -> str:
    pools = [
        list("ab1 2\n\t\r.,'s-Zé"),
        list(" \n\n 123456789.)"),
        [chr(code) for code in range(1, 127)],
        [chr(dice.randrange(*dice.choice(SETTLED_BLOCKS))) for _ in range(8)] + list(" \n1a"),
        [text[at : at + 6] for text in dice.sample(written, 6) for at in (0, len(text) // 2)],
    ]
    pool = dice.choice(pools)
    return "".join(dice.choice(pool) for _ in range(dice.randrange(2, 30)))
