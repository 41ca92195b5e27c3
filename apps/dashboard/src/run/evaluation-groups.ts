import type { EvaluationObject } from '@moraine/contract';

export interface EvaluationGroup {
  key: string;
  name: string;
  /** By step, oldest first. */
  all: EvaluationObject[];
  first: EvaluationObject;
  last: EvaluationObject;
}

/** Evaluations by file, each from its first step to its last. */
export function groupEvaluations(evaluations: readonly EvaluationObject[]): EvaluationGroup[] {
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
    const last = all.at(-1);
    return first && last ? [{ key, name: first.name, all, first, last }] : [];
  });
}
