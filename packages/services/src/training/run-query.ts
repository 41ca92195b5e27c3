import { AppError, METHODS } from '@moraine/contract';

/** Values of a statement; `put` gives the placeholder of one. */
export interface Values {
  put(value: unknown): string;
}

/** What a person calls a run, in SQL; `runName` of the dashboard's lists says the same. */
export const RUN_NAME = `coalesce(r.suffix, nullif(r.metadata->>'name', ''), r.id)`;

const METHOD = `r.config->'adapter'->>'type'`;

/** Fields that `field:part` looks into. */
const TEXTS: Record<string, string> = {
  name: RUN_NAME,
  id: 'r.id',
  base: 'b.name',
  status: 't.status',
  state: 'coalesce(t.state, t.status)',
  pool: 't.pool',
};

/** Fields that can be compared, by the words for them. */
const NUMBERS: Record<string, string> = {
  lr: `(r.config->'optimizer'->>'learning_rate')::float8`,
  learning_rate: `(r.config->'optimizer'->>'learning_rate')::float8`,
  rank: `(r.config->'adapter'->>'rank')::float8`,
  loss: 'r.train_loss',
  step: 'r.step',
  steps: 'r.steps',
  parameters: `(r.config->>'trainable_parameters')::float8`,
  tokens: 'r.trained_tokens',
  speed: 'r.tokens_per_second',
  priority: 't.priority',
};

/** Where a bare word is looked for. */
const ANYWHERE = `concat_ws(' ', ${RUN_NAME}, r.id, b.name, r.fine_tuned_model,
  (SELECT string_agg(value, ' ') FROM jsonb_each_text(r.metadata)))`;

/** Text without white space, save between quotes. */
const TERM = /(?:[^\s"]|"[^"]*(?:"|$))+/g;

const COMPARISON = /^([a-z_]+)(<=|>=|<|>)(.+)$/;

/** Runs whose metadata has all of these pairs, in SQL; null: runs that have none. */
export function metadataConditions(metadata: Record<string, string> | null | undefined, values: Values): string[] {
  if (metadata === null) return [`r.metadata = '{}'`];
  return Object.entries(metadata ?? {}).map(
    (pair) => `r.metadata @> ${values.put(JSON.stringify(Object.fromEntries([pair])))}::jsonb`,
  );
}

/** SQL conditions on `tasks t`, `runs r` and `bases b` that a search text stands for. @throws AppError `invalid_value`. */
export function runConditions(text: string, values: Values): string[] {
  return (text.match(TERM) ?? [])
    .map((term) => term.replaceAll('"', ''))
    .filter(Boolean)
    .map((term) => comparison(term, values) ?? pair(term, values) ?? field(term, values) ?? word(term, values));
}

const contains = (expression: string, part: string, values: Values): string =>
  `position(lower(${values.put(part)}::text) IN lower(${expression})) > 0`;

function comparison(term: string, values: Values): string | null {
  const [, name = '', operator, text = ''] = COMPARISON.exec(term) ?? [];
  const column = NUMBERS[name];
  if (column === undefined) return null;
  const value = Number(text);
  if (!Number.isFinite(value))
    throw new AppError('invalid_value', `'${term}' compares ${name} with '${text}', which is no number.`, {
      param: 'q',
      hint: `Write it like ${name}${operator}1e-3.`,
    });
  return `${column} ${operator} ${values.put(value)}::float8`;
}

function pair(term: string, values: Values): string | null {
  const equals = term.indexOf('=');
  if (equals < 1 || equals === term.length - 1) return null;
  return `r.metadata->>${values.put(term.slice(0, equals))}::text = ${values.put(term.slice(equals + 1))}::text`;
}

function field(term: string, values: Values): string | null {
  const colon = term.indexOf(':');
  const part = term.slice(colon + 1);
  const name = colon < 1 ? '' : term.slice(0, colon).toLowerCase();
  if (name === 'method') return `${METHOD} = ANY (${values.put(methodTypes(part))}::text[])`;
  const column = TEXTS[name];
  return column === undefined ? null : contains(column, part, values);
}

const word = (term: string, values: Values): string =>
  `(${contains(ANYWHERE, term, values)} OR ${METHOD} = ANY (${values.put(methodTypes(term))}::text[]))`;

/** Methods whose name or type has a part; a person writes `full` for what is stored as `none`. */
function methodTypes(part: string): string[] {
  const wanted = part.toLowerCase();
  return METHODS.filter(({ name, type }) => name.toLowerCase().includes(wanted) || type === wanted).map(
    ({ type }) => type,
  );
}
