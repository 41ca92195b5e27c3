"""Writes the tables of fixtures/ with pyarrow, as data sets are published: `pip install pyarrow==26.0.1`, then `python make.py`.

With a folder and a size in MB, `python make.py FOLDER 300`, writes large.parquet there: one row group, as pandas writes it.
"""

import datetime
import decimal
import json
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

HERE = Path(__file__).parent / "fixtures"
FUNCTION = pa.struct([("name", pa.string()), ("arguments", pa.string())])
CALL = pa.struct([("id", pa.string()), ("type", pa.string()), ("function", FUNCTION)])
MESSAGE = pa.struct(
    [("role", pa.string()), ("content", pa.string()), ("tool_calls", pa.list_(CALL)), ("tool_call_id", pa.string()), ("weight", pa.int64())]
)


def talk(n):
    """A conversation of a length of its own; every third calls a tool, whose structs leave keys null."""
    messages = [{"role": "user", "content": f"Was kostet Nr. {n}? 🙂\n"}]
    if n % 3 == 0:
        call = {"id": f"call{n:05}", "type": "function", "function": {"name": "price", "arguments": f'{{"id": {2**60 + n}}}'}}
        messages += [{"role": "assistant", "tool_calls": [call]}, {"role": "tool", "content": "1.0", "tool_call_id": call["id"]}]
    messages += [{"role": "assistant", "content": f"Nr. {n} kostet {n},50 €.", "weight": n % 2 if n % 3 == 0 else None}]
    return messages if n % 4 else messages + [{"role": "user", "content": "Danke"}, {"role": "assistant", "content": "Bitte " * n + "!"}]


def chat(count):
    return pa.table({"messages": pa.array([talk(n) for n in range(count)], pa.list_(MESSAGE)), "id": pa.array(range(count))})


def plain(value):
    """A value as rows have it: null is a key that is absent, times and days are texts, bytes are none."""
    if isinstance(value, dict):
        return {key: plain(of) for key, of in value.items() if not (of is None or isinstance(of, bytes) or of != of)}
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, datetime.datetime):
        return value.isoformat(timespec="microseconds") + "Z"
    return str(value) if isinstance(value, datetime.date) else float(value) if isinstance(value, decimal.Decimal) else value


def expect(name, table):
    """What is read, a row a line."""
    rows = table.to_pylist()
    for row in rows:
        row["pairs"] = dict(row["pairs"]) if row.get("pairs") is not None else None
    lines = [json.dumps(plain(row), ensure_ascii=False, separators=(",", ":")) for row in rows]
    (HERE / f"{name}.jsonl").write_text("\n".join(lines) + "\n")


def write(name, table, **options):
    pq.write_table(table, HERE / f"{name}.parquet", **options)


def small():
    HERE.mkdir(exist_ok=True)
    # Pages of a few rows and values: rows go on from page to page.
    for codec in ["none", "snappy", "gzip", "zstd", "brotli", "lz4"]:
        write(f"chat-{codec}", chat(40), compression=codec, row_group_size=25, data_page_size=200, write_batch_size=3)
    expect("chat", chat(40))
    write("chat-v2", chat(40), data_page_version="2.0", data_page_size=200, write_batch_size=3, use_dictionary=False)
    pairs = {
        "prompt": pa.array(["a", "b", "b", "d"], pa.large_string()).cast(pa.large_string()),
        "completion": pa.array(["x", "y\r\nz", "é", "🙂"]).dictionary_encode(),
        "big": pa.array([2**63 - 1, -(2**63), 9007199254740993, None], pa.int64()),
        "unsigned": pa.array([2**64 - 1, 0, None, 1], pa.uint64()),
        "at": pa.array([datetime.datetime(2024, 2, 29, 12, 30, 1, 234567), None, datetime.datetime(1969, 12, 31, 23, 59, 59, 999999), None]),
        "day": pa.array([datetime.date(2024, 2, 29), None, datetime.date(1900, 1, 1), None]),
        "share": pa.array([0.1, float("nan"), None, 1e300]),
        "good": pa.array([True, None, False, True]),
        "picture": pa.array([{"bytes": b"\xff\xd8\xff", "path": "a.jpg"}] * 4),
        "marks": pa.array([[[1, 2], []], [], None, [None, [3]]], pa.list_(pa.list_(pa.int32()))),
        "pairs": pa.array([[("k", 1)], [], None, [("l", None)]], pa.map_(pa.string(), pa.int64())),
        "price": pa.array([decimal.Decimal("1.25"), None, decimal.Decimal("-3.50"), None], pa.decimal128(9, 2)),
    }
    write("pairs", pa.table(pairs))
    expect("pairs", pa.table(pairs))
    write("texts", pa.table({"messages": ['[{"role": "user", "content": "a"},\n {"role": "assistant", "content": "b"}]'], "tools": [None]}))
    write("nulls", pa.table({"instruction": ["a", "é😀", None], "input": ["", None, "x"], "output": ["o", "p", "q"]}))
    write("decimals", pa.table({"text": ["a"], "price": pa.array([decimal.Decimal("1.25")], pa.decimal128(38, 2))}))
    latin = pa.Array.from_buffers(pa.string(), 2, [None, pa.py_buffer(b"\0\0\0\0\2\0\0\0\4\0\0\0"), pa.py_buffer(b"okgr\xfc"[:2] + b"\xe9\xe8")])
    write("latin", pa.table({"text": latin}))
    write("empty", chat(0))


def large(folder, megabytes):
    """Rows that do not repeat, so that nothing is compressed away."""
    import random

    draw = random.Random(1)
    words = ["".join(draw.choices("abcdefghijklmnopqrstuvwxyz", k=draw.randint(2, 9))) for _ in range(50_000)]
    rows, size = [], 0
    while size < megabytes * 1e6:
        texts = [" ".join(draw.choices(words, k=draw.randint(20, 120))) for _ in range(4)]
        rows.append([{"role": role, "content": text} for role, text in zip(["user", "assistant"] * 2, texts)])
        size += sum(map(len, texts))
    table = pa.table({"messages": pa.array(rows, pa.list_(MESSAGE)), "id": pa.array(range(len(rows)))})
    pq.write_table(table, Path(folder) / "large.parquet", compression="none", row_group_size=len(rows))


large(*sys.argv[1:2], float(sys.argv[2])) if len(sys.argv) == 3 else small()
