"""A fixed hundred of Chinese prompts, put together from parts, on which every export is compared."""

from itertools import product

TASKS = (
    "请把“{}”翻译成英文。",
    "用一句话解释“{}”的意思。",
    "写出“{}”的反义词或相对的概念。",
    "用“{}”造一个句子。",
    "列出三个和“{}”有关的词。",
    "“{}”一共有几个字？",
    "把“{}”改写成疑问句。",
    "说出“{}”的一个用途。",
    "“{}”属于哪一类？",
    "用 20 个字以内描述“{}”。",
)
THINGS = ("月亮", "高兴", "学习", "河流", "勇敢", "图书馆", "下雨", "2024 年", "电脑", "朋友")


def chinese_prompts() -> list[str]:
    """Return one prompt for every task and thing."""
    return [task.format(thing) for task, thing in product(TASKS, THINGS)]
