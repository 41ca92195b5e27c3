import { isTerminal, type RunObject } from '@moraine/contract';
import { createClient } from '@moraine/contract/client';
import type { Arguments } from '../args.js';
import { addressFor } from '../connect.js';
import { showBars } from '../demo/bars.js';
import { watched, watchRun } from '../demo/watch.js';
import { untilSignal } from '../signals.js';
import { print, printError } from '../terminal.js';

/** Shows a run live until it has ended, then what came of it; as JSON only the run as it ended. Ctrl-C ends the watching alone. */
export function watchUntilEnd(args: Arguments, id: string): Promise<number> {
  const address = addressFor(args);
  const client = createClient(address);
  return untilSignal(async (signal) => {
    const run = await client.call('getRun', { params: { id } });
    if (!isTerminal(run.status)) {
      const state = watched(run.suffix ?? run.model, run, run.progress.steps);
      const bars = args.options.json ? null : showBars([state]);
      await watchRun(address, state, signal).finally(() => bars?.close());
    }
    if (signal.aborted) {
      printError(`The run goes on. \`npx moraine runs watch ${id}\` shows it again.`);
      return 130;
    }
    const ended = await client.call('getRun', { params: { id } });
    if (!args.options.json) return tellEnd(ended);
    print(JSON.stringify(ended));
    return ended.status === 'succeeded' ? 0 : 1;
  });
}

function tellEnd({ id, status, fine_tuned_model: model, error, progress, state_reason: reason }: RunObject): number {
  if (status !== 'succeeded') {
    print(`${id}: ${status} at step ${progress.step} of ${progress.steps}${error ? `: ${error.message}` : '.'}`);
    return 1;
  }
  print(`${id}: succeeded, ${model}`);
  if (reason) print(reason.message);
  print(`Get it: npx moraine runs download ${id}`);
  return 0;
}
