import { type Download, type ExportKind, ExportReport, exportFormatOf } from '@moraine/contract';

/** What of a stored export's row is said of it. */
export interface ExportRow {
  kind: string;
  sizeBytes: bigint | number;
  blobKey: string | null;
  report: unknown;
}

/** What is known of an export; of one of an earlier version nothing is. */
export function reportOf({ report }: Pick<ExportRow, 'report'>): ExportReport {
  const parsed = ExportReport.safeParse(report);
  return parsed.success ? parsed.data : { parity: null, rounding: null, notes: [], problem: null };
}

/** The downloads of a run, with what is known of each. */
export const toDownloads = (rows: readonly ExportRow[]): Download[] =>
  rows.map((row) => ({
    format: exportFormatOf(row.kind as ExportKind),
    bytes: Number(row.sizeBytes),
    stored: row.blobKey !== null,
    ...reportOf(row),
  }));
