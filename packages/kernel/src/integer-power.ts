/**
 * base^exponent for a whole exponent of at least 0, by repeated squaring: multiplications only, so the same double on
 * every engine, which `**` and Math.pow do not promise.
 */
export function integerPower(base: number, exponent: number): number {
  let power = 1;
  let square = base;
  for (let rest = exponent; rest > 0; rest = Math.floor(rest / 2)) {
    if (rest % 2 === 1) power *= square;
    square *= square;
  }
  return power;
}
