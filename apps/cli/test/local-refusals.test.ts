import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, test, vi } from 'vitest';
import { type Command, readArguments } from '../src/args.js';
import { doctorCommand } from '../src/commands/doctor.js';
import { migrateCommand } from '../src/commands/migrate.js';
import { setupCommand } from '../src/commands/setup.js';
import { benchCommand } from '../src/local/bench.js';
import { evalCommand } from '../src/local/eval.js';
import { generateCommand } from '../src/local/generate.js';
import { trainCommand } from '../src/local/train.js';
import { inRepo } from '../src/paths.js';
import { registerBase } from '../src/register-base.js';
import { watchScreen } from './screen.js';

const dir = mkdtempSync(path.join(tmpdir(), 'moraine refusals '));
afterAll(() => rmSync(dir, { recursive: true, force: true }));
const run = (command: Command, line: string): Promise<number> =>
  command.run(
    readArguments(
      command,
      line.split(' ').filter((word) => word !== ''),
    ),
  );

// Each is refused before the training runtime is loaded.
const FROM = '--base b --data d';
const REFUSED: [Command, string, string, string][] = [
  [trainCommand, `${FROM}`, '--out is missing.', 'Write --out DIR: Where adapter,'],
  [trainCommand, '--data d --out o', '--base is missing.', 'Write --base DIR: Hugging Face folder'],
  [trainCommand, '--base b --out o', '--data is missing.', 'Write --data FILE: JSONL rows'],
  [trainCommand, `${FROM} --out o more`, "'more' is one argument too many.", '`moraine local train --help`'],
  [trainCommand, `${FROM} --out o --rank 0`, "--rank is '0', which is not a whole number from 1 to 1024.", '--rank 1'],
  [trainCommand, `${FROM} --out o --steps 0`, "--steps is '0'", '--steps 1'],
  [trainCommand, `${FROM} --out o --batch-size 1.5`, "--batch-size is '1.5'", '--batch-size 1'],
  [trainCommand, `${FROM} --out o --seq 1`, "--seq is '1'", '--seq 2'],
  [trainCommand, `${FROM} --out o --seed 2147483648`, "--seed is '2147483648'", '--seed 0'],
  [trainCommand, `${FROM} --out o --lr fast`, "--lr is 'fast', which is not a number from 0 to 10.", 'such a number'],
  [trainCommand, `${FROM} --out o --mode xls`, `'mode' is "xls"`, 'Did you mean "xla"?'],
  [trainCommand, `${FROM} --out o --method lroa`, "--method is 'lroa'", "Did you mean 'lora'?"],
  [evalCommand, '--data d', '--base is missing.', 'Write --base DIR'],
  [evalCommand, '--base b', '--data is missing.', 'Write --data FILE'],
  [evalCommand, `${FROM} --mode fast`, "--mode is 'fast', which is none of plain, xla, bf16, eager.", 'Use one of'],
  [evalCommand, '--suite arc_easy --base b', '--data is missing.', 'Write --data FILE'],
  [evalCommand, `${FROM} --suite arc_easy rows`, 'Two files are named: rows and --data d.', 'Name one.'],
  [evalCommand, '--suite arc_easy d --base b --seed 1', '--seed draws items under a limit', 'Add --limit N'],
  [evalCommand, '--suite arc_easy d --base b --seq 9', '--seq cuts rows of a loss', 'Leave --seq out.'],
  [evalCommand, '--suite arc_easy d --base b --lambda 0.5', '--lambda is a share of an adapter', 'Name the adapter'],
  [evalCommand, `${FROM} --limit 3`, '--limit is about the items of a suite', 'Add --suite NAME'],
  [evalCommand, `${FROM} --seq 1`, "--seq is '1'", '--seq 2'],
  [generateCommand, '--prompt p', '--base is missing.', 'Write --base DIR'],
  [generateCommand, '--base b', 'There is nothing to answer.', 'Write --prompt TEXT'],
  [generateCommand, '--base b --prompts none.txt', 'There is no file', 'one prompt a line'],
  [benchCommand, '--shape 15m --base b', '--shape and --base exclude each other.', 'Give one of them.'],
  [benchCommand, '--steps 0', '--steps 0 leaves nothing to measure.', 'Add --decode N.'],
  [benchCommand, '--data d', '--data needs the tokenizer of a base.', 'Write --base DIR.'],
  [benchCommand, '--batch 5000', "--batch is '5000'", '--batch 1'],
  [setupCommand, '--cpu --cuda', '--cpu and --cuda exclude each other.', 'Give one of them, or none.'],
  [doctorCommand, 'now', "'now' is one argument too many.", '`moraine doctor --help`'],
];

test.each(REFUSED.map(([command, line, message, hint]) => ({ name: command.name, command, line, message, hint })))(
  '$name $line is refused: $message',
  async ({ command, line, message, hint }) => {
    const error: unknown = await Promise.resolve()
      .then(() => run(command, line))
      .catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ message: expect.stringContaining(message), hint: expect.stringContaining(hint) });
  },
);

test('migrate without a database says which variable it reads', async () => {
  vi.stubEnv('DATABASE_URL', '');
  await expect(run(migrateCommand, '')).rejects.toMatchObject({
    code: 'invalid_request',
    message: 'DATABASE_URL is not set.',
    hint: expect.stringContaining('`moraine up`'),
  });
  vi.unstubAllEnvs();
});

test('the doctor says the same in lines and in JSON, and its status says whether anything is wrong', async () => {
  const shownBy = async (line: string): Promise<[number, string]> => {
    const screen = watchScreen(null);
    try {
      return [await run(doctorCommand, line), screen.text()];
    } finally {
      screen.close();
    }
  };
  const [status, json] = await shownBy('--json');
  const report = JSON.parse(json) as {
    node: string;
    cores: number;
    sandbox: string | null;
    problems: { what: string; fix: string }[];
  };
  const [again, lines] = await shownBy('');
  expect(again).toBe(status);
  // Code of a model runs here, or both say why not and what to install.
  if (report.sandbox !== null) expect(report.sandbox).toContain('apt-get install bubblewrap');
  expect(lines).toContain(report.sandbox ?? 'ready: code that a model writes can be run (bubblewrap)');
  expect(status).toBe(report.problems.length === 0 ? 0 : 1);
  expect(lines).toMatch(new RegExp(`^Node +${report.node} on `, 'm'));
  expect(lines).toMatch(new RegExp(`^Processor .*, ${report.cores} cores$`, 'm'));
  expect(lines.includes('Ready to train.')).toBe(status === 0);
  for (const { what, fix } of report.problems) expect(lines).toContain(`! ${what}\n  ${fix}`);
}, 60_000);

describe('a folder is refused as a base before anything is sent', () => {
  // Nothing is sent: a client that is used would be an error of another kind.
  const client = null as never;
  test.each<[string, string[], string]>([
    ['without a configuration', ['model.safetensors', 'tokenizer.json'], 'holds no config.json.'],
    ['without weights', ['config.json', 'pytorch_model.bin'], 'holds no weights (*.safetensors).'],
  ])('%s', async (name, files, message) => {
    const folder = mkdtempSync(path.join(dir, name));
    for (const file of files) writeFileSync(path.join(folder, file), '');
    await expect(registerBase(client, 'mine', folder)).rejects.toMatchObject({
      code: 'invalid_base',
      message: `${folder} ${message}`,
    });
  });

  test('that is a file, or is not there', async () => {
    const file = inRepo('package.json');
    await expect(registerBase(client, 'mine', file)).rejects.toThrow(`${file} is not a folder.`);
    await expect(registerBase(client, 'mine', path.join(dir, 'none'))).rejects.toThrow('is not a folder.');
  });
});
