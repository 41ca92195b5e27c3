/** Forms that results have beside JSON, and their types. */
export const FORMAT_TYPES = { csv: 'text/csv', svg: 'image/svg+xml', md: 'text/markdown' } as const;
export type ResultFormat = keyof typeof FORMAT_TYPES;
