import { requireNumbers } from './require.js';

/** Where a point lies; more is better on both axes (negate what should be small). */
export interface Place {
  x: number;
  y: number;
}

/**
 * The points that no other beats: none is at least as good on both axes and better on one. By rising x; equal points all stay.
 * @throws AppError when a place is not finite.
 */
export function paretoFront<Point>(points: readonly Point[], placeOf: (point: Point) => Place): Point[] {
  const placed = points.map((point) => ({ point, ...placeOf(point) }));
  for (const axis of ['x', 'y'] as const)
    requireNumbers(
      placed.map((one) => one[axis]),
      axis,
    );
  // From the largest x down, the best y first: a point stays if it is higher than all to its right, or equal to the last that stayed.
  placed.sort((a, b) => b.x - a.x || b.y - a.y);
  const front: typeof placed = [];
  for (const one of placed) {
    const last = front.at(-1);
    if (last === undefined || one.y > last.y || (one.y === last.y && one.x === last.x)) front.push(one);
  }
  return front.reverse().map(({ point }) => point);
}
