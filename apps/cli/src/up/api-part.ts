import { AppError } from '@moraine/contract';
import type { RunningPart } from './keep-running.js';
import { freePort, isPortFree } from './ports.js';
import type { RememberedPart, StackAddress } from './stack-file.js';

const PORT = 7311;
/** How often a port may be taken between the look and the use. */
const PORT_TRIES = 5;

export interface ApiStart {
  /** Port asked for; 0 or undefined where any will do. */
  port: number | undefined;
  lastPort: number | undefined;
  host: string;
  leftover: RememberedPart | undefined;
  onPort(port: number): void;
  startOn(port: number, leftover: RememberedPart | undefined): Promise<RunningPart>;
}

/**
 * Starts the API on the port asked for, the one of last time, 7311, or a free one. Only its own bind decides who has a port, and only its
 * own answer that it serves: where another program was faster, another port is taken, unless this one was asked for.
 */
export async function startApi({
  port: wanted,
  lastPort,
  host,
  leftover,
  onPort,
  startOn,
}: ApiStart): Promise<RunningPart> {
  for (let tries = 0; ; tries++) {
    const port = await choosePort(wanted, tries === 0 ? lastPort : undefined, host, leftover);
    onPort(port);
    try {
      return await startOn(port, tries === 0 ? leftover : undefined);
    } catch (error) {
      if (wanted || tries >= PORT_TRIES || !String(error).includes('EADDRINUSE')) throw error;
    }
  }
}

/** The port asked for, the one of last time, 7311, or a free one. A leftover API on the port of last time is no obstacle. */
async function choosePort(
  wanted: number | undefined,
  last: number | undefined,
  host: string,
  leftoverApi: RememberedPart | undefined,
): Promise<number> {
  const isOurs = (port: number): boolean => leftoverApi !== undefined && port === last;
  if (wanted !== undefined && wanted !== 0) {
    if (isOurs(wanted) || (await isPortFree(wanted, host))) return wanted;
    throw new AppError('unavailable', `Port ${wanted} of ${host} is taken by another program.`, {
      hint: 'Stop that program, give another --port, or leave the option out to have a free one chosen.',
      param: '--port',
    });
  }
  for (const port of wanted === 0 ? [] : [last, PORT])
    if (port !== undefined && (isOurs(port) || (await isPortFree(port, host)))) return port;
  return freePort();
}

const ASK_MS = 5_000;

/** True when the API of this key responds and reaches Postgres and Redis; that of another stack on the same address does not count. */
export async function isReady({ origin, apiKey }: StackAddress, instance?: string): Promise<boolean> {
  const ask = async (path: string): Promise<boolean> => {
    const headers = { authorization: `Bearer ${apiKey}` };
    const response = await fetch(`${origin}${path}`, { headers, signal: AbortSignal.timeout(3_000) });
    await response.arrayBuffer();
    return response.ok;
  };
  try {
    const isOurs = instance === undefined || (await isAnswering(origin, instance));
    return isOurs && (await ask('/readyz')) && (await ask('/v1/files?limit=1'));
  } catch {
    return false;
  }
}

/** True when the process that answers at this address is the one that was started as this instance. */
export async function isAnswering(origin: string, instance: string): Promise<boolean> {
  try {
    const response = await fetch(`${origin}/healthz`, { signal: AbortSignal.timeout(ASK_MS) });
    const body: unknown = await response.json();
    return typeof body === 'object' && body !== null && 'instance' in body && body.instance === instance;
  } catch {
    return false;
  }
}
