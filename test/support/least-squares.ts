/** A straight line through points by the normal equations, in double precision. */

export interface Line {
  readonly slope: number;
  readonly intercept: number;
}

/** Minimises Σ (slope·x + intercept - y)² over the points [x, y]. Centred, so that no digits are lost. */
export function solveLeastSquares(points: readonly (readonly [number, number])[]): Line {
  const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;
  const centre = [mean(points.map(([x]) => x)), mean(points.map(([, y]) => y))] as const;
  let products = 0;
  let squares = 0;
  for (const [x, y] of points) {
    products += (x - centre[0]) * (y - centre[1]);
    squares += (x - centre[0]) ** 2;
  }
  const slope = products / squares;
  return { slope, intercept: centre[1] - slope * centre[0] };
}
