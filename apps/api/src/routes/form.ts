import { once } from 'node:events';
import type { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { AppError } from '@moraine/contract';
import type { FastifyRequest } from 'fastify';
import { refuseText } from '../plugins/text.js';
import { FormFrame } from './form-frame.js';

const FIELD_BYTES = 64 * 1024;
/** The form around the files: boundaries, part headers, fields. */
const FRAME_BYTES = 1024 ** 2;
const DRAIN_MS = 2_000;
/** A parser that has taken nothing of what is there for so long has lost its way. */
const TICK_MS = 250;
const STUCK_TICKS = 12;

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

/** What is wrong with the bytes of a form, as far as the caller can fix it. */
const malformed = (why: string, cause?: Error): AppError =>
  new AppError('invalid_request', `The form is cut short or malformed: ${why}.`, {
    hint: 'Send it again as a whole: each part between boundaries, the last boundary with -- behind it.',
    cause,
  });

/**
 * The parts of a form. Whatever the parser throws is about the bytes that came: a refusal with a code of its own, or a malformed form. Names and
 * values that are not UTF-8 it would make other ones of.
 */
async function* partsOf(request: FastifyRequest, options: Parameters<FastifyRequest['parts']>[0]) {
  const frame = new FormFrame(request.headers['content-type'] ?? '');
  const see = (piece: Buffer): void => frame.see(piece);
  const parts = request.parts(options);
  request.raw.on('data', see); // before the parser listens, which it does when the first part is asked for
  try {
    for (;;) {
      const { done, value } = await unlessStuck(request.raw, parts.next());
      if (frame.fault) throw frame.fault;
      if (done) return;
      yield value;
    }
  } catch (error) {
    throw error instanceof Error && !('code' in error) ? malformed(error.message, error) : error;
  } finally {
    request.raw.off('data', see);
    void parts.return?.(undefined);
  }
}

/** Waits for a part; rejects when the parser stops taking the bytes that are there, as it does behind some damaged headers. */
async function unlessStuck<T>(body: Readable, part: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const stuck = new Promise<never>((_resolve, reject) => {
    let ticks = 0;
    timer = setInterval(() => {
      const isWaiting = body.readableFlowing !== false && body.readableLength === 0 && !body.readableEnded;
      ticks = isWaiting ? 0 : ticks + 1;
      if (ticks === STUCK_TICKS) reject(malformed('one of its parts cannot be read'));
    }, TICK_MS);
  });
  try {
    return await Promise.race([part, stuck]);
  } finally {
    clearInterval(timer);
  }
}

/**
 * Lets a file be read; a form that ends inside it is the caller's fault, not the reader's. The parser says so twice, in other words, and who
 * reads sees the first of them where the form had come whole before its reading began.
 */
async function readFile<T>(file: Readable, read: (file: Readable) => Promise<T>): Promise<T> {
  const faults: Error[] = [];
  file.on('error', (error) => faults.push(error));
  try {
    return await read(file);
  } catch (error) {
    const fault = [...faults, file.errored].find((one) => one === error);
    throw fault ? malformed(fault.message, fault) : error;
  }
}

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
  const fields: Record<string, string> = Object.create(null);
  let left = sizeBytesMax;
  try {
    if (Number(request.headers['content-length'] ?? 0) > sizeBytesMax + FRAME_BYTES) throw tooLarge(sizeBytesMax);
    const limits = { fileSize: Number.POSITIVE_INFINITY, files, fields: 20, parts: files + 20, fieldSize: FIELD_BYTES };
    for await (const part of partsOf(request, { limits, preservePath })) {
      // The parser's types promise both names; a damaged header of a part has neither.
      if (part.fieldname === undefined) throw malformed('a part has no name');
      refuseText(part.fieldname, 'form field');
      if (part.type === 'file') {
        if (part.filename === undefined) throw malformed(`the file in '${part.fieldname}' has no filename`);
        if (part.fieldname !== fileField) throw wrongField(part.fieldname, fileField);
        refuseText(part.filename, fileField);
        left -= (await readFile(part.file, (file) => onFile(part.filename, file, left))).sizeBytes;
      } else if (part.fieldname in fields)
        throw new AppError('invalid_request', `The form has the field '${part.fieldname}' twice.`, {
          param: part.fieldname,
        });
      else {
        const value = String(part.value);
        refuseText(value, part.fieldname);
        fields[part.fieldname] = value;
      }
    }
    return fields;
  } catch (error) {
    await drain(request.raw);
    throw error;
  }
}
