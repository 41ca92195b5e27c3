import { spawn } from 'node:child_process';
import { existsSync, readdirSync, watch } from 'node:fs';
import path from 'node:path';
import { inRepo } from '../paths.js';
import { signal } from './processes.js';
import type { Stack } from './supervisor.js';

const SETTLE_MS = 700;

/**
 * Builds whatever source changes, and restarts the parts that run it: the API or the workers for a change of their own, all for a change
 * of a package. The dashboard is served from its build, so a reload shows it.
 */
export function watchSources(stack: Stack, say: (line: string) => void): { close(): void } {
  const builder = spawn(
    process.execPath,
    [inRepo('node_modules/turbo/bin/turbo'), 'watch', 'build', '--ui=stream', '--output-logs=errors-only'],
    {
      cwd: inRepo(),
      stdio: ['ignore', 'inherit', 'inherit'],
      detached: true,
    },
  );
  builder.once('error', (error) => say(`Sources are not watched: ${error.message}`));

  const changed = new Set<string>();
  let timer: NodeJS.Timeout | undefined;
  const restart = (): void => {
    const everything = [...changed].some((room) => room !== 'api' && room !== 'worker');
    const parts = stack.parts.filter(
      ({ name }) =>
        (name === 'api' || name.startsWith('worker')) &&
        (everything || [...changed].some((room) => name.startsWith(room))),
    );
    changed.clear();
    say(`Rebuilt: ${parts.map(({ name }) => name).join(', ')} restarted.`);
    for (const part of parts) part.restart().catch((error: unknown) => say(String(error)));
  };
  const rooms = [
    ...readdirSync(inRepo('packages')).map((name): [string, string] => [name, inRepo('packages', name, 'dist')]),
    ...['api', 'worker'].map((name): [string, string] => [name, inRepo('apps', name, 'dist')]),
  ];
  const watchers = rooms
    .filter(([, dist]) => existsSync(dist))
    .map(([room, dist]) =>
      watch(dist, { recursive: true }, (_event, file) => {
        if (file === null || path.extname(file) !== '.js') return;
        changed.add(room);
        clearTimeout(timer);
        timer = setTimeout(restart, SETTLE_MS);
      }),
    );
  return {
    close() {
      clearTimeout(timer);
      for (const watcher of watchers) watcher.close();
      if (builder.pid !== undefined) signal(-builder.pid, 'SIGTERM');
    },
  };
}
