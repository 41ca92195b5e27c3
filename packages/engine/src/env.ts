import { homedir } from 'node:os';
import path from 'node:path';

const set = (value: string | undefined): string | undefined =>
  value === undefined || value === '' ? undefined : value;

/** An unpacked TensorFlow given by the user instead of the wheel, or undefined. */
export const engineDir = (): string | undefined => set(process.env.MORAINE_ENGINE_DIR);

/** Where downloads, unpacked wheels and compiled bindings live, one folder per user. */
export const cacheDir = (): string =>
  path.join(set(process.env.XDG_CACHE_HOME) ?? path.join(homedir(), '.cache'), 'moraine');

/** Whole environment for a child process, with `extra` on top. */
export const childEnv = (extra: Record<string, string> = {}): NodeJS.ProcessEnv => ({ ...process.env, ...extra });

/** Threads TensorFlow may use within one operation, if the user limited them. */
export const intraOpThreads = (): number | undefined => {
  const n = Number(set(process.env.TF_NUM_INTRAOP_THREADS) ?? set(process.env.OMP_NUM_THREADS));
  return Number.isInteger(n) && n > 0 ? n : undefined;
};

/** Sets a variable that TensorFlow's native code reads when it is loaded, unless the user set it. Child processes inherit it. */
export const defaultNativeEnv = (name: string, value: string): void => {
  process.env[name] ??= value;
};

/** The least of what TensorFlow logs once the default is set: 0 says everything, 2 errors alone. */
export const logLevel = (): number => Number(process.env.TF_CPP_MIN_LOG_LEVEL);

/** What the process was started with, to look at before `setNativeEnv`. */
export const currentEnv = (): Readonly<Record<string, string | undefined>> => process.env;

/** Sets variables that native libraries read when they are loaded; child processes inherit them. */
export const setNativeEnv = (variables: Readonly<Record<string, string>>): void => {
  Object.assign(process.env, variables);
};

/** CUDA_VISIBLE_DEVICES as it is: an empty text hides every card, so it is not the same as undefined. */
export const visibleDevices = (): string | undefined => process.env.CUDA_VISIBLE_DEVICES;

/** Whether CUDA numbers its cards by the PCI bus, as the driver's text files do. */
export const isOrderedByBus = (): boolean => process.env.CUDA_DEVICE_ORDER === 'PCI_BUS_ID';

export const searchPath = (): string[] => (process.env.PATH ?? '').split(path.delimiter).filter((p) => p !== '');

/** Folders that the dynamic loader searches first. */
export const libraryPath = (): string[] =>
  (process.env.LD_LIBRARY_PATH ?? '').split(path.delimiter).filter((p) => p !== '');
