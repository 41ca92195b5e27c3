/**
 * A side of `npm run bench:serve` in a process of its own: `answer.ts ours BASE ROWS CONTEXT [ADAPTER ...]` or `answer.ts llama.cpp FILE ROWS CONTEXT`. Writes its versions,
 * then what each load took that comes as a line, until there are no more.
 */
import { createInterface } from 'node:readline';
import { hashTrained } from '@moraine/recipes';
import { llamaCpp, ours } from './bench-sides.js';

const [kind, from = '', rows, context, ...adapters] = process.argv.slice(2);
const write = (value: unknown): void => {
  process.stdout.write(`${JSON.stringify(value)}\n`);
};

async function openOurs() {
  const side = await ours(from, Number(rows), Number(context));
  for (const dir of adapters) {
    const id = await hashTrained(dir);
    await side.served.load({ id, dir });
    side.ids.push(id);
  }
  return side;
}

const side = kind === 'ours' ? await openOurs() : await llamaCpp(from, Number(rows), Number(context));
write(side.versions);
for await (const line of createInterface({ input: process.stdin })) write(await side.answer(JSON.parse(line)));
await side.close();
process.exit();
