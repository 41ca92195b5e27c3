#!/usr/bin/env node
// Prisma's schema engine over WASM: the arguments and the JSON-RPC lines on stdio of the native `schema-engine`, answered by
// @prisma/schema-engine-wasm on @prisma/adapter-pg. prisma.config.ts points PRISMA_SCHEMA_ENGINE_BINARY here, because the native
// engine is a download that many networks refuse. Written against prisma 7.10.0; each trap below was met there.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import readline from 'node:readline';
import { PrismaPg } from '@prisma/adapter-pg';
import { bindMigrationAwareSqlAdapterFactory, ColumnTypeEnum } from '@prisma/driver-adapter-utils';
import pg from 'pg';

const args = process.argv.slice(2);
const valuesOf = (flag) => args.flatMap((arg, i) => (arg === flag ? [args[i + 1]] : []));
const quote = (name) => `"${name.replaceAll('"', '""')}"`;
const say = (message) => process.stdout.write(`${JSON.stringify(message)}\n`);

if (args.includes('--version')) {
  console.log('schema-engine-cli wasm');
  process.exit(0);
}
const datasourceJson = valuesOf('--datasource')[0];
const databaseUrl = datasourceJson ? JSON.parse(datasourceJson).url : undefined;

/** Prisma's URLs carry parameters that pg does not know. */
function parseUrl(text) {
  const url = new URL(text);
  const schema = url.searchParams.get('schema') ?? undefined;
  for (const key of ['schema', 'connection_limit', 'pool_timeout', 'pgbouncer']) url.searchParams.delete(key);
  return { url, schema, database: decodeURIComponent(url.pathname.slice(1)) };
}

async function withClient(url, use) {
  const client = new pg.Client({ connectionString: url.toString() });
  await client.connect();
  try {
    return await use(client);
  } finally {
    await client.end();
  }
}

/** Runs one statement on the server's own database, where others can be created and dropped. */
async function administer(sql) {
  const { url } = parseUrl(databaseUrl);
  url.pathname = '/postgres';
  await withClient(url, (client) => client.query(sql));
}
const createDatabase = (name) => administer(`CREATE DATABASE ${quote(name)}`);
const dropDatabase = (name) => administer(`DROP DATABASE IF EXISTS ${quote(name)} WITH (FORCE)`);

/** The engine's one-shot commands: status 0, or a log line with Prisma's error code on stderr. */
async function runCommand(command) {
  const { url, database } = parseUrl(databaseUrl);
  try {
    if (command === 'can-connect-to-database') await withClient(url, async () => undefined);
    else if (command === 'create-database') await createDatabase(database);
    else if (command === 'drop-database') await dropDatabase(database);
    process.exit(0);
  } catch (error) {
    const error_code = { '3D000': 'P1003', '28P01': 'P1000' }[error.code] ?? 'P1001';
    const fields = { error_code, message: error.message };
    const line = { timestamp: new Date().toISOString(), level: 'ERROR', fields, target: 'schema_engine::logger' };
    process.stderr.write(`\n${JSON.stringify(line)}\n`);
    process.exit(1);
  }
}

async function loadEngine() {
  const dir = path.dirname(createRequire(import.meta.url).resolve('@prisma/schema-engine-wasm'));
  const glue = await import(path.join(dir, 'schema_engine_bg.js'));
  const module = new WebAssembly.Module(readFileSync(path.join(dir, 'schema_engine_bg.wasm')));
  const instance = new WebAssembly.Instance(module, { './schema_engine_bg.js': glue });
  glue.__wbg_set_wasm(instance.exports);
  instance.exports.__wbindgen_start();
  return glue;
}

/**
 * adapter-pg does not know the catalogue types "char" (18), name[] (1003), int2vector (22), regclass and their like, which the
 * engine asks for: they are read as text, and "char" is reported to the engine as a character. Patches the adapters' prototype once.
 */
function readCatalogueTypes(adapter) {
  const CHAR = 18;
  const AS_TEXT = new Map([CHAR, 22, 24, 30, 2205, 2206, 4089].map((oid) => [oid, 25]).concat([[1003, 1009]]));
  const proto = Object.getPrototypeOf(Object.getPrototypeOf(adapter));
  if (proto.readsCatalogueTypes) return;
  proto.readsCatalogueTypes = true;
  const { performIO, queryRaw } = proto;
  proto.performIO = async function (...query) {
    const result = await performIO.apply(this, query);
    if (!result?.fields) return result;
    result.areChars = result.fields.map((field) => field.dataTypeID === CHAR);
    for (const field of result.fields) field.dataTypeID = AS_TEXT.get(field.dataTypeID) ?? field.dataTypeID;
    return result;
  };
  proto.queryRaw = async function (query) {
    let result;
    const io = async (asked) => {
      result = await this.performIO.call(this, asked);
      return result;
    };
    const rows = await queryRaw.call(Object.create(this, { performIO: { value: io } }), query);
    rows.columnTypes = rows.columnTypes.map((type, i) => (result.areChars[i] ? ColumnTypeEnum.Character : type));
    return rows;
  };
}

/** adapter-pg splits scripts at each `;`, which breaks functions, triggers and DO blocks: they are sent whole. */
function fix(adapter) {
  readCatalogueTypes(adapter);
  adapter.executeScript = async (script) => {
    try {
      await adapter.underlyingDriver().query(script);
    } catch (error) {
      adapter.onError(error);
    }
  };
  return adapter;
}

/** Connections of the request in hand, answered with the factory that opens them: idle in a pool they would keep the engine's advisory lock. */
function openFactory(opened) {
  const { url, schema, database } = parseUrl(databaseUrl);
  // Fields, not a connectionString: with one, connectToShadowDb() connects to the main database.
  const config = {
    host: url.searchParams.get('host') ?? url.hostname,
    port: Number(url.port || 5432),
    user: decodeURIComponent(url.username),
    password: decodeURIComponent(url.password),
    database,
    ssl: ['require', 'verify-full'].includes(url.searchParams.get('sslmode')) || undefined,
    max: 4,
  };
  const factory = new PrismaPg(config, { schema });
  const connect = factory.connect.bind(factory);
  factory.connect = async () => {
    const adapter = fix(await connect());
    opened.push(adapter);
    return adapter;
  };
  // adapter-pg drops the shadow database while its pool still has a session there; here the session ends first.
  factory.connectToShadowDb = async () => {
    const name = `prisma_migrate_shadow_db_${crypto.randomUUID()}`;
    await createDatabase(name);
    const adapter = fix(await new PrismaPg({ ...config, database: name }).connect());
    const dispose = adapter.dispose.bind(adapter);
    adapter.dispose = async () => {
      await dispose();
      await dropDatabase(name);
    };
    return adapter;
  };
  return bindMigrationAwareSqlAdapterFactory(factory);
}

/** Responds to JSON-RPC requests, one a line, until stdin ends. */
function serve(wasm) {
  const files = valuesOf('--datamodels').map((file) => [file, readFileSync(file, 'utf8')]);
  const datamodels = files.length > 0 ? files : undefined;
  readline
    .createInterface({ input: process.stdin })
    .on('line', async (line) => {
      const request = JSON.parse(line);
      if (!request.method) return; // the CLI acknowledges our `print`
      const opened = [];
      // A fresh engine each time: one that has used a shadow database cannot use a second.
      const newEngine = () => wasm.SchemaEngine.new({ datamodels }, () => undefined, openFactory(opened));
      let response;
      try {
        const result = await perform(request, newEngine);
        if (request.method === 'diff' && result.stdout != null) {
          say({ id: 1e9, jsonrpc: '2.0', method: 'print', params: { content: result.stdout } });
        }
        response = { id: request.id, jsonrpc: '2.0', result: result ?? {} };
      } catch (error) {
        response = { id: request.id, jsonrpc: '2.0', error: toRpcError(error) };
      }
      for (const adapter of opened) await adapter.dispose().catch(() => undefined);
      say(response);
    })
    .on('close', () => process.exit(0));
}

async function perform({ method, params }, newEngine) {
  if (method === 'createDatabase') {
    const { database } = parseUrl(databaseUrl);
    await createDatabase(database);
    return { databaseName: database };
  }
  const engine = await newEngine();
  if (method === 'getDatabaseVersion') return engine.version(params);
  // These two are not handed the shadow database's factory; devDiagnostic on the same engine leaves what they need.
  if (method === 'evaluateDataLoss' || method === 'createMigration') {
    await engine.devDiagnostic({ migrationsList: params.migrationsList, filters: params.filters });
  }
  return engine[method](params);
}

function toRpcError(error) {
  const details = parseJson(error.message) ?? {};
  const data = {
    is_panic: false,
    message: details.message ?? error.message ?? String(error),
    error_code: error.code ?? details.error_code ?? details.code ?? null,
    meta: error.meta ?? details.meta ?? null,
  };
  return { code: 4466, message: 'An error happened. Check the data field for details.', data };
}

function parseJson(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

if (args.includes('cli')) await runCommand(args[args.indexOf('cli') + 1]);
else serve(await loadEngine());
