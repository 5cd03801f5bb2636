/** What a benchmark found, and what it was to show. */
import type { Timing } from './take-turns.js';

export type Unit = 'GFLOP/s' | 'GB/s' | 'ms' | 'µs' | 'ns/element' | '% of products' | '% of a copy' | '×' | 'KB';

/** One number of one implementation. */
export interface Figure {
  /** What was measured: `W4, 128 samples: forward`. */
  readonly subject: string;
  /** By whom: `wasm`. */
  readonly way: string;
  /** Of the rounds. */
  readonly median: number;
  /** What a quiet machine would give, if the best round was one. */
  readonly best: number;
  readonly unit: Unit;
  readonly goals: readonly JudgedGoal[];
}

export interface Goal {
  /** For people: `8 × plain JS`. */
  readonly text: string;
  readonly kind: 'at least' | 'at most';
  readonly value: number;
}

export interface JudgedGoal extends Goal {
  readonly measured: number;
  readonly met: boolean;
}

export interface Section {
  readonly name: string;
  /** What is measured and how, in a sentence. */
  readonly about: string;
  readonly figures: readonly Figure[];
}

export function judge(goal: Goal, measured: number): JudgedGoal {
  return { ...goal, measured, met: goal.kind === 'at least' ? measured >= goal.value : measured <= goal.value };
}

/** How far from its goal, as a part of the goal; 0 when met. */
export function distance({ value, measured, met }: JudgedGoal): number {
  return met ? 0 : Math.abs(measured - value) / value;
}

/** Work done in every round of a timing, as a rate. @param operations of one execution */
export function rateFigure(timing: Timing, operations: number): Pick<Figure, 'median' | 'best'> {
  return { median: operations / (timing.median * 1e6), best: operations / (timing.best * 1e6) };
}
