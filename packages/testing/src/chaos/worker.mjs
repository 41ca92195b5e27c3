// A whole worker, as its program starts one, with shorter leases and a program in place of training.
import { openServices } from '@moraine/services';
import { openLog, startWorker } from '@moraine/worker';

const { servers, ...settings } = JSON.parse(process.argv[2]);
const log = openLog({ name: settings.name, logLevel: 'info', logFormat: 'json' });
const s = await openServices({ ...servers, log, patience: 'work' });
const worker = startWorker(s, settings, log);
process.on('SIGTERM', () =>
  worker
    .drain()
    .then(() => s.close())
    .then(() => process.exit(0)),
);
await worker.ended;
process.exit(1);
