/** A sum in four float32 lanes, the order of additions that 128-bit vectors suggest: term j goes to lane j mod 4. */
export function laneSum(count: number, term: (index: number) => number): number {
  const lanes = new Float32Array(4);
  for (let j = 0; j < count; j++) lanes[j % 4] = lanes[j % 4]! + term(j);
  return Math.fround(Math.fround(lanes[0]! + lanes[1]!) + Math.fround(lanes[2]! + lanes[3]!));
}
