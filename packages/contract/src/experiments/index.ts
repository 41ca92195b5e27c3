export { FORMAT_TYPES, type ResultFormat } from '../result-text.js';
export {
  type AshaSearch,
  ashaStep,
  type Promotion,
  planRungs,
  promotions,
  type RungPlan,
  type RungRun,
  type RungScore,
  rungRuns,
  rungsOf,
} from './asha.js';
export {
  type ComparedArm,
  type ComparedRun,
  type Comparison,
  FACTORS,
  type Factor,
  type NotComparable,
} from './comparison.js';
export { countsItems, type DialScore, itemScores, nextDial } from './dial.js';
export { type MatchedArm, matchParameters } from './match.js';
export {
  type ArmPlan,
  type ArmState,
  type Cell,
  type CellOutcome,
  cellKey,
  type NextStep,
  nextStep,
  type SeedPlan,
} from './next.js';
export { notComparable, yardstickLabel } from './not-comparable.js';
export type {
  DialPoint,
  ExperimentOutcome,
  FileScores,
  OutcomeArm,
  OutcomePoint,
  RunOutcome,
} from './outcome.js';
export { cellRequest, type ExperimentPlan, type PlanInput, type PlannedArm, planExperiment } from './plan.js';
export { curvesCsv, frontierCsv, tableCsv } from './results/csv.js';
export { experimentCurves } from './results/curves.js';
export { curvePanels, curvesSvg, frontierPanels, frontierSvg } from './results/figures.js';
export { experimentFrontier, type FrontierOptions } from './results/frontier.js';
export { klGauge } from './results/gauge.js';
export {
  CurvePanel,
  ExperimentCurves,
  ExperimentFrontier,
  ExperimentReport,
  ExperimentTable,
  ExperimentVerdict,
  Figure,
  KlGauge,
  METRICS,
  PlanePoint,
  ResultMetric,
  TableRow,
  TableRun,
} from './results/objects.js';
export { type ExperimentResult, renderResult } from './results/render.js';
export { experimentReport, frontierMarkdown, type ReportInput, tableMarkdown } from './results/report.js';
export { chooseModel, validationLoss } from './results/scores.js';
export { experimentTable, type TableOptions } from './results/table.js';
export {
  experimentVerdict,
  type Gain,
  type ItemScores,
  type Verdict,
  type VerdictOptions,
} from './results/verdict.js';
export { type ArmSearch, firstRates, rateCounts, type SearchState, searchStep, type TriedRate } from './search.js';
export { settingsOf } from './settings.js';
export {
  type ExperimentArm,
  ExperimentRequest,
  type ExperimentSpec,
  GrowExperimentRequest,
  Search,
} from './spec.js';
