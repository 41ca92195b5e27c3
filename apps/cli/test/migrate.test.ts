import { testDatabase } from '@moraine/testing';
import { afterAll, afterEach, expect, test, vi } from 'vitest';
import { readArguments } from '../src/args.js';
import { migrateCommand } from '../src/commands/migrate.js';
import { watchScreen } from './screen.js';

const database = await testDatabase();
afterAll(() => database.close());
afterEach(() => vi.unstubAllEnvs());

async function printed(): Promise<string> {
  const screen = watchScreen(null);
  try {
    await migrateCommand.run(readArguments(migrateCommand, []));
    return screen.text();
  } finally {
    screen.close();
  }
}

test('migrate prints the root key that it made, and never one that it was given', async () => {
  vi.stubEnv('DATABASE_URL', database.databaseUrl);
  vi.stubEnv('MORAINE_API_KEY', '');
  expect((await printed()).trim()).toMatch(/^mk-\S{32,}$/);

  const given = `mk-${'k7'.repeat(20)}`;
  vi.stubEnv('MORAINE_API_KEY', given);
  for (const _time of ['new', 'known']) {
    const text = await printed();
    expect(text).toContain('MORAINE_API_KEY is a root key');
    expect(text).not.toContain(given);
  }
});
