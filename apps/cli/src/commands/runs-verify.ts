import { setTimeout as sleep } from 'node:timers/promises';
import type { Arguments } from '../args.js';
import { connect } from '../connect.js';
import { untilSignal } from '../signals.js';
import { print, printError } from '../terminal.js';

const LOOK_EVERY_MS = 1_000;

/** Has the resume of an ended run checked, and waits for what comes of it. The exit status is 0 where it is equal to the bit. */
export function verifyRun(args: Arguments, id: string): Promise<number> {
  const client = connect(args);
  return untilSignal(async (signal) => {
    let { resume_check: check } = await client.call('verifyRun', { params: { id } });
    while (check !== null && (check.status === 'queued' || check.status === 'running')) {
      await sleep(LOOK_EVERY_MS, undefined, { signal }).catch(() => undefined);
      if (signal.aborted) {
        printError(`The check goes on. \`npx moraine runs show ${id}\` says what came of it.`);
        return 130;
      }
      ({ resume_check: check } = await client.call('getRun', { params: { id } }));
    }
    if (args.options.json) print(JSON.stringify(check));
    else print(check === null ? 'The check was cancelled.' : `${check.status}: ${check.message}`);
    return check?.status === 'equal' ? 0 : 1;
  });
}
