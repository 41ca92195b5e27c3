"""Small tokenizers in the shapes of current families, made with Hugging Face's tokenizers, and the ids that it gives for hard texts.

usage: shapes.py FOLDER    writes FOLDER/NAME.json (a tokenizer.json) for every shape, and FOLDER/ids.json

Each shape has the normalizer, pre-tokenizer, model settings, post-processor and decoder of the family's own tokenizer.json; the vocabulary is
trained here, on examples/tasks and texts.json.
"""

import json
import sys
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

HERE = Path(__file__).parent
TEXTS = json.loads((HERE / "texts.json").read_text())
CORPUS = [
    (HERE / "../../examples/tasks/source.jsonl").read_text()[:60_000],
    (HERE / "../../examples/base/README.md").read_text(),
    *TEXTS,
] + TEXTS * 3

WORDS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|"
REST = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
LLAMA3 = WORDS + r"\p{N}{1,3}" + REST
QWEN = WORDS + r"\p{N}" + REST
UPPER = r"\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}"
LOWER = r"\p{Ll}\p{Lm}\p{Lo}\p{M}"
TEKKEN = (
    rf"[^\r\n\p{{L}}\p{{N}}]?[{UPPER}]*[{LOWER}]+|[^\r\n\p{{L}}\p{{N}}]?[{UPPER}]+[{LOWER}]*|\p{{N}}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
QWEN35 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def special(*texts):
    return [AddedToken(text, special=True, normalized=False) for text in texts]


def plain(*texts, **options):
    return [AddedToken(text, special=False, **{"normalized": False, **options}) for text in texts]


def split(pattern, behavior="isolated", invert=False):
    return pre_tokenizers.Split(Regex(pattern), behavior=behavior, invert=invert)


def byte_level(pattern=None, behavior="isolated", invert=False, first=None):
    """Byte-level BPE behind a pattern, or behind GPT-2's own."""
    own = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=pattern is None)
    parts = [*([first] if first else []), *([split(pattern, behavior, invert)] if pattern else []), own]
    return own if len(parts) == 1 else pre_tokenizers.Sequence(parts)


def train_bytes(pre_tokenizer, normalizer=None, added=(), **model):
    tokenizer = Tokenizer(models.BPE(**model))
    if normalizer is not None:
        tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(CORPUS, trainers.BpeTrainer(vocab_size=420, initial_alphabet=alphabet, show_progress=False))
    add(tokenizer, added)
    return tokenizer


def train_pieces(normalizer, pre_tokenizer, decoder, added):
    """SentencePiece's BPE: bytes for what is not in the vocabulary."""
    specials = ["<unk>", "<s>", "</s>", *[f"<0x{byte:02X}>" for byte in range(256)]]
    tokenizer = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>", fuse_unk=True))
    tokenizer.normalizer = normalizer
    # Merges cross spaces where nothing splits, as in the families' own; lines keep the training quick.
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r"[^\n]{1,40}|\n+"), behavior="isolated")
    trainer = trainers.BpeTrainer(vocab_size=520, special_tokens=specials, limit_alphabet=90, show_progress=False)
    tokenizer.train_from_iterator(CORPUS, trainer)
    data = json.loads(tokenizer.to_str())
    # The byte tokens are pieces like any other, not added ones.
    data["added_tokens"] = []
    data["pre_tokenizer"] = None
    tokenizer = Tokenizer.from_str(json.dumps(data))
    if pre_tokenizer is not None:
        tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.decoder = decoder
    add(tokenizer, special("<unk>", "<s>", "</s>"))
    add(tokenizer, added)
    return tokenizer


def train_unigram(normalizer, pre_tokenizer, decoder, added):
    """SentencePiece's unigram model: bytes for what is not in the vocabulary."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre_tokenizer
    trainer = trainers.UnigramTrainer(vocab_size=300, special_tokens=["<unk>", "<s>", "</s>"], unk_token="<unk>", show_progress=False)
    tokenizer.train_from_iterator(CORPUS, trainer)
    data = json.loads(tokenizer.to_str())
    pieces = [[text, round(score, 4)] for text, score in data["model"]["vocab"] if len(text) > 1 or text.isascii() or text == "▁"]
    data["model"] |= {"byte_fallback": True, "vocab": [*pieces, *([f"<0x{byte:02X}>", -20.0] for byte in range(256))]}
    tokenizer = Tokenizer.from_str(json.dumps(data))
    tokenizer.decoder = decoder
    add(tokenizer, added)
    return tokenizer


def train_word_pieces():
    """BERT's own."""
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(clean_text=True, handle_chinese_chars=True, lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece(prefix="##", cleanup=False)
    specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "<|endoftext|>"]
    tokenizer.train_from_iterator(CORPUS, trainers.WordPieceTrainer(vocab_size=520, special_tokens=specials, limit_alphabet=150, show_progress=False))
    return tokenizer


def add(tokenizer, added):
    for token in added:
        (tokenizer.add_special_tokens if token.special else tokenizer.add_tokens)([token])


def begin_with(tokenizer, token):
    template = processors.TemplateProcessing(single=f"{token} $A", pair=f"{token} $A {token} $B", special_tokens=[(token, tokenizer.token_to_id(token))])
    is_bytes = isinstance(tokenizer.decoder, decoders.ByteLevel)
    tokenizer.post_processor = processors.Sequence([processors.ByteLevel(trim_offsets=False), template]) if is_bytes else template
    return tokenizer


REPLACE = normalizers.Replace(" ", "▁")
PIECES = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
CHAT = special("<|endoftext|>", "<|im_start|>", "<|im_end|>")
CALLS = plain("<tool_call>", "</tool_call>", "<think>", "</think>")

SHAPES = {
    "llama3": lambda: begin_with(
        train_bytes(byte_level(LLAMA3), added=special("<|begin_of_text|>", "<|end_of_text|>", "<|eot_id|>"), ignore_merges=True), "<|begin_of_text|>"
    ),
    "mistral-sentencepiece": lambda: begin_with(
        train_pieces(
            normalizers.Sequence([normalizers.Prepend("▁"), REPLACE]),
            None,
            decoders.Sequence([*PIECES, decoders.Strip(" ", 1, 0)]),
            special("[INST]", "[/INST]"),
        ),
        "<s>",
    ),
    "mistral-metaspace": lambda: metaspace(SHAPES["mistral-sentencepiece"]()),
    "mistral-tekken": lambda: begin_with(train_bytes(byte_level(TEKKEN), added=special("<s>", "</s>", "[INST]", "[/INST]"), ignore_merges=True), "<s>"),
    "qwen2": lambda: train_bytes(byte_level(QWEN), normalizers.NFC(), [*CHAT, *CALLS]),
    "qwen3.5": lambda: train_bytes(byte_level(QWEN35), normalizers.NFC(), [*CHAT, *CALLS]),
    "smollm2": lambda: train_bytes(byte_level(first=pre_tokenizers.Digits(individual_digits=True)), added=CHAT),
    "smollm3": lambda: train_bytes(byte_level(LLAMA3), added=[*CHAT, *CALLS], ignore_merges=True),
    "olmo2": lambda: train_bytes(byte_level(LLAMA3, "removed", True), added=[*CHAT, *special("<|pad|>"), *plain("|||IP_ADDRESS|||")]),
    "gemma3": lambda: begin_with(
        train_pieces(
            REPLACE,
            pre_tokenizers.Split(" ", behavior="merged_with_previous"),
            decoders.Sequence(PIECES),
            [*special("<bos>", "<start_of_turn>", "<end_of_turn>"), *plain("\n\n", "\n\n\n", "▁▁", "▁▁▁", "\t\t", "<table>")],
        ),
        "<bos>",
    ),
    # No family, but what any may have: tokens that take the space beside them, or stand alone, or are looked for after normalizing.
    "added-tokens": lambda: train_bytes(
        byte_level(),
        normalizers.NFC(),
        [
            *CHAT,
            AddedToken("<|left|>", lstrip=True, normalized=False),
            AddedToken("<|right|>", rstrip=True, normalized=False),
            AddedToken("<|both|>", lstrip=True, rstrip=True, special=True, normalized=False),
            AddedToken("alone", single_word=True, normalized=False),
            AddedToken("ONE", single_word=True, normalized=True),
            AddedToken("Two", normalized=True),
        ],
    ),
    "normalizers": lambda: train_bytes(
        byte_level(), normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase(), normalizers.NFD(), normalizers.StripAccents()]), CHAT
    ),
    "metaspace-split": lambda: metaspace(
        begin_with(train_pieces(REPLACE, None, decoders.Sequence([decoders.ByteFallback(), decoders.Metaspace(prepend_scheme="always")]), special("[INST]")), "<s>"),
        "always",
        True,
    ),
    "splits": lambda: train_bytes(
        pre_tokenizers.Sequence(
            [
                pre_tokenizers.Split("-", behavior="merged_with_next"),
                pre_tokenizers.Split(",", behavior="merged_with_previous"),
                split("[.!?]", "contiguous"),
                pre_tokenizers.Split("\n", behavior="removed"),
                split("[^ ]+", "isolated", True),
                pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
            ]
        ),
        added=CHAT,
    ),
    "unigram": lambda: train_unigram(
        normalizers.Sequence([normalizers.Nmt(), normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")]),
        pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always"),
        decoders.Sequence([decoders.ByteFallback(), decoders.Metaspace(prepend_scheme="always")]),
        special("<unk>", "<s>", "</s>"),
    ),
    "bert": train_word_pieces,
    "roberta": lambda: train_bytes(pre_tokenizers.ByteLevel(add_prefix_space=True), added=CHAT),
    "gpt-neox": lambda: train_bytes(byte_level(), normalizers.NFC(), [*special("<|endoftext|>"), *plain("  ", "    ", "        ", normalized=True)]),
}


def main(folder):
    ids = {}
    for name, make in SHAPES.items():
        tokenizer = make()
        data = json.loads(tokenizer.to_str())
        (folder / f"{name}.json").write_text(json.dumps(data, ensure_ascii=False, separators=(",", ":")) + "\n")
        ids[name] = {"before": before(tokenizer), "cases": [case(tokenizer, text) for text in TEXTS]}
    lines = json.dumps(ids, ensure_ascii=True, separators=(",", ":")).replace("]],[[", "]],\n[[")
    (folder / "ids.json").write_text(lines + "\n")


def before(tokenizer):
    """What the tokenizer puts before a text."""
    return tokenizer.encode("").ids


def case(tokenizer, text):
    """Ids of a text, and what they decode to where that is another text."""
    ids = tokenizer.encode(text, add_special_tokens=False).ids
    assert tokenizer.encode(text).ids == [*before(tokenizer), *ids]
    decoded = tokenizer.decode(ids, skip_special_tokens=False)
    return [ids] if decoded == text else [ids, decoded]


def metaspace(tokenizer, prepend_scheme="first", split=False):
    """The newer dialect of a SentencePiece tokenizer: its pre-tokenizer, not a normalizer, writes spaces as ▁."""
    data = json.loads(tokenizer.to_str())
    data["normalizer"] = None
    data["pre_tokenizer"] = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": prepend_scheme, "split": split}
    return Tokenizer.from_str(json.dumps(data))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
