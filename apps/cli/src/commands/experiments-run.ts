import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ExperimentObject } from '@moraine/contract';
import { type Client, createClient } from '@moraine/contract/client';
import type { ExperimentRequest } from '@moraine/contract/experiments';
import { type Arguments, type Command, noMoreThan, required } from '../args.js';
import { addressFor } from '../connect.js';
import { readTree, uploader, withFileIds } from '../experiment-file.js';
import { planView, progressView } from '../experiment-view.js';
import { untilSignal } from '../signals.js';
import { isTerminal, print, printError } from '../terminal.js';

const POLL_MS = 2_000;

/** Starts the experiment of a file, or finds it again, and shows it until it has ended. Ctrl-C ends the watching alone. */
export async function runExperiment(args: Arguments, command: Command): Promise<number> {
  const file = required(args, 1, 'The file of the experiment', command);
  noMoreThan(args, 2, command);
  const tree = readTree(file);
  const client = createClient(addressFor(args));
  const request = await withFileIds(tree, uploader(args, client, path.dirname(file)));
  // What a file says is the server's to judge: it names the key.
  const body = request as unknown as ExperimentRequest;
  if (args.options['dry-run']) return showPlan(args, client, body);
  const { id, name, arms, runs, status } = await client.call('createExperiment', { body });
  if (args.options.json !== true)
    print(`${id} (${name}): ${arms.length} arms, ${runs.least} to ${runs.most} runs, ${runs.ended} ended.`);
  if (status === 'paused') printError(`It is paused: npx moraine experiments resume ${id}`);
  return watchExperiment(args, id);
}

async function showPlan(args: Arguments, client: Client, request: ExperimentRequest): Promise<number> {
  const plan = await client.call('createExperiment', { body: { ...request, dry_run: true } });
  print(args.options.json ? JSON.stringify(plan) : planView(plan));
  return 0;
}

/** Shows an experiment live until it has ended; as JSON only as it ended. A server that is away for a while is waited for. */
export function watchExperiment(args: Arguments, id: string): Promise<number> {
  const client = createClient(addressFor(args));
  const isQuiet = args.options.json === true;
  return untilSignal(async (signal) => {
    const show = isQuiet ? () => undefined : shower();
    let latest = await client.call('getExperiment', { params: { id } });
    while (!signal.aborted && !hasEnded(latest)) {
      show(progressView(latest));
      await sleep(POLL_MS, undefined, { signal }).catch(() => undefined);
      latest = await client.call('getExperiment', { params: { id }, signal }).catch(() => latest);
    }
    if (signal.aborted) {
      printError(`The experiment goes on. \`npx moraine experiments watch ${id}\` shows it again.`);
      return 130;
    }
    if (isQuiet) print(JSON.stringify(latest));
    else show(`${progressView(latest)}\n${endOf(latest)}`);
    return latest.status === 'succeeded' ? 0 : 1;
  });
}

const hasEnded = ({ status }: ExperimentObject): boolean => status !== 'running' && status !== 'paused';

function endOf({ id, status, reason, runs }: ExperimentObject): string {
  const end = `${id}: ${status} after ${runs.ended} runs${reason === null ? '.' : `: ${reason}`}`;
  return status === 'failed' ? `${end}\nMake what failed again: npx moraine experiments resume ${id}` : end;
}

/** Draws a block over the last one; without a terminal prints it when it has changed. */
function shower(): (block: string) => void {
  let lines = 0;
  let shown = '';
  return (block) => {
    if (block === shown) return;
    const up = lines > 0 && isTerminal() ? `\u001b[${lines}A\u001b[J` : '';
    process.stdout.write(`${up}${block}\n`);
    lines = block.split('\n').length;
    shown = block;
  };
}
