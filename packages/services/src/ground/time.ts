/** Times on the wire are whole unix seconds. */
export const toSeconds = (time: Date): number => Math.floor(time.getTime() / 1000);
export const toSecondsOrNull = (time: Date | null): number | null => (time === null ? null : toSeconds(time));
