import { methodName, type RunObject, RunStatus } from '@moraine/contract';

/** What the Runs page is asked for. It lives in the URL: `?status=failed&q=method:mora demo`. */
export interface RunFilter {
  status: RunStatus | null;
  /** What was typed. */
  text: string;
  /** `key=value` terms of the text: the server filters by them. */
  metadata: Readonly<Record<string, string>>;
  /** The other terms: they filter the rows that are loaded. */
  terms: readonly string[];
}

export function readFilter(params: URLSearchParams): RunFilter {
  const status = RunStatus.safeParse(params.get('status'));
  const text = params.get('q') ?? '';
  const metadata: Record<string, string> = {};
  const terms: string[] = [];
  for (const term of text.split(/\s+/).filter(Boolean)) {
    const equals = term.indexOf('=');
    if (equals > 0 && equals < term.length - 1) metadata[term.slice(0, equals)] = term.slice(equals + 1);
    else terms.push(term.toLowerCase());
  }
  return { status: status.success ? status.data : null, text, metadata, terms };
}

/** The query of `GET /v1/fine_tuning/jobs` for a filter. */
export function toQuery(filter: RunFilter): Record<string, unknown> {
  const query: Record<string, unknown> = {};
  if (filter.status) query.status = filter.status;
  for (const [key, value] of Object.entries(filter.metadata)) query[`metadata[${key}]`] = value;
  return query;
}

/** What a person calls a run: its suffix, else the name in its metadata, else its id. */
export const runName = (run: RunObject): string => run.suffix ?? run.metadata.name ?? run.id;

/** `method:mora`, `base:tiny`, `status:failed`, `pool:gpu`; a bare word is looked for in name, id, base and metadata. */
export function matches(run: RunObject, terms: readonly string[]): boolean {
  const fields: Record<string, string> = {
    method: methodName(run.config.adapter),
    base: run.model,
    status: run.status,
    state: run.state ?? run.status,
    pool: run.pool,
    name: runName(run),
  };
  const words = [runName(run), run.id, run.model, methodName(run.config.adapter), ...Object.values(run.metadata)]
    .join(' ')
    .toLowerCase();
  return terms.every((term) => {
    const colon = term.indexOf(':');
    const field = colon > 0 ? fields[term.slice(0, colon)] : undefined;
    return field === undefined ? words.includes(term) : field.toLowerCase().includes(term.slice(colon + 1));
  });
}
