import type { EvaluationItem, Suite } from '@moraine/contract/suites';
import type { ChoiceTask, SuiteItem } from '@moraine/data';
import type { EncodedPair } from './encode-pair.js';
import type { Request, RequestScores } from './requests.js';

/** The passes of an item, and which targets of which pass each choice has. */
export interface ChoiceRequests {
  requests: Request[];
  spans: { request: number; from: number; count: number }[];
}

/** Targets that every shape has room for; more only where a request is as long. */
const TARGETS_SHARED = 32;

/** The passes that score the choices of an item: one for those that differ in their last token alone. */
export function choiceRequests(pairs: readonly EncodedPair[]): ChoiceRequests {
  const requests: Request[] = [];
  const spans = pairs.map(({ ids, continuation }) => {
    const first = ids.length - continuation.length;
    const count = continuation.length;
    const fits = ({ targets }: Request) => targets.length + count <= TARGETS_SHARED;
    let request = requests.findIndex((other) => fits(other) && isSame(other.ids, ids));
    if (request < 0) request = requests.push({ ids, positions: [], targets: [] }) - 1;
    const { positions, targets } = requests[request] as Request;
    const from = targets.length;
    continuation.forEach((id, i) => {
      positions.push(first + i);
      targets.push(id);
    });
    return { request, from, count };
  });
  return { requests, spans };
}

const isSame = (a: readonly number[], b: readonly number[]): boolean =>
  a.length === b.length && a.every((id, i) => id === b[i]);

/** An item with the log-probabilities of its choices and which of them each figure prefers. */
export function judgeChoice(
  { index, id, prompt }: SuiteItem,
  task: ChoiceTask,
  scored: readonly RequestScores[],
  { spans }: ChoiceRequests,
  suite: Suite,
): EvaluationItem {
  const { choices, gold } = task;
  const scores = spans.map(({ request, from, count }) =>
    sum(scored[request]?.logprobs.slice(from, from + count) ?? []),
  );
  const metrics = Object.fromEntries(
    Object.entries(preferred(scores, task, suite)).map(([name, best]) => [name, best === gold ? 1 : 0]),
  );
  const preferredBy = preferred(scores, task, suite)[suite.metric] ?? 0;
  return {
    index,
    id,
    prompt,
    choices,
    scores,
    answer: choices[preferredBy] ?? null,
    expected: choices[gold] ?? null,
    metrics,
    verdict: metrics[suite.metric] === 1 ? 'right' : 'wrong',
  };
}

/** The choice that each figure prefers. Characters are counted as Python does. */
function preferred(scores: readonly number[], { choices, contexts }: ChoiceTask, suite: Suite): Record<string, number> {
  const whole = highest(scores);
  const byCharacter = highest(scores.map((score, i) => score / [...(choices[i] ?? '')].length));
  if (suite.metric === 'acc_per_char') return { acc_raw: whole, acc_per_char: byCharacter };
  // One text after contexts that differ: there is nothing to normalise.
  if (contexts.some((context) => context !== contexts[0])) return { acc: whole };
  const byByte = highest(scores.map((score, i) => score / Buffer.byteLength(choices[i] ?? '')));
  return { acc: whole, acc_norm: byCharacter, acc_bytes: byByte };
}

/** Index of the highest, the first of equal ones. */
const highest = (values: readonly number[]): number => values.indexOf(Math.max(...values));

const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);
