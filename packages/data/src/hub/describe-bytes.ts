const UNITS = ['B', 'KB', 'MB', 'GB', 'TB'];

/** A size for people: 12.3 GB. */
export function describeBytes(bytes: number): string {
  const unit = bytes < 1 ? 0 : Math.min(UNITS.length - 1, Math.floor(Math.log10(bytes) / 3));
  return `${(bytes / 1000 ** unit).toFixed(unit === 0 ? 0 : 1)} ${UNITS[unit]}`;
}
