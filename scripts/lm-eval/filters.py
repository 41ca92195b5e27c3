"""GSM8K's two figures by lm_eval's own filters and metric: reads {"answer", "expected"} lines, writes [strict, flexible] lines."""

import json
import sys

from lm_eval.api.metrics import exact_match_hf_evaluate
from lm_eval.filters.extraction import RegexFilter

FILTERS = [
    RegexFilter(regex_pattern=r"#### (\-?[0-9\.\,]+)"),
    RegexFilter(regex_pattern=r"(-?[$0-9.,]{2,})|(-?[0-9]+)", group_select=-1),
]
IGNORED = [",", "\\$", "(?s).*#### ", "\\.$"]

rows = [json.loads(line) for line in open(sys.argv[1])]
columns = []
for regex in FILTERS:
    extracted = [found[0] for found in regex.apply([[row["answer"]] for row in rows], rows)]
    columns.append(
        [
            float(
                exact_match_hf_evaluate(
                    predictions=[number], references=[row["expected"]], regexes_to_ignore=IGNORED, ignore_case=True
                )["exact_match"]
            )
            for number, row in zip(extracted, rows)
        ]
    )
for pair in zip(*columns):
    print(json.dumps(pair))
