import { readFileSync } from 'node:fs';
import { inRepo } from '../paths.js';
import { paint } from '../terminal.js';

/** The programs that `examples/clients` holds, and how each is run from the root of the repository. */
export const CLIENTS = [
  { title: 'curl', file: 'finetune.sh', run: 'sh examples/clients/finetune.sh' },
  { title: 'Python', file: 'finetune.py', run: 'pip install openai && python3 examples/clients/finetune.py' },
  { title: 'TypeScript', file: 'finetune.ts', run: 'npx tsx examples/clients/finetune.ts' },
] as const;

/** The clients as printed: the very files, so that what is shown is what is tested. */
export function snippets(): string {
  const parts = CLIENTS.map(({ title, file, run }) => {
    const code = readFileSync(inRepo('examples', 'clients', file), 'utf8').trimEnd();
    return `${paint('bold', title)}   ${paint('dim', run)}\n\n${code.replaceAll(/^(?=.)/gm, '  ')}`;
  });
  return [`In another terminal, in this folder:  ${paint('bold', 'eval "$(npx moraine env)"')}`, ...parts].join('\n\n');
}
