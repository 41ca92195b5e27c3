import path from 'node:path';

const set = (value: string | undefined): string | undefined =>
  value === undefined || value === '' ? undefined : value;

export const searchPath = (): string[] => (process.env.PATH ?? '').split(path.delimiter).filter((dir) => dir !== '');

/** Folder of the stack's data, if given. */
export const dataDir = (): string | undefined => set(process.env.MORAINE_DATA);

/** A Postgres of the user's own instead of the embedded one. */
export const databaseUrl = (): string | undefined => set(process.env.DATABASE_URL);

/** A Redis of the user's own instead of the embedded one. */
export const redisUrl = (): string | undefined => set(process.env.REDIS_URL);

const positive = (value: string | undefined, preset: number): number => {
  const number = Number(set(value) ?? preset);
  return Number.isSafeInteger(number) && number > 0 ? number : preset;
};

/** How large a log of the stack may become before it is set aside, and how many full ones are kept. */
export const logLimits = (): { bytesMax: number; kept: number } => ({
  bytesMax: positive(process.env.MORAINE_LOG_BYTES_MAX, 20_000_000),
  kept: positive(process.env.MORAINE_LOGS_KEPT, 3),
});

/** Whether the shell sets this variable. */
export const isSet = (name: string): boolean => set(process.env[name]) !== undefined;

/** The whole environment for a child, with `extra` on top. */
export const childEnv = (extra: Record<string, string>): NodeJS.ProcessEnv => ({ ...process.env, ...extra });

/** https://no-color.org */
export const noColour = (): boolean => set(process.env.NO_COLOR) !== undefined;

/** A server and key that the shell was pointed at, e.g. by `eval "$(npx moraine env)"`. */
export const clientAddress = (): { baseUrl: string; apiKey: string } | undefined => {
  const baseUrl = set(process.env.OPENAI_BASE_URL);
  const apiKey = set(process.env.OPENAI_API_KEY);
  return baseUrl && apiKey ? { baseUrl, apiKey } : undefined;
};

/** How inference processes of the stack are bounded: how many bases at once, and without requests for how long one stays. */
export const servingLimits = (): { processesMax: number; idleMs: number } => ({
  processesMax: positive(process.env.MORAINE_SERVE_PROCESSES, 2),
  idleMs: positive(process.env.MORAINE_SERVE_IDLE_MINUTES, 15) * 60_000,
});

/** The root key that an operator chose. */
export const chosenApiKey = (): string | undefined => set(process.env.MORAINE_API_KEY);

/** The hub that models are downloaded from, as Hugging Face's tools name it. */
export const hubAddress = (): { endpoint: string | undefined; token: string | undefined } => ({
  endpoint: set(process.env.HF_ENDPOINT),
  token: set(process.env.HF_TOKEN),
});
