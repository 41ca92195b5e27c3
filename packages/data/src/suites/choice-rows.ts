import type { Json } from '../row-problem.js';
import { goldOf, idOf, objectOf, type RowForm, readByForm, textOf, textsOf, wordsOf } from './fields.js';
import type { Question } from './item.js';
import { capitalize, strip } from './python-text.js';

/** Choices that follow one context. */
function choose(prompt: string, choices: string[], gold: number, id?: string): Question {
  return {
    id,
    prompt,
    task: {
      kind: 'choice',
      contexts: choices.map(() => prompt),
      continuations: choices.map((choice) => ` ${choice}`),
      choices,
      gold,
    },
    example: `${prompt} ${choices[gold]}`,
  };
}

/** Rows that hold prompt, choices and the place of the right one. */
const ready = (write: (query: string) => string = (query) => query): RowForm<Question> => ({
  keys: ['query', 'choices', 'gold'],
  read: (row) => {
    const choices = textsOf(row, 'choices', 2);
    return choose(write(wordsOf(row, 'query')), choices, goldOf(row, 'gold', choices), idOf(row, 'id', 'ind'));
  },
});

/** As lm_eval 0.4.13 cleans WikiHow's marks, `tasks/hellaswag/utils.py`. */
const clean = (text: string): string =>
  strip(text)
    .replaceAll(' [title]', '. ')
    .replace(/\[[^\n]*?\]/g, '')
    .replaceAll('  ', ' ');

const HELLASWAG: readonly RowForm<Question>[] = [
  {
    keys: ['ctx_a', 'ctx_b', 'activity_label', 'endings', 'label'],
    read: (row) => {
      const endings = textsOf(row, 'endings', 2).map(clean);
      const context = `${textOf(row, 'ctx_a')} ${capitalize(textOf(row, 'ctx_b'))}`;
      const query = clean(`${textOf(row, 'activity_label')}: ${context}`);
      return choose(query, endings, goldOf(row, 'label', places(endings)), idOf(row, 'ind'));
    },
  },
  ready(),
];

/** Labels 0, 1, … */
const places = (choices: readonly string[]): string[] => choices.map((_, i) => String(i));

const asked = (query: string): string => (query.endsWith('\nAnswer:') ? query : `${query}\nAnswer:`);

const ARC: readonly RowForm<Question>[] = [
  {
    keys: ['question', 'choices', 'answerKey'],
    read: (row) => {
      const choices = objectOf(row, 'choices');
      const gold = goldOf(row, 'answerKey', textsOf(choices, 'label', 2));
      return choose(
        `Question: ${wordsOf(row, 'question')}\nAnswer:`,
        textsOf(choices, 'text', 2),
        gold,
        idOf(row, 'id'),
      );
    },
  },
  ready(asked),
];

/** Contexts that differ, before one text. */
function complete(contexts: string[], rest: string, choices: string[], gold: number): Question {
  return {
    prompt: contexts.join('\n'),
    task: { kind: 'choice', contexts, continuations: contexts.map(() => ` ${rest}`), choices, gold },
    example: `${contexts[gold]} ${rest}`,
  };
}

const WINOGRANDE: readonly RowForm<Question>[] = [
  {
    keys: ['sentence', 'option1', 'option2', 'answer'],
    read: (row) => {
      const sentence = wordsOf(row, 'sentence');
      const at = sentence.indexOf('_');
      const options = [wordsOf(row, 'option1'), wordsOf(row, 'option2')];
      const gold = goldOf(row, 'answer', ['1', '2']);
      const contexts = options.map((option) => sentence.slice(0, at < 0 ? sentence.length : at) + option);
      return complete(contexts, strip(sentence.slice(at + 1)), options, gold);
    },
  },
  {
    keys: ['context_options', 'continuation', 'gold'],
    read: (row) => {
      const contexts = textsOf(row, 'context_options', 2);
      return complete(contexts, wordsOf(row, 'continuation'), contexts, goldOf(row, 'gold', places(contexts)));
    },
  },
];

const DECISIONS = ['yes', 'no', 'maybe'];

const PUBMEDQA: readonly RowForm<Question>[] = [
  {
    keys: ['QUESTION', 'CONTEXTS', 'final_decision'],
    read: (row) => decide(textsOf(row, 'CONTEXTS'), wordsOf(row, 'QUESTION'), row),
  },
  {
    keys: ['question', 'context', 'final_decision'],
    read: (row) => decide(textsOf(objectOf(row, 'context'), 'contexts'), wordsOf(row, 'question'), row),
  },
  {
    keys: ['context', 'continuation'],
    read: (row) => choose(wordsOf(row, 'context').trimEnd(), DECISIONS, goldOf(row, 'continuation', DECISIONS)),
  },
];

const decide = (contexts: readonly string[], question: string, row: Json): Question =>
  choose(
    `Abstract: ${contexts.join('\n')}\nQuestion: ${question}\nAnswer:`,
    DECISIONS,
    goldOf(row, 'final_decision', DECISIONS),
    idOf(row, 'pubid', 'id'),
  );

const LETTERS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ';

const MMLU: readonly RowForm<Question>[] = [
  {
    keys: ['question', 'choices', 'answer'],
    read: (row) => {
      const choices = textsOf(row, 'choices', 2);
      const letters = [...LETTERS].slice(0, choices.length);
      const lines = choices.map((choice, i) => `${letters[i]}. ${choice}`);
      const prompt = `${strip(wordsOf(row, 'question'))}\n${lines.join('\n')}\nAnswer:`;
      return choose(prompt, letters, goldOf(row, 'answer', letters), idOf(row, 'id'));
    },
  },
];

const OWN: readonly RowForm<Question>[] = [ready()];

const reader = (forms: readonly RowForm<Question>[]) => (row: Json) => [readByForm(row, forms)];

/** The choice suites whose rows are one item each. */
export const CHOICE_READERS: Readonly<Record<string, (row: Json) => Question[]>> = {
  hellaswag: reader(HELLASWAG),
  arc_easy: reader(ARC),
  arc_challenge: reader(ARC),
  winogrande: reader(WINOGRANDE),
  pubmedqa: reader(PUBMEDQA),
  mmlu: reader(MMLU),
  choices: reader(OWN),
};
