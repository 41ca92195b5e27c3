#!/usr/bin/env node
// A stand-in for Prisma's native `schema-engine`: same argv + JSON-RPC-over-stdio protocol,
// backed by @prisma/schema-engine-wasm + @prisma/adapter-pg. Point PRISMA_SCHEMA_ENGINE_BINARY at it.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import readline from 'node:readline';
import path from 'node:path';
import pg from 'pg';
import { PrismaPg } from '@prisma/adapter-pg';
import { bindMigrationAwareSqlAdapterFactory, ColumnTypeEnum } from '@prisma/driver-adapter-utils';

const argv = process.argv.slice(2);
const all = (f) => argv.flatMap((a, i) => (a === f ? [argv[i + 1]] : []));
if (argv.includes('--version')) { console.log('schema-engine-cli wasm'); process.exit(0); }
const ds = all('--datasource')[0] ? JSON.parse(all('--datasource')[0]) : {};
const log = (level, fields) => process.stderr.write(JSON.stringify({ timestamp: new Date().toISOString(), level, fields, target: 'schema_engine::logger' }) + '\n');

// Prisma URLs carry ?schema=... which libpq/pg do not know
function parse(url) {
  const u = new URL(url);
  const schema = u.searchParams.get('schema') ?? undefined;
  for (const k of ['schema', 'connection_limit', 'pool_timeout', 'pgbouncer']) u.searchParams.delete(k);
  return { connectionString: u.toString(), schema, db: decodeURIComponent(u.pathname.slice(1)), u };
}
async function admin(url, fn) {
  const { u } = parse(url); u.pathname = '/postgres';
  const c = new pg.Client({ connectionString: u.toString() }); await c.connect();
  try { return await fn(c); } finally { await c.end(); }
}
const q = (s) => '"' + s.replaceAll('"', '""') + '"';

// adapter-pg's executeScript splits on ';' — that breaks functions/triggers/DO blocks. Send the script whole.
// adapter-pg has no mapping for the catalog types "char" (18), name[] (1003), int2vector (22), regclass & co.
const AS_TEXT = new Set([18, 22, 24, 30, 1003, 2205, 2206, 4089]);
let patched = false;
function patchTypes(a) {
  if (patched) return; patched = true;
  const proto = Object.getPrototypeOf(Object.getPrototypeOf(a)); // PgQueryable
  const orig = proto.performIO, raw = proto.queryRaw;
  proto.performIO = async function (...x) {
    const r = await orig.apply(this, x);
    if (r?.fields) { r.chars = r.fields.map((f) => f.dataTypeID === 18); for (const f of r.fields) if (AS_TEXT.has(f.dataTypeID)) f.dataTypeID = f.dataTypeID === 1003 ? 1009 : 25; }
    return r;
  };
  proto.queryRaw = async function (query) {
    const io = this.performIO; let r;
    const self = Object.create(this, { performIO: { value: async (q) => (r = await io.call(this, q)) } });
    const res = await raw.call(self, query);
    res.columnTypes = res.columnTypes.map((t, i) => (r.chars[i] ? ColumnTypeEnum.Character : t)); return res;
  };
}
const fix = (a) => { patchTypes(a); a.executeScript = async (s) => { try { await a.underlyingDriver().query(s); } catch (e) { a.onError(e); } }; return a; };
const open = []; // adapters to close after each request: the advisory lock is session-wide and would linger in an idle pool
function factory(url) {
  const { u, db, schema } = parse(url);
  // discrete fields, not connectionString: with one, adapter-pg's connectToShadowDb() reconnects to the MAIN database
  const sock = u.searchParams.get('host');
  const cfg = { host: sock ?? u.hostname, port: Number(u.port || 5432), user: decodeURIComponent(u.username), password: decodeURIComponent(u.password), database: db, ssl: ['require', 'verify-full'].includes(u.searchParams.get('sslmode')) || undefined, max: 4 };
  const f = new PrismaPg(cfg, { schema });
  const c = f.connect.bind(f);
  f.connect = async () => { const a = fix(await c()); open.push(a); return a; };
  // adapter-pg's own version drops the database while its pool still holds a session on it: do it in the right order
  f.connectToShadowDb = async () => {
    const name = `prisma_migrate_shadow_db_${crypto.randomUUID()}`;
    await admin(url, (x) => x.query(`CREATE DATABASE ${q(name)}`));
    const a = fix(await new PrismaPg({ ...cfg, database: name }).connect()), end = a.dispose.bind(a);
    a.dispose = async () => { await end(); await admin(url, (x) => x.query(`DROP DATABASE IF EXISTS ${q(name)} WITH (FORCE)`)); };
    return a;
  };
  return bindMigrationAwareSqlAdapterFactory(f);
}
const wasm = await (async () => {
  const req = createRequire(import.meta.url);
  const dir = path.dirname(req.resolve('@prisma/schema-engine-wasm'));
  const glue = await import(path.join(dir, 'schema_engine_bg.js'));
  const m = new WebAssembly.Module(readFileSync(path.join(dir, 'schema_engine_bg.wasm')));
  const inst = new WebAssembly.Instance(m, { './schema_engine_bg.js': glue });
  glue.__wbg_set_wasm(inst.exports); inst.exports.__wbindgen_start(); return glue;
})();

if (argv.includes('cli')) {
  const cmd = argv[argv.indexOf('cli') + 1];
  try {
    if (cmd === 'can-connect-to-database') { const c = new pg.Client({ connectionString: parse(ds.url).connectionString }); await c.connect(); await c.end(); }
    else if (cmd === 'create-database') await admin(ds.url, (c) => c.query(`CREATE DATABASE ${q(parse(ds.url).db)}`));
    else if (cmd === 'drop-database') await admin(ds.url, (c) => c.query(`DROP DATABASE IF EXISTS ${q(parse(ds.url).db)} WITH (FORCE)`));
    process.exit(0);
  } catch (e) {
    const code = e.code === '3D000' ? 'P1003' : e.code === '28P01' ? 'P1000' : 'P1001';
    process.stderr.write('\n'); log('ERROR', { error_code: code, message: e.message }); process.exit(1);
  }
}
const datamodels = all('--datamodels').map((p) => [p, readFileSync(p, 'utf8')]);
// a fresh engine per request: a second shadow-database use on one engine fails
const get = () => wasm.SchemaEngine.new({ datamodels: datamodels.length ? datamodels : undefined }, () => {}, factory(ds.url));
readline.createInterface({ input: process.stdin }).on('line', async (line) => {
  const r = JSON.parse(line); let out;
  if (!r.method) return; // the CLI's acknowledgement of our own `print`
  try {
    let res;
    if (r.method === 'createDatabase') { await admin(ds.url, (c) => c.query(`CREATE DATABASE ${q(parse(ds.url).db)}`)); res = { databaseName: parse(ds.url).db }; }
    else if (r.method === 'getDatabaseVersion') res = await (await get()).version(r.params);
    else {
      const e = await get();
      // evaluateDataLoss is not handed the shadow-database factory; devDiagnostic on the same engine fills its cache
      if (['evaluateDataLoss', 'createMigration'].includes(r.method)) await e.devDiagnostic({ migrationsList: r.params.migrationsList, filters: r.params.filters });
      res = await e[r.method](r.params);
    }
    if (r.method === 'diff' && res.stdout != null) { process.stdout.write(JSON.stringify({ id: 1e9, jsonrpc: '2.0', method: 'print', params: { content: res.stdout } }) + '\n'); }
    out = { id: r.id, jsonrpc: '2.0', result: res ?? {} };
  } catch (e) {
    let d = {}; try { d = JSON.parse(e.message) } catch {}
    const code = e.code ?? d.error_code ?? d.code;
    out = { id: r.id, jsonrpc: '2.0', error: { code: 4466, message: 'An error happened. Check the data field for details.', data: { is_panic: false, message: d.message ?? e.message ?? String(e), error_code: code ?? null, meta: e.meta ?? d.meta ?? null } } };
  }
  for (const a of open.splice(0)) await a.dispose().catch(() => {});
  process.stdout.write(JSON.stringify(out) + '\n');
}).on('close', () => process.exit(0));
