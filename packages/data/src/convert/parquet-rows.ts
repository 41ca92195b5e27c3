import { type FileHandle, open } from 'node:fs/promises';
import { AppError, explain } from '@moraine/contract';
import { type DecodedArray, parquetMetadataAsync, parquetSchema, type RowGroup, type SchemaTree } from 'hyparquet';
import { assembleNested } from 'hyparquet/src/assemble.js';
import { getTreePath } from 'hyparquet/src/schema.js';
import { compressors } from 'hyparquet-compressors';
import { LINE_BYTES_MAX } from '../lines.js';
import { jsonCell } from './json-cell.js';
import { ColumnPages, readBytes } from './parquet-pages.js';
import { NO_PARSERS, PARSERS, toJson, wideDecimal } from './parquet-values.js';
import { badFile, type SourceRow } from './source-row.js';

/** At most so many rows of a row group are put together at once. */
const ROWS_AT_ONCE = 1024;

/**
 * Streams the rows of a Parquet table as objects of its columns, numbered from 1. A page of each column is in memory, whatever the size of
 * its row groups. Null is not written, but named; `messages`, `tools` and `conversations` are lists, or texts that hold one as JSON.
 * @throws AppError `invalid_file` for a file that is cut or broken, a codec that is not known, decimals that a number does not hold, and bytes
 * that are no UTF-8 in a column of texts.
 */
export async function* readParquet(path: string): AsyncGenerator<SourceRow> {
  const file = await open(path);
  let row = 1;
  try {
    const { size } = await file.stat();
    const slice = (start: number, end = size) => readBytes(file, start, end);
    const metadata = await parquetMetadataAsync(
      { byteLength: size, slice },
      { parsers: NO_PARSERS, geoparquet: false },
    );
    const decimal = wideDecimal(metadata);
    if (decimal !== null) throw badDecimal(decimal);
    const schema = parquetSchema(metadata);
    for (const group of metadata.row_groups) {
      for await (const cells of rowsOf(file, group, schema)) {
        yield toSource(cells, row);
        row += 1;
      }
    }
  } catch (cause) {
    throw refused(cause, row);
  } finally {
    await file.close();
  }
}

type Cells = Record<string, unknown>;

async function* rowsOf(file: FileHandle, group: RowGroup, schema: SchemaTree): AsyncGenerator<Cells> {
  const columns = group.columns.map((chunk) => pagesOf(file, chunk, schema));
  for (let left = Number(group.num_rows); left > 0; ) {
    for (const column of columns) await column.fill();
    const count = Math.min(left, ROWS_AT_ONCE, ...columns.map(({ ready }) => ready));
    if (count === 0) throw new Error(`a column ends ${left} rows before its row group`);
    const parts = new Map(columns.map((column) => [column.path, column.take(count)]));
    const whole = schema.children.flatMap((child) => assemble(parts, child));
    for (let i = 0; i < count; i += 1) yield Object.fromEntries(whole.map(([name, values]) => [name, values[i]]));
    left -= count;
  }
}

function pagesOf(file: FileHandle, { meta_data: meta }: RowGroup['columns'][number], schema: SchemaTree): ColumnPages {
  if (meta === undefined) throw new Error('a column is in another file');
  const schemaPath = getTreePath(schema, meta.path_in_schema);
  const { element } = schemaPath.at(-1) ?? schema;
  const begin = Number(meta.dictionary_page_offset || meta.data_page_offset);
  const { type, codec, path_in_schema: pathInSchema } = meta;
  const decoder = { pathInSchema, type, element, schemaPath, codec, parsers: PARSERS, compressors, utf8: false };
  return new ColumnPages(file, begin, begin + Number(meta.total_compressed_size), decoder);
}

/** The values of a column of the table, from those of its parts; none where the file has none of them. */
function assemble(parts: Map<string, unknown[]>, { path, element, children }: SchemaTree): [string, DecodedArray][] {
  const prefix = path.join('.');
  const own = new Map([...parts].filter(([name]) => name === prefix || name.startsWith(`${prefix}.`)));
  if (own.size === 0) return [];
  if (children.length > 0) assembleNested(own, { path, element, children, count: own.size }, PARSERS);
  return [[element.name, own.get(prefix) ?? []]];
}

function toSource(cells: Cells, line: number): SourceRow {
  const nulls: string[] = [];
  const cellsWritten = Object.entries(cells).flatMap(([name, value]) => {
    const json = typeof value === 'string' ? jsonCell(name, value, line) : toJson(value);
    if (json !== undefined) return [`${JSON.stringify(name)}:${json}`];
    nulls.push(name);
    return [];
  });
  const written = `{${cellsWritten.join(',')}}`;
  if (written.length <= LINE_BYTES_MAX) return { line, written, nulls };
  throw badFile(line, 'the row is longer than 16 MiB.', 'Leave it out of the table.');
}

const badDecimal = (name: string): Error =>
  badFile(
    1,
    `the column '${name}' holds decimals of more than 15 digits.`,
    'Leave it out of the table, or write it as texts.',
  );

function refused(cause: unknown, row: number): unknown {
  if (cause instanceof TypeError && /encoded data/.test(cause.message))
    return badFile(
      row,
      'a column of texts holds bytes that are not UTF-8 here or soon after.',
      'Write its texts as UTF-8.',
    );
  if (!(cause instanceof Error) || cause instanceof AppError || 'errno' in cause) return cause;
  const codec = /unsupported compression codec: (\w+)/.exec(cause.message)?.[1];
  const hint = 'Write the table anew: pyarrow.parquet.write_table(table, file, compression="zstd"), say.';
  if (codec !== undefined) return badFile(row, `the table is compressed with ${codec}, which is not read here.`, hint);
  return badFile(row, `the Parquet table cannot be read: ${explain(cause)}`, `Was the file cut? ${hint}`);
}
