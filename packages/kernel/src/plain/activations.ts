import type { MemoryViews } from '../linear-memory.js';
import { ACTIVATION_CODES } from '../routines.js';
import { sigmoid, tanh } from './elementary.js';

/** `Routines.addBias`. */
export function addBias(
  { floats }: MemoryViews,
  matrix: number,
  rows: number,
  width: number,
  bias: number,
  activation: number,
  slope: number,
): void {
  const leak = Math.fround(slope);
  for (let row = 0; row < rows; row++) {
    const first = matrix / 4 + row * width;
    for (let column = 0; column < width; column++) {
      const sum = Math.fround(floats[first + column]! + floats[bias / 4 + column]!);
      floats[first + column] = activated(activation, leak, sum);
    }
  }
}

/** `Routines.activate`. */
export function activate(
  { floats }: MemoryViews,
  from: number,
  into: number,
  count: number,
  activation: number,
  slope: number,
): void {
  const leak = Math.fround(slope);
  for (let i = 0; i < count; i++) floats[into / 4 + i] = activated(activation, leak, floats[from / 4 + i]!);
}

/** `Routines.activateBackward`. */
export function activateBackward(
  { floats }: MemoryViews,
  gradient: number,
  output: number,
  count: number,
  activation: number,
  slope: number,
): void {
  const leak = Math.fround(slope);
  for (let i = 0; i < count; i++) {
    const at = gradient / 4 + i;
    floats[at] = gradientOf(activation, leak, floats[at]!, floats[output / 4 + i]!);
  }
}

/** The caller's store rounds the result. */
function activated(activation: number, leak: number, x: number): number {
  switch (activation) {
    case ACTIVATION_CODES.relu:
      return Math.max(x, 0);
    case ACTIVATION_CODES.leakyRelu:
      return x > 0 ? x : leak * x;
    case ACTIVATION_CODES.sigmoid:
      return sigmoid(x);
    case ACTIVATION_CODES.tanh:
      return tanh(x);
    default:
      return x;
  }
}

/** The gradient `g` with respect to the output `y`, taken through the activation; the caller's store rounds it. */
function gradientOf(activation: number, leak: number, g: number, y: number): number {
  switch (activation) {
    case ACTIVATION_CODES.relu:
      return y > 0 ? g : 0;
    case ACTIVATION_CODES.leakyRelu:
      return y > 0 ? g : leak * g;
    case ACTIVATION_CODES.sigmoid:
      return g * Math.fround(y * Math.fround(1 - y));
    case ACTIVATION_CODES.tanh:
      return g * Math.fround(1 - Math.fround(y * y));
    default:
      return g;
  }
}
