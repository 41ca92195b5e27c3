// The API as its program starts it, with shorter leases.
import { createLog, readEnv, startServer } from '@moraine/api';

const env = readEnv();
const log = createLog(env);
const server = await startServer(env, log, { leaseMs: Number(process.argv[2]) });
process.on('SIGTERM', () => server.close().then(() => process.exit(0)));
