"""What Hugging Face's tokenizers makes of texts. Run by `npm run test:tokenizers`.

usage: reference.py TOKENIZER.json < lines of JSON strings > a line of ids each
       reference.py --qwen2 FOLDER OUT.json    writes the tokenizer.json of a folder that has vocab.json and merges.txt alone
"""

import json
import sys

from tokenizers import Tokenizer


def main():
    if sys.argv[1] == "--qwen2":
        from transformers import Qwen2Tokenizer

        Qwen2Tokenizer.from_pretrained(sys.argv[2]).backend_tokenizer.save(sys.argv[3])
        return
    tokenizer = Tokenizer.from_file(sys.argv[1])
    tokenizer.no_truncation()
    tokenizer.no_padding()
    for line in sys.stdin:
        print(*tokenizer.encode(json.loads(line), add_special_tokens=False).ids)


main()
