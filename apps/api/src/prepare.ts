#!/usr/bin/env node
import { AppError, explain } from '@moraine/contract';
import { createApiKey, ensureDefaultProject, migrate, openServices, verifyApiKey } from '@moraine/services';
import { readEnv, rootKey } from './env.js';
import { createLog } from './log.js';

/**
 * Run before the API starts: applies migrations, makes sure of the default project and of a root key, and prints that key. The key is
 * MORAINE_API_KEY when it is set and was not revoked, else a new one.
 */
try {
  const env = readEnv();
  await migrate(env.databaseUrl);
  const services = await openServices({ ...env, log: createLog({ ...env, logLevel: 'error' }) });
  try {
    const project = await ensureDefaultProject(services);
    const given = rootKey();
    const isKnown = given !== undefined && (await verifyApiKey(services, given).then(() => true, isUnknown));
    const create = (key?: string) => createApiKey(services, { projectId: project.id }, { name: 'root', key });
    // A key that was revoked is taken for good: another one is made.
    const key = isKnown ? given : (await create(given).catch(refusedOr(create))).key;
    process.stdout.write(`${key}\n`);
  } finally {
    await services.close();
  }
} catch (error) {
  process.stderr.write(`moraine prepare: ${explain(error)}\n`);
  process.exitCode = 1;
}

function refusedOr<T>(other: () => T): (error: unknown) => T {
  return (error) => {
    if (error instanceof AppError) throw error;
    return other();
  };
}

function isUnknown(error: unknown): false {
  if (error instanceof AppError && error.code === 'invalid_api_key') return false;
  throw error;
}
