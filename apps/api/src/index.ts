export { buildApp } from './app.js';
export { type ApiEnv, readEnv } from './env.js';
export { createLog } from './log.js';
export { type ApiServer, startServer } from './server.js';
