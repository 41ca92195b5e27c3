/** One model that is asked beside the others, at a share of its update. */
export interface Column {
  model: string;
  lambda: number;
}

/** Everything of the page that its address holds; the prompt is not in it: addresses are kept and passed on. */
export interface Asked {
  columns: Column[];
  temperature: number;
  seed: number;
  /** Tokens of an answer at most; null: what the context leaves. */
  maxTokens: number | null;
}

export const COLUMNS_MAX = 4;
export const PRESET: Omit<Asked, 'columns'> = { temperature: 0, seed: 1, maxTokens: null };

/** `NAME` or `NAME~λ`. Names hold no tilde. */
const written = ({ model, lambda }: Column): string => (lambda === 1 ? model : `${model}~${lambda}`);

function readColumn(text: string): Column {
  const at = text.lastIndexOf('~');
  const lambda = at < 0 ? 1 : Number(text.slice(at + 1));
  return { model: at < 0 ? text : text.slice(0, at), lambda: lambda >= 0 && lambda <= 1 ? lambda : 1 };
}

const numberIn = (search: URLSearchParams, key: string, preset: number, least: number, most: number): number => {
  const value = Number(search.get(key) ?? preset);
  return Number.isFinite(value) ? Math.min(most, Math.max(least, value)) : preset;
};

/** What an address asks for; one empty column where it names no model. */
export function readAsked(search: URLSearchParams): Asked {
  const columns = search.getAll('m').slice(0, COLUMNS_MAX).map(readColumn);
  return {
    columns: columns.length === 0 ? [{ model: '', lambda: 1 }] : columns,
    temperature: numberIn(search, 't', PRESET.temperature, 0, 2),
    seed: Math.floor(numberIn(search, 'seed', PRESET.seed, 0, 2 ** 31 - 1)),
    maxTokens: Number(search.get('max')) >= 1 ? Math.floor(numberIn(search, 'max', 1, 1, 100_000)) : null,
  };
}

/** The address of what is asked, without what is as it always is. */
export function writeAsked({ columns, temperature, seed, maxTokens }: Asked): URLSearchParams {
  const search = new URLSearchParams(columns.map((column) => ['m', written(column)]));
  if (temperature !== PRESET.temperature) search.set('t', String(temperature));
  if (seed !== PRESET.seed) search.set('seed', String(seed));
  if (maxTokens !== null) search.set('max', String(maxTokens));
  return search;
}

/** The page with these models side by side. */
export const playgroundPath = (...models: string[]): string =>
  `/playground?${writeAsked({ ...PRESET, columns: models.map((model) => ({ model, lambda: 1 })) })}`;

/** The body of the request that a column makes; what the snippets show is what is sent. */
export function bodyOf(
  { model, lambda }: Column,
  { temperature, seed, maxTokens }: Omit<Asked, 'columns'>,
  system: string,
  prompt: string,
) {
  return {
    model,
    messages: [
      ...(system.trim() === '' ? [] : [{ role: 'system', content: system }]),
      { role: 'user', content: prompt },
    ],
    temperature,
    seed,
    ...(maxTokens === null ? {} : { max_tokens: maxTokens }),
    ...(lambda === 1 ? {} : { lambda }),
  };
}
export type AskBody = ReturnType<typeof bodyOf>;
