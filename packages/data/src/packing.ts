/**
 * Puts rows into sequences of a few fixed lengths, whole and end to end: best-fit decreasing (Johnson et al. 1974, SIAM J. Comput. 3(4)).
 * Every row goes where the least room is left; when it fits nowhere, it opens a sequence of the least length that holds it.
 * Answers the row numbers of each sequence, the longest row of a sequence first.
 */
export function packRows(lengths: ArrayLike<number>, capacities: readonly number[]): number[][] {
  const sizes = [...capacities].sort((a, b) => a - b);
  const largest = sizes[sizes.length - 1] ?? 0;
  const order = Array.from({ length: lengths.length }, (_, i) => i);
  order.sort((a, b) => (lengths[b] as number) - (lengths[a] as number) || a - b);
  const sequences: number[][] = [];
  const byRoom: number[][] = Array.from({ length: largest + 1 }, () => []);
  for (const row of order) {
    const length = lengths[row] as number;
    let room = length;
    while (room <= largest && byRoom[room]?.length === 0) room += 1;
    const open = room <= largest ? byRoom[room]?.pop() : undefined;
    if (open !== undefined) {
      sequences[open]?.push(row);
      byRoom[room - length]?.push(open);
      continue;
    }
    const capacity = sizes.find((size) => size >= length);
    if (capacity === undefined) throw new RangeError(`A row of ${length} tokens fits into no sequence of ${largest}.`);
    byRoom[capacity - length]?.push(sequences.length);
    sequences.push([row]);
  }
  return sequences;
}
