import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { get, type IncomingHttpHeaders } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createLoginLink } from '@moraine/services';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startApi, type TestApi } from './support.js';

const PAGE = '<!doctype html><script>document.title = 1</script><script src="/assets/a-1.js"></script><p>Moraine</p>';
const asBrowser = { key: null, headers: { accept: 'text/html,application/xhtml+xml,*/*;q=0.8' } };

let dir: string;
let api: TestApi;
let bare: TestApi;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'moraine-dashboard-'));
  await mkdir(join(dir, 'assets'));
  await writeFile(join(dir, 'index.html'), PAGE);
  await writeFile(join(dir, 'assets', 'a-1.js'), 'export {}');
  api = await startApi({ dashboardDir: dir });
  bare = await startApi();
});
afterAll(async () => {
  await Promise.all([api.close(), bare.close()]);
  await rm(dir, { recursive: true });
});

describe('the dashboard', () => {
  it.each(['/', '/runs', '/runs/ftjob-1?tab=logs'])('comes as its page at %s, never cached', async (path) => {
    const page = await api.ask('GET', path, asBrowser);
    expect([page.status, page.text, page.headers.get('cache-control')]).toEqual([200, PAGE, 'no-cache']);
  });

  it('keeps hashed assets for ever, and does not answer the page for one that is gone', async () => {
    const asset = await api.ask('GET', '/assets/a-1.js', { key: null });
    expect(asset.headers.get('cache-control')).toBe('public, max-age=31536000, immutable');
    expect((await api.ask('GET', '/assets/b-2.js', asBrowser)).status).toBe(404);
  });

  it('does not hide unknown API paths, nor answer a page to programs', async () => {
    expect((await api.ask('GET', '/v1/nothing', asBrowser)).json.error.code).toBe('route_not_found');
    expect((await api.ask('GET', '/nothing', { key: null })).json.error.code).toBe('route_not_found');
    expect((await api.ask('POST', '/runs', asBrowser)).status).toBe(404);
  });

  it('does not give away files beside it', async () => {
    await writeFile(join(dir, '..', 'moraine-secret'), 'TOPSECRET');
    for (const path of ['/..%2fmoraine-secret', '/%2e%2e/moraine-secret', '/assets/..%2f..%2fmoraine-secret', '/.env'])
      expect((await api.ask('GET', path, { key: null })).text).not.toContain('TOPSECRET');
    await rm(join(dir, '..', 'moraine-secret'));
  });

  it('says in plain text that it is not built, while the API works', async () => {
    const page = await bare.ask('GET', '/', asBrowser);
    expect([page.status, page.headers.get('content-type')]).toEqual([503, 'text/plain; charset=utf-8']);
    expect(page.text).toMatch(/npm run build/);
    expect((await bare.ask('GET', '/runs', asBrowser)).text).toMatch(/npm run build/);
    expect((await bare.ask('GET', '/v1/models')).status).toBe(200);
  });

  it('may run its own scripts only, and may be used over plain HTTP', async () => {
    const { headers } = await api.ask('GET', '/', asBrowser);
    const policy = headers.get('content-security-policy') ?? '';
    expect(policy).toMatch(/script-src 'self' 'sha256-[\w+/=]{44}'(;|$)/);
    expect(policy).not.toContain('upgrade-insecure-requests');
    expect(headers.get('strict-transport-security')).toBeNull();
    expect(headers.get('x-content-type-options')).toBe('nosniff');
    const docs = await api.ask('GET', '/docs/', asBrowser);
    expect([docs.status, docs.headers.get('content-security-policy')]).toEqual([200, policy]);
  });
});

describe('a login link', () => {
  const look = async (url: string, method = 'GET') =>
    api.ask(method, new URL(url).pathname + new URL(url).search, asBrowser);
  /** Presses the button of the page that a link shows. */
  const redeem = async (url: string, headers: Record<string, string> = { origin: api.url }) => {
    const body = new URLSearchParams({ token: new URL(url).searchParams.get('token') ?? '' }).toString();
    const type = { 'content-type': 'application/x-www-form-urlencoded' };
    return api.ask('POST', '/login', { key: null, headers: { ...asBrowser.headers, ...type, ...headers }, body });
  };
  const createLink = async () => (await api.ask('POST', '/v1/login_links')).json.url;
  const signIn = async () => (await redeem(await createLink())).headers.get('set-cookie')?.split(';')[0] ?? '';
  const models = async (cookie: string) =>
    (await api.ask('GET', '/v1/models', { key: null, headers: { cookie } })).status;

  it('opens one browser once, with a cookie that scripts cannot read', async () => {
    const url = await createLink();
    expect(url).toMatch(new RegExp(`^${api.url}/login\\?token=`));
    const first = await redeem(url);
    expect([first.status, first.headers.get('location')]).toEqual([303, '/']);
    const cookie = first.headers.get('set-cookie') ?? '';
    expect(cookie).toMatch(/; HttpOnly/);
    expect(cookie).toMatch(/; SameSite=Strict/);
    expect(await models(cookie.split(';')[0] ?? '')).toBe(200);

    const second = await redeem(url);
    expect([second.status, second.headers.get('content-type')]).toEqual([410, 'text/html; charset=utf-8']);
    expect(second.text).toMatch(/npx moraine login/);
    expect(second.headers.get('set-cookie')).toBeNull();
    expect((await look(url)).status).toBe(410);
  });

  it('is not used up by a HEAD, a GET or a link preview, which see a page with a form', async () => {
    const url = await createLink();
    for (const method of ['HEAD', 'GET', 'GET', 'HEAD']) {
      const seen = await look(url, method);
      expect([seen.status, seen.headers.get('set-cookie')]).toEqual([200, null]);
      expect(seen.headers.get('cache-control')).toBe('no-store');
    }
    expect((await look(url)).text).toMatch(/<form method="post" action="\/login">.*name="token"/);
    expect((await redeem(url)).status).toBe(303);
  });

  it('is not redeemed by the page of another origin', async () => {
    const url = await createLink();
    for (const origin of ['http://127.0.0.1:9', 'null']) {
      const refused = await redeem(url, { origin });
      expect([refused.status, refused.headers.get('set-cookie')]).toEqual([403, null]);
    }
    expect((await redeem(url)).status).toBe(303);
  });

  it('that has run out says so on a small page', async () => {
    const { token } = await createLoginLink(api.services, { projectId: api.projectId, keyId: null });
    await api.services.db.loginLink.updateMany({ data: { expiresAt: new Date(0) } });
    const page = await look(`${api.url}/login?token=${token}`);
    expect([page.status, page.text.includes('does not work any more')]).toEqual([410, true]);
    expect((await look(`${api.url}/login?token=%3Cb%3E`)).text).not.toContain('<b>');
    expect((await redeem(`${api.url}/login?token=${token}`)).status).toBe(410);
    expect((await look(`${api.url}/login`)).status).toBe(410);
  });

  it('lets pages of other origins change nothing with the session', async () => {
    const cookie = await signIn();
    const post = (origin: string) => api.ask('POST', '/v1/login_links', { key: null, headers: { cookie, origin } });
    expect((await post('http://127.0.0.1:9')).json.error.code).toBe('forbidden');
    expect((await post(api.url)).status).toBe(200);
  });

  it('is undone by signing out: a browser ends its own session, a key all of its project', async () => {
    const [one, two, three] = [await signIn(), await signIn(), await signIn()];
    const signOut = (headers: Record<string, string>) => api.ask('DELETE', '/v1/sessions', { key: null, headers });
    const out = await signOut({ cookie: one, origin: api.url });
    expect(out.json).toEqual({ object: 'sign_out', ended: 1 });
    expect(out.headers.get('set-cookie')).toMatch(/^moraine_session=; .*Expires=Thu, 01 Jan 1970/);
    expect(await Promise.all([one, two, three].map(models))).toEqual([401, 200, 200]);
    expect((await signOut({ authorization: `Bearer ${await api.foreignKey()}` })).json).toMatchObject({ ended: 0 });
    expect((await signOut({ authorization: `Bearer ${api.key}`, cookie: two })).status).toBe(200);
    expect(await Promise.all([two, three].map(models))).toEqual([401, 401]);
  });
});

describe('answers over the wire', () => {
  const raw = (path: string, headers: Record<string, string>) =>
    new Promise<{ headers: IncomingHttpHeaders; bytes: number }>((resolve, reject) => {
      get(api.url + path, { headers: { authorization: `Bearer ${api.key}`, ...headers } }, (response) => {
        let bytes = 0;
        response.on('data', (chunk: Buffer) => {
          bytes += chunk.length;
        });
        response.on('end', () => resolve({ headers: response.headers, bytes }));
      }).on('error', reject);
    });

  it('are compressed where they are text, as the caller can read it', async () => {
    const plain = await raw('/openapi.json', {});
    expect(plain.headers['content-encoding']).toBeUndefined();
    for (const encoding of ['br', 'gzip']) {
      const packed = await raw('/openapi.json', { 'accept-encoding': encoding });
      expect(packed.headers).toMatchObject({
        'content-encoding': encoding,
        vary: expect.stringMatching(/accept-encoding/i),
      });
      expect(packed.bytes).toBeLessThan(plain.bytes / 4);
    }
  });

  it('take what was compressed when the dashboard was built', async () => {
    await writeFile(join(dir, 'assets', 'a-1.js.br'), 'as it was built');
    const packed = await raw('/assets/a-1.js', { 'accept-encoding': 'br' });
    expect(packed).toMatchObject({
      bytes: 'as it was built'.length,
      headers: {
        'content-encoding': 'br',
        'content-type': expect.stringMatching(/javascript/),
        'cache-control': 'public, max-age=31536000, immutable',
      },
    });
  });

  it('say in a 304 only what a browser needs: no policy for pages', async () => {
    const first = await raw('/v1/runs', {});
    const again = await raw('/v1/runs', { 'if-none-match': first.headers.etag ?? '' });
    expect([first.headers.etag?.slice(0, 3), again.bytes]).toEqual(['W/"', 0]);
    expect(again.headers['content-security-policy']).toBeUndefined();
    expect(again.headers['x-content-type-options']).toBe('nosniff');
    expect(Object.entries(again.headers).join().length).toBeLessThan(420);
  });
});
