import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { inRepo } from '../src/paths.js';

interface Service {
  restart?: string;
  healthcheck?: { test: string[] };
  environment?: Record<string, string>;
  stop_grace_period?: string;
}
const { services } = parse(readFileSync(inRepo('docker-compose.yml'), 'utf8'), { merge: true }) as {
  services: Record<string, Service>;
};
/** It ends by itself. */
const long = Object.entries(services).filter(([name]) => name !== 'migrate');

describe('the compose file', () => {
  test.each(long)('starts %s again when it ends, and asks whether it is alive', (_name, { restart, healthcheck }) => {
    expect(restart).toBe('unless-stopped');
    expect(healthcheck?.test.length).toBeGreaterThan(1);
  });

  test('asks the API by /healthz and a worker by the file that it touches in its own folder', () => {
    expect(services.api?.healthcheck?.test.join(' ')).toContain('/healthz');
    for (const worker of [services.worker, services['worker-gpu']])
      expect(worker?.healthcheck?.test.join(' ')).toContain(`${worker?.environment?.MORAINE_WORK_DIR}/alive`);
  });

  test('gives the API and the workers time to drain', () => {
    for (const name of ['api', 'worker', 'worker-gpu']) expect(services[name]?.stop_grace_period).toBeDefined();
  });
});

test('no image has a file of secrets in it: each copies the folder without what .dockerignore leaves out', () => {
  const ignored = readFileSync(inRepo('.dockerignore'), 'utf8').split('\n');
  for (const name of ['.env', '.env.*', '**/.env', '**/.env.*', '.data', '.git']) expect(ignored).toContain(name);
  expect(ignored.filter((line) => line.startsWith('!'))).toEqual([]);
  for (const file of ['deploy/api.Dockerfile', 'deploy/worker.Dockerfile']) {
    const text = readFileSync(inRepo(file), 'utf8');
    expect(text).toContain('COPY . .');
    expect(text).toContain('USER node');
    expect(text).not.toMatch(/\.env\b|PASSWORD|API_KEY/);
  }
});
