import { once } from 'node:events';
import type { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { AppError } from '@moraine/contract';
import type { FastifyRequest } from 'fastify';

const FIELD_BYTES = 64 * 1024;
/** The form around the files: boundaries, part headers, fields. */
const FRAME_BYTES = 1024 ** 2;
const DRAIN_MS = 2_000;

export interface FormLimits {
  files: number;
  /** All files together. */
  sizeBytesMax: number;
  /** Keep the folders in front of a file name; without it only the last part is taken. */
  preservePath: boolean;
}

/** A caller that is still sending does not read the answer: take what is on the way before refusing. */
async function drain(stream: Readable): Promise<void> {
  if (stream.readableEnded || stream.destroyed) return;
  stream.unpipe();
  stream.resume();
  await Promise.race([
    once(stream, 'close').catch(() => undefined),
    once(stream, 'end').catch(() => undefined),
    sleep(DRAIN_MS),
  ]);
}

const tooLarge = (sizeBytesMax: number): AppError =>
  new AppError('file_too_large', `The upload is larger than the ${sizeBytesMax} bytes that this server takes.`, {
    param: 'file',
    hint: 'Split the file, or raise the limit where the API is started.',
  });

const wrongField = (field: string, fileField: string): AppError =>
  new AppError('unknown_key', `The file came in the form field '${field}'.`, {
    param: field,
    hint: `Send it as '${fileField}'.`,
  });

/**
 * Reads a form part by part, in whatever order they come: `onFile` takes the stream of each file (field `fileField`) before later fields are
 * known, and is given how many bytes it may still take. Returns the fields.
 */
export async function readForm(
  request: FastifyRequest,
  { files, sizeBytesMax, preservePath }: FormLimits,
  fileField: string,
  onFile: (filename: string, stream: Readable, sizeBytesMax: number) => Promise<{ sizeBytes: number }>,
): Promise<Record<string, string>> {
  if (!request.isMultipart())
    throw new AppError('invalid_request', 'This route takes multipart/form-data.', {
      hint: 'Send a form, e.g. curl -F purpose=fine-tune -F file=@data.jsonl.',
    });
  const fields: Record<string, string> = {};
  let left = sizeBytesMax;
  try {
    if (Number(request.headers['content-length'] ?? 0) > sizeBytesMax + FRAME_BYTES) throw tooLarge(sizeBytesMax);
    const limits = { fileSize: Number.POSITIVE_INFINITY, files, fields: 20, parts: files + 20, fieldSize: FIELD_BYTES };
    for await (const part of request.parts({ limits, preservePath })) {
      if (part.type === 'file') {
        if (part.fieldname !== fileField) throw wrongField(part.fieldname, fileField);
        left -= (await onFile(part.filename, part.file, left)).sizeBytes;
      } else if (part.fieldname in fields)
        throw new AppError('invalid_request', `The form has the field '${part.fieldname}' twice.`, {
          param: part.fieldname,
        });
      else fields[part.fieldname] = String(part.value);
    }
    return fields;
  } catch (error) {
    await drain(request.raw);
    throw error;
  }
}
