export { freePort, isPortFree } from './ports.js';
export { type PostgresOptions, type RunningServer, startPostgres } from './postgres.js';
export { findPostgres } from './postgres-binaries.js';
export { endProcess, identify, isRunning, type ProcessId, waitForEnd } from './processes.js';
export { findRedis, type RedisOptions, startRedis } from './redis.js';
export { runningStack } from './stack-file.js';
