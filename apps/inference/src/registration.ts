import {
  heartbeatProcess,
  type NewProcess,
  type ProcessNews,
  registerProcess,
  retireProcess,
  type Services,
} from '@moraine/services';
import type { Logger } from 'pino';

type State = Omit<ProcessNews, 'status'>;

/** What the cluster knows of this process. */
export interface Registration {
  /** It answers from now on; `state` says how it is, at every heartbeat. */
  ready(state: () => State): Promise<void>;
  /** Says how it is now, before the next heartbeat. */
  tell(): Promise<void>;
  /** It takes nothing new. */
  drain(): Promise<void>;
  /** It has ended, on purpose or because of `reason`. */
  end(reason: string | null): Promise<void>;
}

const OPENING = (): State => ({ address: null, device: null, answering: 0, adapters: [] });

/** Registers a process that opens a base, and renews its lease until it ends. One that was given up for lost registers again. */
export async function openRegistration(
  s: Services,
  facts: NewProcess,
  heartbeatMs: number,
  log: Logger,
): Promise<Registration> {
  let id = await registerProcess(s, facts);
  let status: ProcessNews['status'] = 'opening';
  let state = OPENING;
  const beat = async (): Promise<void> => {
    const news = { status, ...state() };
    if (await heartbeatProcess(s, id, news)) return;
    id = await registerProcess(s, facts);
    await heartbeatProcess(s, id, news);
  };
  let last: Promise<unknown> = Promise.resolve();
  let waiting = 0;
  let isOver = false;
  /** One at a time: an older one must not be written over a newer. */
  const say = async (): Promise<void> => {
    if (isOver) return;
    waiting += 1;
    const said = last.then(beat).finally(() => {
      waiting -= 1;
    });
    last = said.catch(() => undefined);
    await said;
  };
  const tell = (): Promise<void> =>
    say().catch((error: unknown) => log.debug({ err: error }, 'heartbeat not delivered'));
  const timer = setInterval(() => {
    if (waiting === 0) void tell();
  }, heartbeatMs);
  return {
    async ready(now) {
      state = now;
      status = 'ready';
      await say();
    },
    tell,
    async drain() {
      status = 'draining';
      await tell();
    },
    async end(reason) {
      // Nothing is said after it: it would be registered again.
      isOver = true;
      clearInterval(timer);
      await last;
      await retireProcess(s, id, reason);
    },
  };
}
