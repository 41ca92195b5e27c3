import { beforeAll, describe, expect, test } from 'vitest';
import { type Command, readArguments } from '../src/args.js';
import { COMMANDS, type Described, describeCommands, type Entry } from '../src/catalogue.js';

/** Every command that does something, with the options that it reads. */
async function loadAll(entries: Record<string, Entry> = COMMANDS): Promise<Command[]> {
  const loaded = Object.values(entries).map(async ({ load, actions }) => [
    ...(actions ? await loadAll(actions) : []),
    ...(load ? [await load()] : []),
  ]);
  return (await Promise.all(loaded)).flat();
}
let commands: Command[];
let described: Described[];
beforeAll(async () => {
  commands = await loadAll();
  described = await describeCommands();
});
const each = (check: (command: Command) => void): void => {
  expect(commands.length).toBeGreaterThan(10);
  for (const command of commands) check(command);
};

describe('every command', () => {
  test('is described for programs with all its options, each with a sentence and, unless it is a switch, its value', () => {
    expect(described.map(({ name }) => name).sort()).toEqual(commands.map(({ name }) => name).sort());
    for (const { name, summary, forms, options } of described) {
      expect(summary, name).toMatch(/^[A-Z].{10,}[^.]$/);
      expect(forms.length, name).toBeGreaterThan(0);
      for (const { name: option, help, value } of options) {
        const what = `${name} --${option}`;
        expect(help, what).toMatch(/^[A-Z0-9].{8,}\.$/s);
        if (value !== undefined) expect(value, what).toMatch(/^[A-Z]+(\[:[A-Z]+(\[:[A-Z]+\])?\])?$/);
      }
    }
  });

  test('has a value for its options of text and none for its switches', () => {
    each(({ name, options }) => {
      for (const [option, { type, value }] of Object.entries(options))
        expect(value !== undefined, `${name} --${option}`).toBe(type === 'string');
    });
  });

  test('names no option in its forms that it does not read', () => {
    each(({ name, forms, options }) => {
      const named = forms.flatMap((form) => [...form.matchAll(/--([a-z-]+)/g)].map(([, option]) => option));
      expect(Object.keys(options), name).toEqual(expect.arrayContaining(named));
    });
  });

  test('has examples, where it has any, that it reads, of actions in its forms', () => {
    each((command) => {
      for (const example of command.examples ?? []) {
        const { positionals } = readArguments(command, example.split(' '));
        expect(
          command.forms.map((form) => form.split(' ')[0]),
          example,
        ).toContain(positionals[0]);
      }
    });
  });

  test('takes each of its options, and of a misspelt one names the nearest', () => {
    each((command) => {
      for (const [option, { type }] of Object.entries(command.options)) {
        const words = type === 'string' ? [`--${option}`, '1'] : [`--${option}`];
        expect(readArguments(command, words).options[option]).toBe(type === 'string' ? '1' : true);
        // A letter too many at the end can be meant in no other way.
        const refused = { code: 'invalid_request', hint: `Did you mean '--${option}'?` };
        expect(() => readArguments(command, [`--${option}x`, '1']), `${command.name} --${option}x`).toThrow(
          expect.objectContaining(refused),
        );
      }
    });
  });

  test('has no option that the training runtime would read as one of its own', () => {
    const taken = ['dir', 'directory', 'arch', 'debug', 'proxy', 'loglevel'];
    each(({ name, options }) => {
      expect(
        Object.keys(options).filter((option) => taken.includes(option)),
        name,
      ).toEqual([]);
    });
  });
});
