"""Generated tokenizers: any normalizers before any pre-tokenizer before any model, and the ids that Hugging Face's tokenizers gives odd texts.

usage: variants.py SEED COUNT > variants.json    (a Python with tokenizers 0.23, as .venv/peft has it)

Texts are of white space of all kinds, punctuation, marks, numbers, letters whose small form depends on their place, and added tokens; the
vocabulary of each tokenizer is of pieces of what its normalizer and pre-tokenizer make of them. A text that makes Hugging Face's panic is left out.
"""

import base64
import json
import random
import struct
import sys

from tokenizers import AddedToken, Tokenizer, normalizers, pre_tokenizers

LETTERS = [
    *" \t\n\r\v\f\0\x07\x1f\u0085\u00a0\u00ad\u1680\u180e\u200b\u200d\u2028\u2029\u202f\u3000\ufeff\ufffd",
    *"  aabcdeétAÉßΣΑσςİıſǅﬁﷺ½²Ⅳ٣四①9012水日語한ᄒ\u1112\u1161\u11ab😀𝔘𠜎",
    *"!#-_.,'’«»▁|$+<>[]~`^¿、。\u0301\u0323\u0345\u093f\u200c",
]
PARTS = [*LETTERS, "e\u0301", "ΑΣ", "ΑΣ.", "##", "--", "  ", "\r\n", "'s", "don't", " a", "🇩🇪", "👩‍👧", "नि", "กำ", "<s>", "<x>", "tok", "ONE", "<0x0A>"]

RULES = {
    "ﬁ": "fi", "①": "1", "½": "1⁄2", "²": "2", "\u00a0": " ", "\t": " ", "\n": " ", "\u3000": " ", "\u200b": " ", "\u0085": "", "\ufeff": "",
    "\x07": "", "e\u0301": "é", "Ⅳ": "IV", "𝔘": "U", "ﷺ": "صلى الله", "\u2028": " ", "▁": " ", "ᄒ": "ㅎ", "'": "’", "’s": "S",
}  # fmt: skip


def char_map(rules: dict[str, str]) -> str:
    """SentencePiece's compiled rules: a double array of the keys, then what they become."""
    texts, places = b"", {}
    for made in sorted(set(rules.values())):
        places[made] = len(texts)
        texts += made.encode() + b"\0"
    units, taken = {0: 0}, {0}

    def place(at: int, keys: dict[bytes, str]):
        nexts = sorted({key[0] if key else 0 for key in keys})
        base = next(base for base in range(1 << 16) if not any(base ^ label in taken for label in nexts))
        taken.update(base ^ label for label in nexts)
        units[at] |= (at ^ base) << 10
        for label in nexts:
            if label == 0:
                units[at] |= 1 << 8
                units[base] = places[keys[b""]] | 1 << 31
                continue
            units[base ^ label] = label
            place(base ^ label, {key[1:]: made for key, made in keys.items() if key and key[0] == label})

    place(0, {key.encode(): made for key, made in rules.items()})
    size = (max(units) | 0xFF) + 1
    array = struct.pack(f"<{size}I", *(units.get(i, 0) for i in range(size)))
    return base64.b64encode(struct.pack("<I", len(array)) + array + texts).decode()


def make_normalizer(draw: random.Random) -> dict:
    pattern = draw.choice([{"String": " "}, {"String": "a"}, {"Regex": r"\s+"}, {"Regex": " {2,}"}, {"Regex": r"[.!?]"}, {"Regex": "^.|b+$"}])
    return draw.choice(
        [
            *({"type": name} for name in ["NFC", "NFD", "NFKC", "NFKD", "Lowercase", "StripAccents", "Nmt", "Lowercase", "StripAccents"]),
            {"type": "Strip", "strip_left": draw.random() < 0.7, "strip_right": draw.random() < 0.5},
            {"type": "Prepend", "prepend": draw.choice(["▁", "a", " "])},
            {"type": "Replace", "pattern": pattern, "content": draw.choice(["", "▁", " ", "$1b"])},
            {"type": "Precompiled", "precompiled_charsmap": char_map(RULES)},
            {
                "type": "BertNormalizer",
                "clean_text": draw.random() < 0.5,
                "handle_chinese_chars": draw.random() < 0.5,
                "strip_accents": draw.choice([None, True, False]),
                "lowercase": draw.random() < 0.5,
            },
        ]
    )


BEHAVIORS = ["Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous"]


def make_pre_tokenizer(draw: random.Random) -> dict:
    pattern = draw.choice([{"String": " "}, {"String": "--"}, {"Regex": r"\s+"}, {"Regex": r"\w+|[^\w\s]+"}, {"Regex": "[a-z]"}, {"Regex": r"\p{L}*"}])
    return draw.choice(
        [
            *({"type": name} for name in ["Whitespace", "WhitespaceSplit", "BertPreTokenizer"]),
            {"type": "Punctuation", "behavior": draw.choice(BEHAVIORS)},
            {"type": "Digits", "individual_digits": draw.random() < 0.5},
            {"type": "CharDelimiterSplit", "delimiter": draw.choice("a -")},
            {"type": "FixedLength", "length": draw.randint(1, 6)},
            {"type": "Split", "pattern": pattern, "behavior": draw.choice(BEHAVIORS), "invert": draw.random() < 0.4},
            make_metaspace(draw),
            *({"type": "ByteLevel", "add_prefix_space": draw.random() < 0.6, "trim_offsets": True, "use_regex": draw.random() < 0.8} for _ in range(3)),
        ]
    )


def make_metaspace(draw: random.Random) -> dict:
    return {"type": "Metaspace", "replacement": "▁", "prepend_scheme": draw.choice(["first", "first", "always", "never"]), "split": draw.random() < 0.5}


def some(draw: random.Random, make, kind: str, list_key: str, most: int) -> dict | None:
    """None of a kind, one, or several one after another."""
    count = draw.choice([0, 1, 1, 2, 3][: most + 2])
    if count == 0:
        return None
    return make(draw) if count == 1 else {"type": kind, list_key: [make(draw) for _ in range(count)]}


def make_added(draw: random.Random) -> list[dict]:
    contents = draw.sample(["<s>", "<x>", "tok", "ONE", "  ", "É", "##", "a"], draw.choice([1, 1, 2, 3]))
    return [
        {
            "content": content,
            "special": draw.random() < 0.4,
            **{key: draw.random() < 0.3 for key in ["single_word", "lstrip", "rstrip"]},
            "normalized": draw.random() < 0.5,
        }
        for content in contents
    ]


def words_of(texts: list[str], normalizer: dict | None, pre_tokenizer: dict | None) -> list[str]:
    """What the model may see."""
    probe = {"version": "1.0", "truncation": None, "padding": None, "added_tokens": [], "post_processor": None, "decoder": None}
    probe |= {"normalizer": normalizer, "pre_tokenizer": pre_tokenizer, "model": {"type": "WordLevel", "vocab": {"?": 0}, "unk_token": "?"}}
    tokenizer = Tokenizer.from_str(json.dumps(probe))
    words = []
    for text in texts:
        seen = text if tokenizer.normalizer is None else tokenizer.normalizer.normalize_str(text)
        words += [seen] if tokenizer.pre_tokenizer is None else [word for word, _ in tokenizer.pre_tokenizer.pre_tokenize_str(seen)]
    return [word for word in words if word]


def pieces_of(draw: random.Random, words: list[str], count: int) -> list[str]:
    pieces = []
    for word in draw.choices(words, k=count):
        start = draw.randrange(len(word))
        pieces.append(word[start : start + draw.choice([1, 2, 2, 3, 5])])
    return list(dict.fromkeys(pieces))


def byte_tokens(draw: random.Random, words: list[str]) -> list[str]:
    used = sorted({byte for word in words for byte in word.encode()})
    return [f"<0x{byte:02X}>" for byte in used if draw.random() < 0.98]


def make_model(draw: random.Random, words: list[str]) -> dict:
    kind = draw.choice(["BPE", "BPE", "Unigram", "Unigram", "WordPiece", "WordLevel"])
    letters = sorted({letter for word in words for letter in word})
    known = [letter for letter in letters if draw.random() < 0.85]
    if kind == "WordLevel":
        return {"type": kind, "unk_token": "<unk>", "vocab": ids(["<unk>", *draw.choices(words, k=40), *known])}
    if kind == "WordPiece":
        pieces = pieces_of(draw, words, 60)
        vocab = ids(["<unk>", *known, *(f"##{letter}" for letter in known), *pieces, *(f"##{piece}" for piece in pieces)])
        return {"type": kind, "unk_token": "<unk>", "continuing_subword_prefix": "##", "max_input_chars_per_word": draw.choice([6, 100]), "vocab": vocab}
    fallback = draw.random() < 0.6
    extra = byte_tokens(draw, words) if fallback else []
    if kind == "Unigram":
        pieces = list(dict.fromkeys(["<unk>", *known, *pieces_of(draw, words, 60), *extra]))
        scores = [round(-draw.random() * 8, draw.choice([0, 3])) for _ in pieces]
        return {"type": kind, "unk_id": 0, "byte_fallback": fallback, "vocab": [list(one) for one in zip(pieces, scores)]}
    merges = [[word[i], word[i + 1]] for word in draw.choices(words, k=40) if len(word) > 1 for i in [draw.randrange(len(word) - 1)]]
    merges = [list(one) for one in dict.fromkeys(map(tuple, merges)) if set(one) <= set(known)]
    return {
        "type": kind,
        "unk_token": draw.choice([None, "<unk>", "<unk>"]),
        "fuse_unk": draw.random() < 0.5,
        "byte_fallback": fallback,
        "ignore_merges": draw.random() < 0.3,
        "vocab": ids(["<unk>", *known, *(left + right for left, right in merges), *extra]),
        "merges": merges,
    }


def ids(tokens: list[str]) -> dict[str, int]:
    return {token: i for i, token in enumerate(dict.fromkeys(tokens))}


def make_case(draw: random.Random) -> dict | None:
    texts = ["".join(draw.choices(PARTS, k=draw.choice([1, 2, 3, 5, 8, 16]))) for _ in range(10)]
    normalizer = some(draw, make_normalizer, "Sequence", "normalizers", 3)
    pre_tokenizer = some(draw, draw.choice([make_pre_tokenizer, make_pre_tokenizer, make_metaspace]), "Sequence", "pretokenizers", 2)
    seen = [*texts, *("".join(draw.choices(PARTS, k=12)) for _ in range(8))]
    words = unless_failed(lambda: words_of(seen, normalizer, pre_tokenizer))
    if words is None:
        return None
    model = make_model(draw, words or ["a"])
    whole = {"version": "1.0", "truncation": None, "padding": None, "added_tokens": [], "post_processor": None, "decoder": None}
    whole |= {"normalizer": normalizer, "pre_tokenizer": pre_tokenizer, "model": model}
    tokenizer = Tokenizer.from_str(json.dumps(whole))
    for token in make_added(draw):
        if token["normalized"] and tokenizer.normalizer is not None and tokenizer.normalizer.normalize_str(token["content"]) == "":
            continue
        added = AddedToken(**token)
        (tokenizer.add_special_tokens if token["special"] else tokenizer.add_tokens)([added])
    parts = {key: json.loads(tokenizer.to_str())[key] for key in ["added_tokens", "normalizer", "pre_tokenizer", "model"]}
    pairs = [[text, unless_failed(lambda: tokenizer.encode(text, add_special_tokens=False).ids)] for text in dict.fromkeys(texts)]
    return parts | {"texts": [pair for pair in pairs if pair[1] is not None]}


def unless_failed(compute):
    """Hugging Face's own panics over some texts."""
    try:
        return compute()
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        return None


def main():
    draw = random.Random(int(sys.argv[1]))
    cases = filter(None, (make_case(draw) for _ in range(int(sys.argv[2]))))
    print("[" + ",\n".join(json.dumps(case, separators=(",", ":"), ensure_ascii=True) for case in cases) + "]")


main()
