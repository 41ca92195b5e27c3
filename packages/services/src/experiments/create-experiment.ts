import { AppError, type ExperimentObject, newId } from '@moraine/contract';
import type { ExperimentSpec } from '@moraine/contract/experiments';
import type { Actor, Services } from '../ground/context.js';
import type { Prisma } from '../ground/db.js';
import type { ExperimentModel } from '../ground/generated/models.js';
import { today } from '../training/prepare-run.js';
import { advanceExperiment } from './advance.js';
import { differencesOf, keysOf } from './differences.js';
import { estimateExperiment } from './estimate-experiment.js';
import { type ExperimentRow, storedSpec, toRow } from './experiment-row.js';
import { getExperiment } from './get-experiment.js';
import { type PreparedExperiment, prepareExperiment } from './prepare-experiment.js';
import { toExperimentObject } from './to-experiment-object.js';

/**
 * Starts an experiment: its first runs are queued when it returns. Its name finds it again: the same request, by the contents of its files,
 * returns the experiment that there is, also where that has grown since, so a client that is killed asks again. With `dry_run` the answer is the plan with its cost, and
 * nothing is stored.
 * @throws AppError `conflict` for another request under a name that is taken; everything that can be wrong with it.
 */
export async function createExperiment(
  s: Services,
  actor: Actor,
  body: unknown,
  clonedFrom: string | null = null,
): Promise<ExperimentObject> {
  const templateDate = today();
  const prepared = await prepareExperiment(s, actor, body, templateDate);
  const data = newRow(actor, prepared, templateDate, clonedFrom);
  if ((body as { dry_run?: boolean }).dry_run) return dryRun(s, actor, data, prepared);
  const id = await store(s, actor, data);
  await advanceExperiment(s, id);
  return getExperiment(s, actor, id);
}

type NewRow = ReturnType<typeof newRow>;

const newRow = (
  { projectId }: Actor,
  { spec, base, plan, requestHash }: PreparedExperiment,
  templateDate: string,
  clonedFrom: string | null,
) =>
  ({
    id: newId('experiment'),
    projectId,
    name: spec.name,
    baseId: base.id,
    request: spec as unknown as Prisma.InputJsonObject,
    requestHash,
    plan: plan as unknown as Prisma.InputJsonObject,
    templateDate,
    clonedFrom,
  }) satisfies Prisma.ExperimentUncheckedCreateInput;

/** The id of what is stored: the experiment that has the name already where it asks for the same. */
async function store(s: Services, actor: Actor, data: NewRow): Promise<string> {
  const stored = await s.db.$transaction(async (tx) => {
    await tx.$queryRaw`SELECT pg_advisory_xact_lock(hashtextextended(${`${data.projectId} experiment ${data.name}`}, 0))::text`;
    const { projectId, name } = data;
    const there = await tx.experiment.findFirst({ where: { projectId, name, status: { not: 'cancelled' } } });
    return there ?? (await tx.experiment.create({ data }));
  });
  if (stored.requestHash === data.requestHash || (await isTheSame(s, actor, stored, data))) return stored.id;
  throw nameIsTaken(stored, data);
}

/** Whether an experiment has grown into what a request asks for, or was begun by an earlier version that had fewer keys. */
async function isTheSame(s: Services, actor: Actor, there: ExperimentModel, data: NewRow): Promise<boolean> {
  const now = await prepareExperiment(s, actor, requestOf(there, data), there.templateDate);
  return now.requestHash === data.requestHash;
}

/** What is stored, with what is asked for now where its version had no such key: to go on with it is no other request. */
const requestOf = (there: ExperimentModel, { request }: NewRow): ExperimentSpec =>
  storedSpec(there.request as unknown as ExperimentSpec, request as unknown as ExperimentSpec);

function nameIsTaken(there: ExperimentModel, data: NewRow): AppError {
  const differences = differencesOf(requestOf(there, data), data.request);
  const what = differences.length === 0 ? 'the contents of its files' : keysOf(differences);
  return new AppError('conflict', `'${data.name}' is ${there.id}, which asks for something else: ${what}.`, {
    param: 'name',
    hint: `Take another name, or change that one: POST /v1/experiments/${there.id}/grow adds arms and seeds, …/clone starts it again with other settings, …/cancel frees the name.`,
  });
}

async function dryRun(
  s: Services,
  actor: Actor,
  data: NewRow,
  prepared: PreparedExperiment,
): Promise<ExperimentObject> {
  const stored = { ...data, status: 'running', reason: null, revision: 1, isResuming: false, finishedAt: null };
  const row = toRow({ ...stored, createdAt: new Date() } as ExperimentModel) satisfies ExperimentRow;
  const object = toExperimentObject({ ...row, id: 'exp_dry-run' }, []);
  const { arms, cost } = await estimateExperiment(s, actor, prepared);
  return {
    ...object,
    arms: object.arms.map((arm, i) => ({ ...arm, ...(arms[i] && { seconds_per_run: arms[i] }) })),
    cost,
  };
}
