import { EVALUATION_ROUTES } from '@moraine/contract/routes/evaluations';
import { clientOf } from './client.js';

/** Comes with the pages of evaluations. */
export const evaluationClient = clientOf(EVALUATION_ROUTES);
