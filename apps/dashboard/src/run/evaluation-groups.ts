import type { EvaluationObject } from '@moraine/contract';

export interface EvaluationGroup {
  key: string;
  name: string;
  role: EvaluationObject['role'];
  /** By step, oldest first. */
  all: EvaluationObject[];
  first: EvaluationObject;
  /** Of the run's result; of its last step where it has none yet, or that was not evaluated. */
  last: EvaluationObject;
}

/** Evaluations by file, each from its first step to the one of the run's result. */
export function groupEvaluations(
  evaluations: readonly EvaluationObject[],
  resultStep: number | null = null,
): EvaluationGroup[] {
  const groups = new Map<string, EvaluationObject[]>();
  for (const evaluation of evaluations) {
    const key = `${evaluation.file_id} ${evaluation.name}`;
    const group = groups.get(key) ?? [];
    group.push(evaluation);
    groups.set(key, group);
  }
  return [...groups].flatMap(([key, group]) => {
    const all = group.sort((a, b) => a.step - b.step);
    const first = all[0];
    const last = all.find(({ step }) => step === resultStep) ?? all.at(-1);
    return first && last ? [{ key, name: first.name, role: first.role, all, first, last }] : [];
  });
}

/** Below this share of what it was, a change is none. */
const NOTHING = 0.005;

export interface Change {
  before: number;
  after: number;
  delta: number;
  direction: 'better' | 'worse' | 'same';
}

/** How a measure went from one value to another; null where either was not taken. */
export function changeOf(before: number | null, after: number | null, better: 'lower' | 'higher'): Change | null {
  if (before === null || after === null) return null;
  const delta = after - before;
  const isNothing = Math.abs(delta) <= NOTHING * Math.max(Math.abs(before), Math.abs(after));
  const isBetter = better === 'lower' ? delta < 0 : delta > 0;
  return { before, after, delta, direction: isNothing ? 'same' : isBetter ? 'better' : 'worse' };
}
