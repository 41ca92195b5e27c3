export { openLog } from './log.js';
export { type RunningWorker, startWorker, type WorkerSettings } from './supervisor.js';
