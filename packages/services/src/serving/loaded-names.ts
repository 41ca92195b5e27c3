import type { Actor, Services } from '../ground/context.js';
import { checkpointModelName, fineTunedModelName } from '../library/fine-tuned-model-name.js';

/** Files that were trained on a base, as a project calls them. */
export interface LoadedName {
  names: string[];
  base: string;
  baseSha256: string;
  sha256: string;
}

/** What a project calls the files of these hashes: registered adapters, results of runs and kept checkpoints; a result by that name first. */
export async function namesOf(s: Services, { projectId }: Actor, hashes: string[]): Promise<LoadedName[]> {
  if (hashes.length === 0) return [];
  const where = { projectId, deletedAt: null, sha256: { in: hashes } };
  const [adapters, checkpoints] = await Promise.all([
    s.db.uploadedAdapter.findMany({ where, include: { base: true } }),
    s.db.checkpoint.findMany({
      where: { ...where, run: { task: { deletedAt: null } } },
      include: { run: { include: { base: true, project: true } } },
    }),
  ]);
  return [
    ...adapters.map(({ name, sha256, base }) => ({
      ...{ names: [name], base: base.name, baseSha256: base.sha256, sha256 },
    })),
    ...checkpoints.map(({ run, step, sha256 }) => {
      const { id: runId, base, project, suffix } = run;
      const whole = fineTunedModelName({ runId, baseName: base.name, projectName: project.name, suffix });
      const isResult = run.fineTunedModel !== null && step === (run.resultStep ?? run.step);
      const names = [...(isResult ? [whole] : []), checkpointModelName(whole, step)];
      return { names, base: base.name, baseSha256: base.sha256, sha256 };
    }),
  ];
}
