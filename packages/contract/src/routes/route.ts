import { z } from 'zod';
import { FORMAT_TYPES, type ResultFormat } from '../result-text.js';
import { Metadata } from '../run-request.js';

export interface Route {
  method: 'GET' | 'POST' | 'DELETE';
  path: string;
  tag:
    | 'Fine-tuning'
    | 'Files'
    | 'Models'
    | 'Answers'
    | 'Runs'
    | 'Evaluations'
    | 'Analyses'
    | 'Experiments'
    | 'Workers'
    | 'Webhooks'
    | 'Access';
  summary: string;
  params?: z.ZodType;
  query?: z.ZodType;
  /** JSON body; multipart bodies say so in `consumes` and are parsed by their handler. */
  body?: z.ZodType;
  consumes?: 'multipart/form-data';
  /** What a route that takes a form takes as JSON in its place; parsed by the handler, too. */
  json?: z.ZodType;
  /** Absent where bytes or a stream come back; `produces` names their type. */
  response?: z.ZodType;
  /** Its answer may take minutes by its nature. */
  isLong?: true;
  produces?: string;
  /** Other types that the response has where `format` or the header `accept` asks for one. */
  formats?: readonly string[];
}

/** A part of the table, with the type of each of its routes. */
export const table = <T extends Record<string, Route>>(routes: T): T => routes;

/** Query strings are text: numbers are coerced there and nowhere else. */
export const limit = (preset: number, most: number) => z.coerce.number().int().min(1).max(most).default(preset);
/** A number that an empty text is not. */
export const inQuery = <T extends z.ZodType>(schema: T) =>
  z.preprocess((value) => (typeof value === 'string' && value.trim() !== '' ? Number(value) : value), schema);
/** `format` of a result that has these forms beside JSON, and their types for `formats`. */
export const format = <F extends ResultFormat>(...others: readonly F[]) =>
  z
    .enum(['json', ...others])
    .optional()
    .describe('Type of the response; default: what the header `accept` asks for, or json.');
export const typesOf = (...formats: ResultFormat[]): string[] => formats.map((one) => FORMAT_TYPES[one]);
export const after = z.string().optional().describe('Id of the last item of the page before.');
export const id = z.object({ id: z.string() });
export const metadata = z
  .preprocess((value) => (value === 'null' || value === '' ? null : value), Metadata.nullable())
  .describe('`metadata[key]=value`: runs with these pairs; `metadata=null`: runs without any.');
