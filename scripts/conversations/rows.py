"""What `apply_chat_template` of transformers makes of conversations: ids and the tokens to learn. Run by `npm run conversations -- --write`.

usage: rows.py < {"cases": [...], "rows": [...]} > {case: [[[ids, mask], ...] or null for each row]}

Where the template has `{% generation %}` blocks the mask is `return_assistant_tokens_mask`'s, without what the generation prompt brings
already and without what follows the end token. Where it has none, an answer is what its rendering has behind the rendering of the generation
prompt, up to its end token.
"""

import copy
import datetime
import json
import re
import sys

import jinja2
import transformers.utils.chat_template_utils as chat
from transformers import PreTrainedTokenizerFast


class Pinned(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return cls(2026, 3, 5)


chat.datetime = Pinned


class Base:
    def __init__(self, case):
        self.case = case
        names = {"eos_token": case["eos"]} | ({"bos_token": case["bos"]} if "bos" in case else {})
        self.tokenizer = PreTrainedTokenizerFast(tokenizer_file=f"{case['folder']}/tokenizer.json", **names)
        self.tokenizer.chat_template = case["template"]
        self.marks = re.search(r"{%[-+]?\s*generation", case["template"]) is not None
        self.ends = [case["eos"], *case.get("eosAlso", [])]

    def apply(self, messages, tools, **options):
        return self.tokenizer.apply_chat_template(messages, tools=tools, **options)

    def text(self, messages, tools, prompt=False):
        return self.apply(messages, tools, tokenize=False, add_generation_prompt=prompt)


def given(row, case):
    """Messages as transformers' documents ask for them: no weights, arguments as objects."""
    messages = copy.deepcopy(row["messages"])
    weights = [m.pop("weight", 1) for m in messages]
    for message in messages:
        for call in message.get("tool_calls", []) if case.get("calls") == "object" else []:
            call["function"]["arguments"] = json.loads(call["function"]["arguments"])
    answers = [i for i, m in enumerate(messages) if m["role"] == "assistant"]
    return messages, answers, [i for i in answers if weights[i] == 1]


def rows(base, row):
    """One row, or one for each answer where the template writes earlier turns otherwise."""
    messages, answers, learned = given(row, base.case)
    tools, label = row.get("tools"), by_blocks if base.marks else by_difference
    whole = base.text(messages, tools)
    if all(whole.startswith(base.text(messages[: i + 1], tools)) for i in learned):
        return [label(base, messages, tools, answers, learned)]
    return [label(base, messages[: i + 1], tools, [j for j in answers if j <= i], [i]) for i in learned]


def by_blocks(base, messages, tools, answers, learned):
    made = base.apply(messages, tools, tokenize=True, return_dict=True, return_assistant_tokens_mask=True)
    ids, marked = made["input_ids"], made["assistant_masks"]
    runs = [m.span() for m in re.finditer("1+", "".join(map(str, marked)))]
    mask = [0] * len(ids)
    for answer, (start, stop) in zip(answers, runs, strict=True):
        if answer in learned and writes_calls(base, messages[answer], ids[start:stop]):
            start += brought(base, ids[start:stop])
            mask[start : end_of(base, ids, start, stop)] = [1] * (end_of(base, ids, start, stop) - start)
    return [ids, mask]


def writes_calls(base, message, ids):
    """An answer whose calls the template leaves out is not learned."""
    written = base.tokenizer.decode(ids)
    return all(call["function"]["name"] in written for call in message.get("tool_calls", []))


def brought(base, ids):
    """How many tokens of a block the generation prompt brings."""
    openings = [base.tokenizer(words, add_special_tokens=False)["input_ids"] for words in base.case.get("opening", [])]
    return next((len(opening) for opening in openings if ids[: len(opening)] == opening), 0)


def end_of(base, ids, start, stop):
    ends = base.tokenizer.convert_tokens_to_ids(base.ends)
    return max((i + 1 for i in range(start, stop) if ids[i] in ends), default=stop)


def by_difference(base, messages, tools, answers, learned):
    text = base.text(messages, tools)
    spans = []
    for i in learned:
        prompt, turn = base.text(messages[:i], tools, prompt=True), base.text(messages[: i + 1], tools)
        assert text.startswith(turn) and turn.startswith(prompt), (prompt, turn)
        if any(call["function"]["name"] not in turn[len(prompt) :] for call in messages[i].get("tool_calls", [])):
            continue
        spans.append((len(prompt), max(turn.rfind(end, len(prompt)) + len(end) for end in base.ends if end in turn[len(prompt) :])))
    encoded = base.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    ids = encoded["input_ids"]
    assert ids == base.apply(messages, tools, tokenize=True, return_dict=True)["input_ids"]
    mask = [int(any(start < end and begin < stop for start, stop in spans)) for begin, end in encoded["offset_mapping"]]
    return [ids, mask]


def made(base, row):
    try:
        return rows(base, row)
    except (jinja2.exceptions.TemplateError, TypeError):
        pass
    try:  # many templates fail without a content
        return rows(base, row | {"messages": [m | {"content": m["content"] or ""} for m in row["messages"]]})
    except (jinja2.exceptions.TemplateError, TypeError):
        return None


asked = json.load(sys.stdin)
print(json.dumps({case["name"]: [made(Base(case), row) for row in asked["rows"]] for case in asked["cases"]}))
