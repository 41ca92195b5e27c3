import { setTimeout as sleep } from 'node:timers/promises';
import { AppError } from '@moraine/contract';

/** The public hub. */
export const PUBLIC_HUB = 'https://huggingface.co';

/** A model hub that speaks Hugging Face's file endpoints, and who asks. */
export interface Hub {
  /** Address, without a slash at its end. */
  endpoint: string;
  /** Sent to the endpoint only, never to where it redirects. */
  token: string | null;
  patience: Patience;
  /** Hears of each failed try before the next one. */
  onWait: (reason: string, waitMs: number) => void;
  /** Ends everything that is asked of the hub; what has arrived stays. */
  signal: AbortSignal | null;
}

export interface Patience {
  /** Tries in a row that bring nothing, before a download is given up. */
  tries: number;
  /** Before the second try; doubled with each further one. */
  waitMs: number;
  /** The longest wait that a server may ask for. */
  waitMsMax: number;
  /** Without a byte for this long, a connection is taken for dead. */
  stallMs: number;
}

const PATIENCE: Patience = { tries: 6, waitMs: 1_000, waitMsMax: 300_000, stallMs: 30_000 };

/** @throws AppError `invalid_value` for an endpoint that is no address. */
export function openHub({
  endpoint = PUBLIC_HUB,
  token = null,
  patience = {},
  onWait = () => {},
  signal = null,
}: {
  endpoint?: string;
  token?: string | null;
  patience?: Partial<Patience>;
  onWait?: Hub['onWait'];
  signal?: AbortSignal | null;
}): Hub {
  const url = URL.canParse(endpoint) ? new URL(endpoint) : null;
  if (!url || !/^https?:$/.test(url.protocol) || url.username !== '' || url.password !== '' || url.search !== '') {
    throw new AppError('invalid_value', `HF_ENDPOINT is '${endpoint}', which is not the address of a hub.`, {
      param: 'HF_ENDPOINT',
      hint: `Write http:// or https://, host and port, as ${PUBLIC_HUB}; a token belongs in HF_TOKEN.`,
    });
  }
  if (token !== null && !/^[\x21-\x7e]+$/.test(token)) {
    throw new AppError('invalid_value', 'HF_TOKEN holds a space, a line break or a letter that no token has.', {
      param: 'HF_TOKEN',
      hint: 'Copy the token again, without quotes: it begins with hf_.',
    });
  }
  return { endpoint: url.href.replace(/\/+$/, ''), token, patience: { ...PATIENCE, ...patience }, onWait, signal };
}

/** What may pass by itself: a cut connection, a busy server. The same request is sent again. */
export class Hiccup extends Error {
  /** @param waitMs what the server asked for, null to wait as long as is usual */
  constructor(
    readonly reason: string,
    readonly waitMs: number | null = null,
    cause?: unknown,
  ) {
    super(reason, { cause });
  }
}

/**
 * Tries until it works. `progress` is a number that a try which got further has raised: the tries then count anew.
 * @throws AppError `unavailable` after `patience.tries` tries in a row without progress, or when the server asks for a longer wait than `patience.waitMsMax`
 */
export async function persist<T>(hub: Hub, attempt: () => Promise<T>, progress: () => number = () => 0): Promise<T> {
  const { tries, waitMs, waitMsMax } = hub.patience;
  let reached = progress();
  for (let failures = 1; ; failures++) {
    try {
      return await attempt();
    } catch (error) {
      hub.signal?.throwIfAborted();
      if (!(error instanceof Hiccup)) throw error;
      if (progress() > reached) failures = 0;
      reached = progress();
      const wait = error.waitMs ?? waitMs * 2 ** (failures - 1) * (0.75 + Math.random() / 2);
      if (failures >= tries || wait > waitMsMax) throw givenUp(error, failures, wait > waitMsMax ? wait : null);
      hub.onWait(error.reason, wait);
      await sleep(wait, undefined, hub.signal ? { signal: hub.signal } : {});
    }
  }
}

function givenUp({ reason, cause }: Hiccup, failures: number, waitMs: number | null): AppError {
  const hint = 'What has arrived is kept: the same request goes on there.';
  if (waitMs === null)
    return new AppError('unavailable', `${reason}, ${failures} times in a row.`, {
      hint: `Look at the network and at HF_ENDPOINT. ${hint}`,
      cause,
    });
  return new AppError('unavailable', `${reason} and asks to come back in ${Math.ceil(waitMs / 1000)} s.`, {
    hint,
    cause,
  });
}
