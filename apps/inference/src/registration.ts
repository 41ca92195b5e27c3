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
  const timer = setInterval(() => {
    beat().catch((error: unknown) => log.debug({ err: error }, 'heartbeat not delivered'));
  }, heartbeatMs);
  return {
    async ready(now) {
      state = now;
      status = 'ready';
      await beat();
    },
    async drain() {
      status = 'draining';
      await beat().catch(() => undefined);
    },
    async end(reason) {
      clearInterval(timer);
      await retireProcess(s, id, reason);
    },
  };
}
