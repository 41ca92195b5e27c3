import { setTimeout as sleep } from 'node:timers/promises';
import { isTerminal, type LogLine, methodLabel, type RunObject, RunStatus } from '@moraine/contract';
import type { Client } from '@moraine/contract/client';
import { z } from 'zod';
import { type Context, clientOf, confirmationOf, defineTool, isConfirmed } from './tool.js';

const run = z.string().min(1).describe('Id of a run, ftjob-….');

const listRuns = defineTool({
  name: 'list_runs',
  title: 'List runs',
  description:
    'Lists fine-tuning runs, newest first: id, name, status, base, method, steps, losses. Search terms must all hold.',
  effect: 'read',
  input: z.strictObject({
    search: z
      .string()
      .optional()
      .describe(
        'Words of name, id, base, method or metadata; also lr<1e-3, rank>=8, loss<2, key=value of the metadata.',
      ),
    status: RunStatus.optional(),
    limit: z.int().min(1).max(200).default(20),
  }),
  run: async (context, { search: q, status, limit }) => {
    const { data, has_more: hasMore } = await clientOf(context).call('searchRuns', { query: { q, status, limit } });
    return { runs: data, has_more: hasMore };
  },
});

const showRun = defineTool({
  name: 'show_run',
  title: 'Show a run',
  description:
    'Returns a run whole: status, configuration, progress, attempts, and the name of the trained model once there is one.',
  effect: 'read',
  input: z.strictObject({ run }),
  run: (context, { run: id }) => clientOf(context).call('getRun', { params: { id } }),
});

/** A client of this protocol gives up after a minute. */
const WATCH_SECONDS_MAX = 50;

const watchRun = defineTool({
  name: 'watch_run',
  title: 'Watch a run',
  description:
    'Waits until a run has ended, at most `seconds`, and returns how far it is and its latest events. Call it again while it has not ended.',
  effect: 'read',
  input: z.strictObject({ run, seconds: z.number().min(0).max(WATCH_SECONDS_MAX).default(30) }),
  run: async (context, { run: id, seconds }, signal) => {
    const client = clientOf(context);
    const until = performance.now() + 1000 * seconds;
    let found = await client.call('getRun', { params: { id } });
    while (!isTerminal(found.status) && performance.now() < until) {
      await sleep(Math.min(1000, Math.max(0, until - performance.now())), undefined, { signal });
      found = await client.call('getRun', { params: { id } });
    }
    const { data } = await client.call('listRunEvents', { params: { id }, query: { limit: 10 } });
    return { ...progressOf(found), events: data.toReversed().map(({ created_at: at, message }) => ({ at, message })) };
  },
});

const progressOf = (found: RunObject) => ({
  id: found.id,
  status: found.status,
  has_ended: isTerminal(found.status),
  state_reason: found.state_reason,
  progress: found.progress,
  fine_tuned_model: found.fine_tuned_model,
  error: found.error,
  verdict: found.verdict,
});

const explainFailure = defineTool({
  name: 'explain_failure',
  title: 'Explain a failure',
  description:
    'Says what became of a run that failed, waits or went wrong: the error, the cause of each attempt, what its losses say, and its last warnings and errors.',
  effect: 'read',
  input: z.strictObject({ run }),
  run: async (context, { run: id }) => {
    const client = clientOf(context);
    const found = await client.call('getRun', { params: { id } });
    const { data } = await client.call('listRunEvents', { params: { id }, query: { limit: 20 } });
    return explain(found, [
      ...data.toReversed().flatMap(({ level, message }) => (level === 'info' ? [] : [`event, ${level}: ${message}`])),
      ...(await lastWarnings(client, id)).map(
        ({ attempt, level, message }) => `log of attempt ${attempt}, ${level}: ${message}`,
      ),
    ]);
  },
});

const LINES_MAX = 20;

async function lastWarnings(client: Client, id: string): Promise<LogLine[]> {
  const kept: LogLine[] = [];
  const query = { after: 0, limit: 1000 };
  for (let more = true; more; ) {
    const page = await client.call('getRunLogs', { params: { id }, query });
    kept.push(...page.data.filter(({ level }) => level !== 'info' && level !== 'debug'));
    kept.splice(0, kept.length - LINES_MAX);
    query.after = page.data.at(-1)?.seq ?? query.after;
    more = page.has_more && page.data.length > 0;
  }
  return kept;
}

/** In sentences: what, why, what was tried, what was said. */
function explain(found: RunObject, said: readonly string[]): string {
  const { id, status, config, progress, error, state_reason: reason, verdict, attempts } = found;
  const why = error?.message ?? reason?.message;
  return [
    `${id} is ${status} at step ${progress.step} of ${progress.steps}, ${methodLabel(config.adapter)} on ${found.model}.`,
    ...(why === undefined ? [] : [`${error ? `Error ${error.code}` : 'Why'}: ${why}`]),
    ...(verdict ? [`Its losses: ${verdict.message}`] : []),
    ...attempts.map(({ attempt, status: ended, cause }) => `Attempt ${attempt}: ${ended}${cause ? `, ${cause}` : ''}.`),
    ...(said.length === 0 ? ['No warning and no error was logged.'] : said),
  ].join('\n');
}

const confirm = z.string().optional().describe('What the first call answered; without it nothing is done.');

/** Shows what would be done with a run; does it once that was confirmed. */
async function guarded<T>(
  { context, id, given }: { context: Context; id: string; given: string | undefined },
  verb: string,
  act: (client: Client) => Promise<T>,
): Promise<unknown> {
  const client = clientOf(context);
  const found = await client.call('getRun', { params: { id } });
  const wanted = confirmationOf(verb, [verb, id, found.status]);
  if (isConfirmed(given, wanted)) return act(client);
  return { would: `${verb} this run`, run: progressOf(found), confirm: wanted };
}

const cancelRun = defineTool({
  name: 'cancel_run',
  title: 'Cancel a run',
  description:
    'Ends a run before its last step. First without `confirm`: it answers what would be ended and the string that confirms it.',
  effect: 'destroy',
  input: z.strictObject({ run, confirm }),
  run: (context, { run: id, confirm: given }) =>
    guarded({ context, id, given }, 'cancel', async (client) =>
      progressOf(await client.call('cancelRun', { params: { id } })),
    ),
});

const deleteRun = defineTool({
  name: 'delete_run',
  title: 'Delete a run',
  description:
    'Deletes a run that has ended, with its model and checkpoints; it can be restored for a while (`npx moraine runs restore`). First without `confirm`, as cancel_run.',
  effect: 'destroy',
  input: z.strictObject({ run, confirm }),
  run: (context, { run: id, confirm: given }) =>
    guarded({ context, id, given }, 'delete', (client) => client.call('deleteRun', { params: { id } })),
});

export const RUN_TOOLS = [listRuns, showRun, watchRun, explainFailure, cancelRun, deleteRun];
