export { combineSamples } from './combine-samples.js';
export { type Metric, metricOf } from './metrics.js';
export { EvaluationFigure, EvaluationItem, EvaluationSummary } from './results.js';
export { resolveSampling, SAMPLES_MAX, Sampling, SamplingRequest } from './sampling.js';
export { type Evaluator, PLAIN_SUITE, SUITES, type Suite } from './suites.js';
export { perItem, summarise } from './summarise.js';
