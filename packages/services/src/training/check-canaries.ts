import { AppError, explain } from '@moraine/contract';
import { CanaryFile } from '@moraine/contract/analyses';
import type { Actor, Services } from '../ground/context.js';
import { requireFile } from '../library/require-file.js';

/** Far above what the largest file of canaries has. */
const CANARY_BYTES_MAX = 4 * 1024 ** 2;

/** A file of canaries is small: it is read here, so that another is refused at once. @throws AppError `not_found`, `invalid_file`. */
export async function checkCanaries(s: Services, actor: Actor, id: string, param = 'file'): Promise<void> {
  const file = await requireFile(s, actor, id, param);
  const refuse = (why: string): AppError =>
    new AppError('invalid_file', `${id} (${file.filename}) is no file of canaries: ${why}`, {
      param,
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
