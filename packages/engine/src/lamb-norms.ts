import type { UpdatePiece } from './update-pieces.js';

/** Doubles a piece has in the table: its part of ‖w‖² and of ‖direction‖². */
export const NORM_DOUBLES = 2;

/**
 * LAMB's trust ratio of every parameter, ‖w‖ / ‖direction‖, or 1 where either is 0 (You et al., 2020, algorithm 2 and
 * the authors' implementation). Parts are added in the order of pieces: the same doubles in every thread.
 * @param table square sums of piece i at `NORM_DOUBLES` · i, weights before direction
 * @param pieces all of them, every parameter in pieces of its own
 * @returns one ratio a parameter
 */
export function trustRatios(table: Float64Array, pieces: readonly UpdatePiece[]): readonly number[] {
  const weights: number[] = [];
  const direction: number[] = [];
  for (const { index, parameter } of pieces) {
    weights[parameter] = (weights[parameter] ?? 0) + table[NORM_DOUBLES * index]!;
    direction[parameter] = (direction[parameter] ?? 0) + table[NORM_DOUBLES * index + 1]!;
  }
  return weights.map((squares, parameter) => {
    const against = direction[parameter]!;
    return squares === 0 || against === 0 ? 1 : Math.sqrt(squares) / Math.sqrt(against);
  });
}
