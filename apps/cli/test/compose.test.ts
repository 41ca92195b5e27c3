import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { inRepo } from '../src/paths.js';

interface Service {
  restart?: string;
  init?: boolean;
  healthcheck?: { test: string[] };
  build?: { dockerfile: string; target: string };
  environment?: Record<string, string | null>;
  logging?: { options: Record<string, string> };
  stop_grace_period?: string;
  ports?: string[];
}
const read = (file: string): string => readFileSync(inRepo(file), 'utf8');
const servicesOf = (file: string): Record<string, Service> =>
  (parse(read(file), { merge: true }) as { services: Record<string, Service> }).services;
const services = servicesOf('docker-compose.yml');
/** It ends by itself. */
const long = Object.entries(services).filter(([name]) => name !== 'migrate');
const ours = Object.entries(services).filter(([, { build }]) => build !== undefined);
const dockerfile = read('deploy/Dockerfile');

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

  test('asks Postgres by TCP, where the server that prepares a new database does not listen', () => {
    expect(services.postgres?.healthcheck?.test.join(' ')).toContain('pg_isready -h 127.0.0.1');
  });

  test('takes an error of Redis for one', () => {
    expect(services.redis?.healthcheck?.test).toContain('-e');
  });

  test('gives what stores or drains the time for it', () => {
    for (const name of ['api', 'worker', 'worker-gpu', 'inference', 'postgres'])
      expect(services[name]?.stop_grace_period, name).toBeDefined();
  });

  test.each(Object.entries(services))('bounds what %s logs', (_name, { logging }) => {
    expect(logging?.options).toMatchObject({ 'max-size': expect.any(String), 'max-file': expect.any(String) });
  });

  test.each(ours)('runs %s below a first process that buries orphans, from a target there is', (_name, service) => {
    expect(service.init).toBe(true);
    expect(existsSync(inRepo(service.build?.dockerfile ?? 'none'))).toBe(true);
    expect(dockerfile).toMatch(new RegExp(`^FROM .* AS ${service.build?.target}$`, 'm'));
  });

  test('opens the API to this machine alone, on a port of choice', () => {
    expect(services.api?.ports).toEqual([expect.stringMatching(/^127\.0\.0\.1:\$\{MORAINE_PORT:-7311\}:7311$/)]);
  });

  test('passes on the settings that docs/operations.md lists', () => {
    // Of the stack on one machine, which compose does itself; those of processes that the stack starts on a wish are not for here.
    const own = [
      'MORAINE_DATA',
      'XDG_CACHE_HOME',
      'MORAINE_ENGINE_DIR',
      'MORAINE_SERVE_IDLE_MINUTES',
      'MORAINE_SERVE_PROCESSES',
    ];
    const table = read('docs/operations.md').split('## Settings')[1]?.split('\n## ')[0] ?? '';
    const rows = table.split('\n').filter((line) => line.startsWith('| `'));
    const listed = rows.flatMap((row) =>
      [...(row.split('|')[1]?.matchAll(/`([A-Z_]+)`/g) ?? [])].map(([, name]) => name),
    );
    const passed = new Set(Object.values(services).flatMap(({ environment }) => Object.keys(environment ?? {})));
    expect(listed.length).toBeGreaterThan(10);
    expect(listed.filter((name) => name !== undefined && !own.includes(name) && !passed.has(name))).toEqual([]);
  });
});

test('deploy/sandbox.yml changes workers that docker-compose.yml has, by a profile that there is', () => {
  const changed = servicesOf('deploy/sandbox.yml') as Record<string, Service & { security_opt: string[] }>;
  for (const [name, { security_opt: options }] of Object.entries(changed)) {
    expect(Object.keys(services)).toContain(name);
    // Compose reads this one in no other spelling.
    expect(options).toContain('systempaths=unconfined');
    const profile = options.find((option) => option.startsWith('seccomp='))?.slice('seccomp='.length);
    expect(JSON.parse(read(profile ?? 'none'))).toMatchObject({ defaultAction: expect.any(String) });
  }
});

test('the images install the packages of every workspace before any source is copied', () => {
  const listed = ['apps', 'packages'].flatMap((group) =>
    readdirSync(inRepo(group)).map((name) => `${group}/${name}/package.json`),
  );
  const manifests = listed.filter((file) => existsSync(inRepo(file)));
  expect(manifests.length).toBeGreaterThan(10);
  const [before = ''] = dockerfile.split('COPY . .');
  for (const manifest of manifests)
    expect(before).toContain(`COPY ${manifest} ${manifest.replace('package.json', '')}\n`);
});

test('no image and no commit has a file of secrets in it', () => {
  const ignored = read('.dockerignore').split('\n');
  for (const name of ['.env', '.env.*', '**/.env', '**/.env.*', '.data', '.git']) expect(ignored).toContain(name);
  expect(ignored.filter((line) => line.startsWith('!'))).toEqual([]);
  expect(dockerfile).toContain('COPY . .');
  expect(dockerfile).not.toMatch(/\.env\b|PASSWORD|API_KEY/);
  for (const name of ['.env', '.env.*']) expect(read('.gitignore').split('\n')).toContain(name);
});

test('each image runs as an ordinary user', () => {
  const images = dockerfile.split(/^FROM /m).filter((stage) => stage.includes('CMD ['));
  expect(images).toHaveLength(2);
  for (const image of images) expect(image).toContain('USER node');
});
