"""What transformers makes of conversations: ids and the tokens to learn. Run by `npm run conversations`; see README.md.

usage: reference.py BASES < lines of {"template", "row"} > lines of {"rows": [[ids, mask], ...]} or {"refused": message}

The tokens to learn are those of the `{% generation %}` blocks of the templates, which Moraine does not look at.
"""

import copy
import datetime
import json
import re
import sys
from pathlib import Path

import jinja2
import transformers.utils.chat_template_utils as chat
from transformers import PreTrainedTokenizerFast

TEMPLATES = {case["name"]: case for case in json.loads((Path(__file__).parent / "templates.json").read_text())}


class Pinned(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return cls(2026, 3, 5)


chat.datetime = Pinned


class Base:
    def __init__(self, folder: Path, case):
        self.case, self.keeps_null = case, False
        self.tokenizer = PreTrainedTokenizerFast(
            tokenizer_file=str(folder / "tokenizer.json"), eos_token=self.case["eos"], bos_token=self.case.get("bos")
        )
        self.template = chat._compile_jinja_template((folder / "chat_template.jinja").read_text())
        self.tokens = {"eos_token": self.case["eos"], "bos_token": self.case.get("bos") or ""}

    def normal(self, messages):
        """Messages as `apply_chat_template` gives them to a template: nothing that is null, reasoning under each name that templates read."""
        return chat._alias_reasoning_fields(messages if self.keeps_null else chat._normalize_chat_messages(messages))

    def render(self, messages, tools):
        """Text and the spans of its generation blocks."""
        text, blocks = chat._render_with_assistant_indices(
            compiled_template=self.template, messages=self.normal(messages), tools=tools, documents=None, add_generation_prompt=False, **self.tokens
        )
        return text, [self.own(text, *block) for block in blocks]

    def own(self, text, start, stop):
        """The part of a block that a model writes: others' blocks hold what the generation prompt brings, and what follows the end token."""
        if "opening" not in self.case:
            return start, stop
        brought = next((len(words) for words in self.case["opening"] if text.startswith(words, start)), 0)
        ends = [text.rfind(end, start, stop) + len(end) for end in [self.case["eos"], *self.case.get("eosAlso", [])] if end in text[start:stop]]
        return start + brought, max(ends, default=stop)

    def encode(self, text, spans):
        encoded = self.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        ids, offsets = encoded["input_ids"], encoded["offset_mapping"]
        # A token that crosses the start of an answer belongs to it.
        mask = [int(any(begin < end and start < stop and end > start and begin < stop for start, stop in spans)) for begin, end in offsets]
        return [ids, mask]


def with_text(messages):
    """An empty content where there is none."""
    return [m | {"content": m["content"] or ""} for m in messages]


def with_objects(messages):
    """Arguments of calls as objects."""
    messages = copy.deepcopy(messages)
    for message in messages:
        for call in message.get("tool_calls") or []:
            call["function"]["arguments"] = json.loads(call["function"]["arguments"])
    return messages


def rows(base: Base, row):
    """Ids and mask of every row that a conversation makes: one, or one for each answer where the template changes earlier turns."""
    weights = [m.pop("weight", 1) for m in row["messages"]]
    messages, tools = row["messages"], row.get("tools")
    if base.case.get("calls") == "object":
        messages = with_objects(messages)
    answers = [i for i, m in enumerate(messages) if m["role"] == "assistant"]
    learned = [i for i in answers if weights[i] == 1]
    text, blocks = base.render(messages, tools)
    spans = dict(zip(answers, blocks, strict=True))
    if all(begins(base, text, messages[: i + 1], tools) for i in learned):
        kept = [i for i in learned if written(base, messages[i], text, spans[i]) and heeded(base, messages[: i + 1], tools)]
        spans = {i: without_opening(base, messages, i, tools, text, span) for i, span in spans.items()}
        return [made(base, text, [spans[i] for i in kept], [spans[i] for i in learned])]
    result = []
    for i in learned:
        text, blocks = base.render(messages[: i + 1], tools)
        is_kept = written(base, messages[i], text, blocks[-1]) and heeded(base, messages[: i + 1], tools)
        kept = [blocks[-1]] if is_kept else []
        result.append(made(base, text, kept, [blocks[-1]]))
    return result


def without_opening(base, messages, i, tools, text, span):
    """The span behind what the generation prompt brings of the answer, `<think>` say; white space is the answer's own."""
    try:
        before = [m for m in messages[:i]]
        prompt = base.template.render(messages=base.normal(before), tools=tools, documents=None, add_generation_prompt=True, **base.tokens)
    except jinja2.exceptions.TemplateError:
        return span
    brought = prompt[span[0] :] if text.startswith(prompt) else ""
    return (span[0] + len(brought), span[1]) if brought.strip() else span


def begins(base, text, messages, tools):
    try:
        return text.startswith(base.render(messages, tools)[0])
    except jinja2.exceptions.TemplateError:
        return False


def made(base, text, kept, spans):
    if base.case["name"] != "no-end":
        return base.encode(text, kept)
    # The template ends no answer, so an end token is put behind each; one that the answer ends with itself counts.
    eos = base.case["eos"]
    if all(text[:stop].endswith(eos) for _, stop in spans):
        return base.encode(text, kept)
    written, at, moved = "", 0, []
    for span in spans:
        written += text[at : span[1]] + eos
        at = span[1]
        if span in kept:
            length = span[1] - span[0] + len(eos)
            moved.append((len(written) - length, len(written)))
    return base.encode(written + text[at:], moved)


def written(base, message, text, span):
    """Whether the block holds the words of the answer and its calls; white space does not count."""
    squeeze = lambda words: re.sub(r"[\s\ufeff]+", "", words)  # noqa: E731
    block = squeeze(text[span[0] : span[1]])
    content = message.get("content") or ""
    if squeeze(content) not in block and not ("</think>" in content and squeeze(content.split("</think>")[-1]) in block):
        # The last thought ends where the template cut; anything else is a change of words.
        return False
    names = [call["function"]["name"] for call in message.get("tool_calls") or []]
    return all(block.count(name) >= names.count(name) for name in names)


def heeded(base, messages, tools):
    """Whether the template writes the words that stand beside calls: with others the text is another."""
    *before, last = messages
    if not last.get("tool_calls") or not (last.get("content") or "").strip():
        return True
    return base.render([*before, last | {"content": "\ue0a7"}], tools)[0] != base.render(messages, tools)[0]


def main():
    bases = {name: Base(Path(sys.argv[1]) / name, case) for name, case in TEMPLATES.items()}
    for line in sys.stdin:
        asked = json.loads(line)
        base, row = bases[asked["template"]], json.loads(asked["row"])
        # Templates that fail without a content are given null, as earlier versions of transformers do, then an empty one.
        for base.keeps_null, change in [(False, lambda given: given), (True, lambda given: given), (False, with_text)]:
            try:
                result = {"rows": rows(base, row | {"messages": change(copy.deepcopy(row["messages"]))})}
                break
            except (jinja2.exceptions.TemplateError, TypeError) as error:
                result = {"refused": str(error)}
        print(json.dumps(result))


if __name__ == "__main__":
    main()
