const NAME = 'MORAINE_TEST_SERVERS';

/** Address at which the test run hands out databases; undefined outside a run with our global setup. */
export const serversAddress = (): string | undefined => process.env[NAME];

/** Tells the test processes that are forked from now on. */
export const setServersAddress = (address: string): void => {
  process.env[NAME] = address;
};

/** Where this process, and those that are forked from now on, put temporary files. */
export const setTemporaryFolder = (dir: string): void => {
  process.env.TMPDIR = dir;
};

/** This process' environment for another, with `extra` on top. */
export const ownEnv = (extra: Record<string, string>): NodeJS.ProcessEnv => ({ ...process.env, ...extra });

/** A log level for the services under test; `silent` unless asked for. */
export const testLogLevel = (): string => process.env.LOG_LEVEL ?? 'silent';
