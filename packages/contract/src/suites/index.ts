export { type Metric, metricOf } from './metrics.js';
export { EvaluationFigure, EvaluationItem, EvaluationSummary } from './results.js';
export { type Evaluator, PLAIN_SUITE, SUITES, type Suite } from './suites.js';
export { perItem, summarise } from './summarise.js';
