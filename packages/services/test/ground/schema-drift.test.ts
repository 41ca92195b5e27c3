import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { testDatabase } from '@moraine/testing';
import { expect, test } from 'vitest';

const root = fileURLToPath(new URL('../../../..', import.meta.url));

test('the migrations make exactly the schema that the client is generated from', async () => {
  const database = await testDatabase();
  const args = [
    'prisma',
    'migrate',
    'diff',
    '--from-migrations',
    'prisma/migrations',
    '--to-schema',
    'prisma/schema.prisma',
    '--exit-code',
  ];
  const { stdout } = await promisify(execFile)('npx', args, {
    cwd: root,
    env: { ...process.env, DATABASE_URL: database.databaseUrl },
  });
  expect(stdout).toContain('No difference detected');
  await database.close();
});
