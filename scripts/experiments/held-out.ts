import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join, resolve } from 'node:path';
import { type CreateRunRequest, CreateRunRequest as RunRequest } from '@moraine/contract';
import { planRun, runSft } from '@moraine/recipes';

/** A base, rows to train it on, and rows of the same task that it never sees. */
export interface Task {
  name: string;
  base: string;
  train: string;
  heldout: string;
}

const examples = resolve(import.meta.dirname, '../../examples');

/** The task of the demo, as `readTask` takes it. */
export const DEMO_TASK = `record=${['base', 'tasks/record-train.jsonl', 'tasks/record-heldout.jsonl'].map((file) => join(examples, file)).join(',')}`;

/** A task from `NAME=BASE,TRAIN,HELDOUT`. */
export function readTask(text: string): Task {
  const [name = '', files = ''] = text.split('=');
  const [base, train, heldout] = files.split(',').map((file) => resolve(file));
  if (!base || !train || !heldout) throw new Error(`'${text}' is no task: write NAME=BASE,TRAIN,HELDOUT`);
  return { name, base, train, heldout };
}

/** Losses in nats a supervised token: of the held-out rows before the first and after the last step, and of the last step. */
export interface HeldOut {
  heldoutBefore: number;
  heldoutLoss: number;
  trainLoss: number;
  /** The optimiser's peak rate, as it was resolved. */
  learningRate: number;
  seconds: number;
}

/** What a run is asked for beside its files; `max_steps` is needed. */
export type Settings = Partial<CreateRunRequest> & { max_steps: number };

/** Trains once on a task and scores the held-out rows before and after; leaves no files. */
export async function trainOnTask(task: Task, settings: Settings, seed: number): Promise<HeldOut> {
  const steps = settings.max_steps;
  const request = RunRequest.parse({
    model: 'base',
    training_file: 'rows',
    evaluation: { every_steps: steps, samples: 0, files: [task.heldout] },
    checkpoint: { every_steps: steps },
    ...settings,
  });
  const files = { baseDir: task.base, baseName: basename(task.base), trainingFile: task.train };
  const config = await planRun({ ...files, request, otherFiles: [task.heldout], seed });
  const outDir = mkdtempSync(join(tmpdir(), 'moraine-held-out-'));
  const heldout: number[] = [];
  let trainLoss = Number.NaN;
  const begun = performance.now();
  try {
    await runSft(
      {
        ...files,
        kind: 'train',
        taskId: task.name,
        attempt: 1,
        config,
        validationFile: null,
        evaluationFiles: [{ id: task.heldout, name: basename(task.heldout), path: task.heldout }],
        outDir,
        resumeFrom: null,
        threads: 0,
      },
      (event) => {
        if (event.type === 'metrics') trainLoss = event.values.train_loss ?? trainLoss;
        if (event.type === 'evaluation') heldout.push(event.result.loss);
      },
      { stopRequested: () => null },
    );
    const [heldoutBefore = Number.NaN, heldoutLoss = Number.NaN] = heldout;
    const { learning_rate: learningRate } = config.optimizer;
    return { heldoutBefore, heldoutLoss, trainLoss, learningRate, seconds: (performance.now() - begun) / 1000 };
  } finally {
    rmSync(outDir, { recursive: true, force: true });
  }
}

/** What `make` gave once, kept in a file; a finished run is not made again. */
export async function remembered<T>(file: string, make: () => Promise<T>): Promise<T> {
  if (existsSync(file)) return JSON.parse(readFileSync(file, 'utf8')) as T;
  const value = await make();
  writeFileSync(file, JSON.stringify(value));
  return value;
}
