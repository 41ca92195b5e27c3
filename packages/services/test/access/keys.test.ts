import { testServices } from '@moraine/testing';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { hashSecret, newSecret } from '../../src/ground/secrets.js';
import {
  type Actor,
  createApiKey,
  createLoginLink,
  ensureDefaultProject,
  openServices,
  redeemLoginLink,
  revokeApiKey,
  type Services,
  verifyApiKey,
  verifySession,
} from '../../src/index.js';
import { otherActor } from '../tiny-base.js';

const t = await testServices();
afterAll(() => t.close());
const s: Services = t.services;
let actor: Actor;
let stranger: Actor;
beforeAll(async () => {
  actor = { projectId: (await ensureDefaultProject(s)).id, keyId: null };
  stranger = await otherActor(s);
});

/** Another process on the same database: it remembers no key. */
async function inAnotherProcess<T>(work: (other: Services) => Promise<T>): Promise<T> {
  const { databaseUrl, redisUrl, blobsDir } = t;
  const other = await openServices({ databaseUrl, redisUrl, blobsDir, log: s.log });
  try {
    return await work(other);
  } finally {
    await other.close();
  }
}

/** Every column of a table as text. */
const dump = async (table: string): Promise<string> =>
  JSON.stringify((await s.pg.query(`SELECT * FROM ${table}`)).rows);

describe('secrets', () => {
  test('are 256 random bits in letters that need no quoting, never the same twice', () => {
    const secrets = Array.from({ length: 200 }, newSecret);
    expect(new Set(secrets).size).toBe(200);
    for (const secret of secrets) expect(secret).toMatch(/^[\w-]{43}$/);
    expect(Buffer.from(secrets[0] ?? '', 'base64url')).toHaveLength(32);
  });

  test('are stored as their SHA-256', () => {
    // From `printf mk-example | sha256sum`.
    expect(hashSecret('mk-example')).toBe('791443f26b6f6b41f1f474f9a1e90aa4f02eb50b3c26e03e1e65d9695e28acc7');
    expect(hashSecret('mk-example')).not.toBe(hashSecret('mk-example '));
  });
});

describe('API keys', () => {
  test('a hint shows seven letters of the key and no more', async () => {
    const { key, hint, id } = await createApiKey(s, actor, { name: 'hint' });
    expect(hint).toBe(`${key.slice(0, 7)}…`);
    expect(await s.db.apiKey.findUniqueOrThrow({ where: { id } })).toMatchObject({ hint, name: 'hint' });
  });

  test('the first use is written down, the next ones within a minute are not', async () => {
    const { key, id } = await createApiKey(s, actor, { name: 'used' });
    const lastUsed = async () => (await s.db.apiKey.findUniqueOrThrow({ where: { id } })).lastUsedAt;
    expect(await lastUsed()).toBeNull();
    await verifyApiKey(s, key);
    const first = await lastUsed();
    expect(Date.now() - (first?.getTime() ?? 0)).toBeLessThan(60_000);
    await inAnotherProcess((other) => verifyApiKey(other, key));
    expect(await lastUsed()).toEqual(first);
    const longAgo = new Date(Date.now() - 61_000);
    await s.db.apiKey.update({ where: { id }, data: { lastUsedAt: longAgo } });
    await inAnotherProcess((other) => verifyApiKey(other, key));
    expect((await lastUsed())?.getTime()).toBeGreaterThan(longAgo.getTime());
  });

  test('a key of another project cannot be revoked, and goes on to work', async () => {
    const { key, id } = await createApiKey(s, actor, { name: 'kept' });
    await expect(revokeApiKey(s, stranger, id)).rejects.toMatchObject({ code: 'not_found' });
    expect(await inAnotherProcess((other) => verifyApiKey(other, key))).toEqual({ ...actor, keyId: id });
  });

  test('revoking one key leaves the other keys of the project alone', async () => {
    const [lost, kept] = [
      await createApiKey(s, actor, { name: 'lost' }),
      await createApiKey(s, actor, { name: 'kept' }),
    ];
    await revokeApiKey(s, actor, lost.id);
    await inAnotherProcess(async (other) => {
      await expect(verifyApiKey(other, lost.key)).rejects.toMatchObject({ code: 'invalid_api_key' });
      expect(await verifyApiKey(other, kept.key)).toMatchObject({ keyId: kept.id });
    });
  });

  test('a secret that was chosen twice is refused the second time, also after it was revoked', async () => {
    const key = `mk-${newSecret()}`;
    const { id } = await createApiKey(s, actor, { name: 'first', key });
    await revokeApiKey(s, actor, id);
    await expect(createApiKey(s, stranger, { name: 'second', key })).rejects.toThrow(/hash/);
    await expect(inAnotherProcess((other) => verifyApiKey(other, key))).rejects.toMatchObject({ status: 401 });
  });

  test('a refused key is not in the message of its refusal', async () => {
    const key = `mk-${newSecret()}`;
    const error = await verifyApiKey(s, key).catch((thrown: unknown) => thrown);
    const unfit = await createApiKey(s, actor, { name: 'x', key: `${key} ` }).catch((thrown: unknown) => thrown);
    for (const thrown of [error, unfit]) {
      expect(thrown).toBeInstanceOf(Error);
      expect(JSON.stringify(thrown, Object.getOwnPropertyNames(thrown))).not.toContain(key.slice(4));
    }
  });
});

describe('login links and sessions', () => {
  test('neither a link nor a session is stored as it is', async () => {
    const link = await createLoginLink(s, actor);
    const session = await redeemLoginLink(s, link.token);
    const stored = (await dump('login_links')) + (await dump('sessions'));
    expect(stored).toContain(hashSecret(link.token));
    expect(stored).toContain(hashSecret(session.token));
    for (const { token } of [link, session]) expect(stored).not.toContain(token);
  });

  test('a link lasts ten minutes and its session thirty days', async () => {
    const before = Date.now();
    const link = await createLoginLink(s, actor);
    const session = await redeemLoginLink(s, link.token);
    const minutes = (time: Date) => Math.round((time.getTime() - before) / 60_000);
    expect(minutes(link.expiresAt)).toBe(10);
    expect(minutes(session.expiresAt)).toBe(30 * 24 * 60);
  });

  test('a session belongs to the project that its link was made for', async () => {
    const session = await redeemLoginLink(s, (await createLoginLink(s, stranger)).token);
    expect(session.actor).toEqual({ projectId: stranger.projectId, keyId: null });
    expect(await verifySession(s, session.token)).toEqual(session.actor);
  });

  test('a link that was used makes no second session', async () => {
    const { token } = await createLoginLink(s, actor);
    await redeemLoginLink(s, token);
    const before = await s.db.session.count();
    await expect(redeemLoginLink(s, token)).rejects.toMatchObject({ code: 'forbidden' });
    expect(await s.db.session.count()).toBe(before);
  });

  test.each(['', 'nothing', `${'x'.repeat(10_000)}`, "' OR 1=1 --"])(
    '%.20j is neither link nor session',
    async (token) => {
      await expect(redeemLoginLink(s, token)).rejects.toMatchObject({ code: 'forbidden' });
      await expect(verifySession(s, token)).rejects.toMatchObject({ code: 'invalid_api_key' });
    },
  );
});

test('the default project keeps its id when another process asks for it', async () => {
  const other = await inAnotherProcess(ensureDefaultProject);
  expect(other).toEqual({ id: actor.projectId, name: 'default' });
});
