import { ACCESS_ROUTES } from './access.js';
import { ANALYSIS_ROUTES } from './analyses.js';
import { EVALUATION_ROUTES } from './evaluations.js';
import { EXPERIMENT_ROUTES } from './experiments.js';
import { FILE_ROUTES } from './files.js';
import { FINE_TUNING_ROUTES } from './fine-tuning.js';
import { MODEL_ROUTES } from './models.js';
import { RUN_ROUTES } from './runs.js';
import { SERVING_ROUTES } from './serving.js';
import { WEBHOOK_ROUTES } from './webhooks.js';
import { WORKER_ROUTES } from './workers.js';

export { DownloadBaseRequest } from './models.js';
export type { Route } from './route.js';

/** The HTTP surface as data: the server registers it, the client calls it, the OpenAPI document is made from it. */
export const ROUTES = {
  ...FILE_ROUTES,
  ...FINE_TUNING_ROUTES,
  ...MODEL_ROUTES,
  ...SERVING_ROUTES,
  ...RUN_ROUTES,
  ...EVALUATION_ROUTES,
  ...ANALYSIS_ROUTES,
  ...EXPERIMENT_ROUTES,
  ...WORKER_ROUTES,
  ...WEBHOOK_ROUTES,
  ...ACCESS_ROUTES,
};

export type RouteName = keyof typeof ROUTES;
