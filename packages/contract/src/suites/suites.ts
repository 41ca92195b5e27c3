/** How the items of a suite are scored. */
export type Evaluator = 'loss' | 'choice' | 'generate' | 'code';

/** A kind of question with its rows, its prompt and its figure. */
export interface Suite {
  name: string;
  title: string;
  evaluator: Evaluator;
  /** The figure that the suite is known by, a name of `METRICS`. */
  metric: string;
  /** Solved examples before each item. */
  fewshot: number;
  /** What guessing scores on an item with so many choices; null where nothing can be guessed. */
  chance: (choices: number) => number | null;
}

const guess = (choices: number): number => 1 / choices;
const never = (): null => null;

const choice = (name: string, title: string, metric = 'acc'): Suite => ({
  name,
  title,
  evaluator: 'choice',
  metric,
  fewshot: 0,
  chance: guess,
});

const generate = (name: string, title: string, metric = 'exact_match'): Suite => ({
  name,
  title,
  evaluator: 'generate',
  metric,
  fewshot: 0,
  chance: never,
});

/** The suite of plain rows, scored by what the model expects of them. */
export const PLAIN_SUITE = 'file';

const ROWS: readonly Suite[] = [
  {
    name: PLAIN_SUITE,
    title: 'Rows as they are trained on',
    evaluator: 'loss',
    metric: 'bits_per_byte',
    fewshot: 0,
    chance: never,
  },
  choice('hellaswag', 'HellaSwag', 'acc_norm'),
  choice('arc_easy', 'ARC Easy', 'acc_norm'),
  choice('arc_challenge', 'ARC Challenge', 'acc_norm'),
  choice('winogrande', 'WinoGrande'),
  choice('pubmedqa', 'PubMedQA'),
  choice('mmlu', 'Questions with lettered answers, in the form of MMLU'),
  choice('rc_5shot', 'OLMES requests with their five examples', 'acc_per_char'),
  choice('choices', 'Your own questions with choices', 'acc'),
  { ...generate('gsm8k', 'GSM8K'), fewshot: 5 },
  generate('finance', 'Questions on financial reports: FinQA and TAT-QA'),
  generate('answers', 'Your own prompts with an expected answer'),
  generate('pattern', 'Your own prompts with a regular expression', 'passed'),
  generate('string_check', 'Your own prompts with a string check', 'passed'),
  generate('openai_evals', 'Exported OpenAI evals', 'passed'),
  { ...generate('humaneval', 'HumanEval', 'pass@1'), evaluator: 'code' },
];

/** Every suite by its name. */
export const SUITES: ReadonlyMap<string, Suite> = new Map(ROWS.map((suite) => [suite.name, suite]));
