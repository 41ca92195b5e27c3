import { writeFileSync } from 'node:fs';
import path from 'node:path';
import {
  type AnswerComparison,
  type CompareFacts,
  compareHtml,
  compareMarkdown,
  compareText,
} from '@moraine/contract/compare';
import { type Arguments, type Command, DATA_OPTION, mistake, needed, noMoreThan, text } from '../args.js';
import { CHECK_NAMES, compareBy, SERVER_OPTIONS } from '../compare/compare-by.js';
import { print } from '../terminal.js';

export const compareCommand: Command = {
  name: 'compare',
  forms: [
    '--rows FILE --ours MODEL --theirs ANSWERS.jsonl [--check NAME | --pattern REGEX | --suite NAME] [--out FILE] [--json]',
  ],
  options: {
    data: DATA_OPTION,
    rows: {
      type: 'string',
      value: 'FILE',
      help: 'Rows that neither was trained on: as they are trained on, the last answer of each is the expected one; or rows of --suite.',
    },
    ours: { type: 'string', value: 'MODEL', help: 'What is asked here: a base, an adapter, ft:… or ft:…:ckpt-step-N.' },
    theirs: {
      type: 'string',
      value: 'FILE',
      help: 'Saved answers of the other model: output of a batch, stored completions, conversations, or {"answer": "…"} a row.',
    },
    check: {
      type: 'string',
      value: 'NAME',
      help: `When an answer is right: ${CHECK_NAMES.join(', ')}; default exact: equal words in any case, equal numbers.`,
    },
    pattern: {
      type: 'string',
      value: 'REGEX',
      help: 'In place of --check: when it matches this pattern of JavaScript.',
    },
    suite: {
      type: 'string',
      value: 'NAME',
      help: 'Rows that say themselves how they are judged: answers, pattern, string_check, openai_evals, gsm8k, finance.',
    },
    lambda: { type: 'string', value: 'L', help: 'Share of the adapter’s update that answers, 0 to 1; default 1.' },
    limit: { type: 'string', value: 'N', help: 'The first N rows only; answers are saved to all of them.' },
    'max-tokens': {
      type: 'string',
      value: 'N',
      help: 'Tokens of an answer at most; default what the context leaves, 256 where a row is a prompt without a conversation.',
    },
    raw: {
      type: 'boolean',
      help: 'Go on with the prompt of a row as it is, for a base that has no chat template.',
    },
    ...SERVER_OPTIONS,
    together: { type: 'string', value: 'N', help: 'Questions under way at once; default 8.' },
    out: { type: 'string', value: 'FILE', help: 'Write a page to show as well: a name that ends in .html or .md.' },
    list: { type: 'string', value: 'N', help: 'Rows that the page lists at most; default 50.' },
    json: { type: 'boolean', help: 'All figures and the answers to each row, as JSON.' },
  },
  run: async (args) => {
    noMoreThan(args, 0, compareCommand);
    const out = outOf(args);
    const { compared, facts, rows, by } = await compareBy(args, {
      rows: needed(args, 'rows', compareCommand),
      ours: needed(args, 'ours', compareCommand),
      theirs: needed(args, 'theirs', compareCommand),
    });
    if (out !== null) writeFileSync(out.file, out.write(compared, facts));
    if (args.options.json) print(JSON.stringify({ ...facts, matched_by: by, ...compared, rows }));
    else print([compareText(compared, facts), ...(out === null ? [] : [`The page: ${out.file}`])].join('\n'));
    return 0;
  },
};

type Write = (compared: AnswerComparison, facts: CompareFacts) => string;
const PAGES: Readonly<Record<string, Write>> = { '.html': compareHtml, '.md': compareMarkdown };

/** Known before an hour of questions, not after it. */
function outOf(args: Arguments): { file: string; write: Write } | null {
  const out = text(args, 'out');
  if (out === undefined) return null;
  const write = PAGES[path.extname(out)];
  if (write !== undefined) return { file: path.resolve(out), write };
  throw mistake(`--out is '${out}', which is no page.`, 'Give it a name that ends in .html or .md.');
}
