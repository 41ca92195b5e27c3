import { AnalysisAsk, AppError, CreateAnalysisRequest, explain, parse } from '@moraine/contract';
import { CanaryFile } from '@moraine/contract/analyses';
import type { z } from 'zod';
import type { Actor, Services } from '../ground/context.js';
import { requireFile } from '../library/require-file.js';
import { findSubject, type Subject } from '../training/find-subject.js';

/** A request whose names are all resolved. */
export interface PreparedAnalysis extends Subject {
  request: z.output<typeof CreateAnalysisRequest>;
  ask: AnalysisAsk;
}

/** @throws AppError for everything that can be wrong with a request without opening the model. */
export async function prepareAnalysis(s: Services, actor: Actor, body: unknown): Promise<PreparedAnalysis> {
  const request = parse(CreateAnalysisRequest, body);
  const subject = await findSubject(s, actor, request.model);
  if (subject.tuned === null) refuseBase(request);
  if (request.kind === 'canaries') await checkCanaries(s, actor, request.file);
  return { ...subject, request, ask: AnalysisAsk.parse(request) };
}

function refuseBase({ kind, model, lambda }: PreparedAnalysis['request']): void {
  if (kind === 'weights')
    throw new AppError('invalid_value', `'${model}' is a base: nothing has changed its weights.`, {
      param: 'model',
      hint: 'Name an adapter, the result of a run (`ft:…`) or one of its checkpoints.',
    });
  if (lambda !== undefined)
    throw new AppError('invalid_value', `'lambda' is a share of an update, and '${model}' is a base.`, {
      param: 'lambda',
      hint: 'Leave it out.',
    });
}

/** Far above what the largest file of canaries has. */
const CANARY_BYTES_MAX = 32 * 1024 ** 2;

/** A file of canaries is small: it is read here, so that another is refused at once. */
async function checkCanaries(s: Services, actor: Actor, id: string): Promise<void> {
  const file = await requireFile(s, actor, id, 'file');
  const refuse = (why: string): AppError =>
    new AppError('invalid_file', `${id} (${file.filename}) is no file of canaries: ${why}`, {
      param: 'file',
      hint: 'Upload the canaries.json that `moraine local canaries plant` wrote.',
    });
  if (file.sizeBytes > CANARY_BYTES_MAX) throw refuse(`it has ${file.sizeBytes} bytes.`);
  const parts: Buffer[] = [];
  for await (const part of await s.blobs.open(file.blobKey)) parts.push(part as Buffer);
  let value: unknown;
  try {
    value = JSON.parse(Buffer.concat(parts).toString('utf8'));
  } catch (error) {
    throw refuse(explain(error));
  }
  const { error } = CanaryFile.safeParse(value);
  const [issue] = error?.issues ?? [];
  if (issue) throw refuse(`${issue.path.join('.') || 'it'}: ${issue.message}`);
}
