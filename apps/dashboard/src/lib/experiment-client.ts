import { EXPERIMENT_ROUTES } from '@moraine/contract/routes/experiments';
import { clientOf } from './client.js';

/** Comes with the pages of experiments. */
export const experimentClient = clientOf(EXPERIMENT_ROUTES);
