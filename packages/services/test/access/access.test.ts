import { testServices } from '@moraine/testing';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  type Actor,
  checkLoginLink,
  createApiKey,
  createLoginLink,
  endSessions,
  ensureDefaultProject,
  openServices,
  redeemLoginLink,
  revokeApiKey,
  type Services,
  verifyApiKey,
  verifySession,
} from '../../src/index.js';

const t = await testServices();
afterAll(() => t.close());
const s: Services = t.services;
let actor: Actor;
beforeAll(async () => {
  actor = { projectId: (await ensureDefaultProject(s)).id, keyId: null };
});

test('twenty askers at once get the same default project', async () => {
  const projects = await Promise.all(Array.from({ length: 20 }, () => ensureDefaultProject(s)));
  expect(new Set(projects.map((project) => project.id)).size).toBe(1);
});

describe('API keys', () => {
  test('a key opens its project and is stored only as its hash', async () => {
    const { id, key, hint } = await createApiKey(s, actor, { name: 'laptop' });
    expect(key).toMatch(/^mk-[\w-]{43}$/);
    expect(await verifyApiKey(s, key)).toEqual({ projectId: actor.projectId, keyId: id });
    const { rows } = await s.pg.query('SELECT * FROM api_keys WHERE id = $1', [id]);
    expect(JSON.stringify(rows)).not.toContain(key.slice(8));
    expect(rows[0].hash).toMatch(/^[0-9a-f]{64}$/);
    expect(key.startsWith(hint.slice(0, -1))).toBe(true);
  });

  test('an unknown key, a truncated one and the stored hash itself are refused', async () => {
    const { id, key } = await createApiKey(s, actor, { name: 'other' });
    const { hash } = await s.db.apiKey.findUniqueOrThrow({ where: { id } });
    for (const wrong of ['', 'mk-nothing', key.slice(0, -1), hash]) {
      await expect(verifyApiKey(s, wrong)).rejects.toMatchObject({ code: 'invalid_api_key', status: 401 });
    }
  });

  test('a chosen key that could be guessed is refused, and a good one opens the project', async () => {
    for (const key of ['mk-short', `sk-${'a'.repeat(40)}`, `mk-${'a'.repeat(31)}`, `mk-${'a b'.repeat(20)}`])
      await expect(createApiKey(s, actor, { name: 'chosen', key })).rejects.toMatchObject({ code: 'invalid_value' });
    const { key } = await createApiKey(s, actor, { name: 'chosen', key: `mk-${'0123456789abcdef'.repeat(2)}` });
    expect(await verifyApiKey(s, key)).toMatchObject({ projectId: actor.projectId });
  });

  test('a revoked key is refused where it was not seen lately', async () => {
    const { id, key } = await createApiKey(s, actor, { name: 'lost laptop' });
    await verifyApiKey(s, key);
    await revokeApiKey(s, actor, id);
    await expect(revokeApiKey(s, actor, id)).rejects.toMatchObject({ code: 'not_found' });
    const elsewhere = await openServices({
      databaseUrl: t.databaseUrl,
      redisUrl: t.redisUrl,
      blobsDir: t.blobsDir,
      log: s.log,
    });
    await expect(verifyApiKey(elsewhere, key)).rejects.toMatchObject({ code: 'invalid_api_key' });
    await elsewhere.close();
  });
});

describe('login links', () => {
  test('of twenty browsers that follow a link one gets a session', async () => {
    const { token } = await createLoginLink(s, actor);
    const tries = await Promise.allSettled(Array.from({ length: 20 }, () => redeemLoginLink(s, token)));
    const sessions = tries.filter((one) => one.status === 'fulfilled').map((one) => one.value);
    expect(sessions).toHaveLength(1);
    expect(await verifySession(s, sessions[0]?.token ?? '')).toEqual({ projectId: actor.projectId, keyId: null });
    const refused = tries.find((one) => one.status === 'rejected');
    expect(refused?.reason).toMatchObject({ code: 'forbidden', status: 403 });
  });

  test('a link older than its ten minutes and a session older than its month are refused', async () => {
    const { token } = await createLoginLink(s, actor);
    await s.db.loginLink.updateMany({ data: { expiresAt: new Date(Date.now() - 1) } });
    await expect(redeemLoginLink(s, token)).rejects.toMatchObject({ code: 'forbidden' });
    const session = await redeemLoginLink(s, (await createLoginLink(s, actor)).token);
    await s.db.session.updateMany({ data: { expiresAt: new Date(Date.now() - 1) } });
    await expect(verifySession(s, session.token)).rejects.toMatchObject({ code: 'invalid_api_key' });
  });

  test('a link is looked at as often as one likes before it is redeemed, and not after', async () => {
    const { token } = await createLoginLink(s, actor);
    for (const _ of [1, 2]) await checkLoginLink(s, token);
    await redeemLoginLink(s, token);
    await expect(checkLoginLink(s, token)).rejects.toMatchObject({ code: 'forbidden' });
  });

  test('sessions end one by one, or all of a project, and never those of another', async () => {
    const sessions = await Promise.all(
      [1, 2, 3].map(async () => (await redeemLoginLink(s, (await createLoginLink(s, actor)).token)).token),
    );
    const [first = '', second = ''] = sessions;
    const stranger = { projectId: 'proj_other', keyId: null };
    expect([await endSessions(s, stranger, first), await endSessions(s, stranger, null)]).toEqual([0, 0]);
    expect(await endSessions(s, actor, first)).toBe(1);
    await expect(verifySession(s, first)).rejects.toMatchObject({ code: 'invalid_api_key' });
    expect(await verifySession(s, second)).toMatchObject({ projectId: actor.projectId });
    expect(await endSessions(s, actor, null)).toBeGreaterThanOrEqual(2);
    await expect(verifySession(s, second)).rejects.toMatchObject({ code: 'invalid_api_key' });
  });

  test('a link does not serve as a session, nor a session as a link', async () => {
    const link = await createLoginLink(s, actor);
    await expect(verifySession(s, link.token)).rejects.toMatchObject({ code: 'invalid_api_key' });
    const session = await redeemLoginLink(s, link.token);
    await expect(redeemLoginLink(s, session.token)).rejects.toMatchObject({ code: 'forbidden' });
  });
});
