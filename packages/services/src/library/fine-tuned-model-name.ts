export interface NamedRun {
  runId: string;
  baseName: string;
  projectName: string;
  suffix: string | null;
}

/** Letters of the run's random part that stand in the name. */
const HASH_LETTERS = 8;

/** What a model's name keeps of a suffix: letters that need no quoting in a URL, and no colon. */
const plainSuffix = (suffix: string): string => suffix.replaceAll(/[^A-Za-z0-9._-]/g, '-');

/** `ft:<base>:<project>:<suffix>:<hash>`, as the OpenAI API names its models; settled from the run's first day. */
export function fineTunedModelName({ runId, baseName, projectName, suffix }: NamedRun): string {
  return ['ft', baseName, projectName, plainSuffix(suffix ?? ''), runId.slice(-HASH_LETTERS)].join(':');
}

export const checkpointModelName = (fineTunedModel: string, step: number): string =>
  `${fineTunedModel}:ckpt-step-${step}`;

/** The end of the run's id and the step that a name speaks of, or null when it is no such name. */
export function parseFineTunedModelName(name: string): { runIdEnd: string; step: number | null } | null {
  const found = /^ft:[^:]+:[^:]*:[^:]*:([0-9a-z]{8})(?::ckpt-step-(\d{1,9}))?$/.exec(name);
  return found?.[1] ? { runIdEnd: found[1], step: found[2] === undefined ? null : Number(found[2]) } : null;
}
