import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const REQUIREMENTS = fileURLToPath(new URL('requirements.txt', import.meta.url));

/** Runs python3; `onLine` hears each line that it prints. Answers the last one. */
export async function python(
  args: string[],
  env: Record<string, string>,
  onLine: (line: string) => void = () => undefined,
): Promise<string> {
  const child = spawn('python3', args, { env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'inherit'] });
  let text = '';
  let read = 0;
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    text += chunk;
    const lines = text.split('\n');
    for (; read < lines.length - 1; read++) onLine(lines[read] ?? '');
  });
  const [code] = await once(child, 'close');
  if (code !== 0) throw new Error(`python3 ${args[0]} ended with ${code}`);
  return text.trimEnd().split('\n').at(-1) ?? '';
}

/** The client, once per version, under `.venv` of the repository. */
export async function installClient(): Promise<string> {
  const wanted = (await readFile(REQUIREMENTS, 'utf8')).trim();
  const target = fileURLToPath(new URL(`../../../../.venv/${wanted.replaceAll('==', '-')}`, import.meta.url));
  if (!existsSync(join(target, 'openai')))
    await python(['-m', 'pip', 'install', '--quiet', '--requirement', REQUIREMENTS, '--target', target], {});
  return target;
}
