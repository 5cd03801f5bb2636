/** What is simulated: the figures it rests on, the ways to exchange, and the cases that were measured too. */
import { gradientBytes, type WireFormat, weightBytes } from '#kernel';
import { MODELS, type Row } from '../namespaces/contestants.js';
import type { Calibration, Scenario, Topology } from './cluster.js';

/** Each from docs/benchmarks.md, an AMD EPYC of 2 cores; docs/scaling.md says which. */
export const CALIBRATION: Calibration = {
  wireMsPerMB: 1.5,
  linkBytesPerByte: 1.03,
  jobMs: 0.5,
  stepMs: 1,
  foldMsPerMillion: 0.4,
  updateMsPerMillion: 0.85,
};

export const WORKER_COUNTS = [8, 16, 32, 64, 128, 256, 512, 1024] as const;
export const LINKS = [
  { name: '1 Gbit/s', megabitPerSecond: 1_000 },
  { name: '10 Gbit/s', megabitPerSecond: 10_000 },
] as const;

/** 128 samples of the 8.4 M network with the `wasm` kernel on one thread: 6.4 GFLOP at 33 GFLOP/s. */
const COMPUTE_MS = 195;
const PARAMETERS = 8_369_130;
const STAR: Topology = { kind: 'star' };
const TREE: Topology = { kind: 'tree', fanOut: 8 };

export interface Line {
  readonly name: string;
  readonly topology: Topology;
  readonly wire: WireFormat;
  readonly localSteps: number;
}

export const LINES: readonly Line[] = [
  { name: 'star, float32', topology: STAR, wire: 'float32', localSteps: 1 },
  { name: 'star, bfloat16', topology: STAR, wire: 'bfloat16', localSteps: 1 },
  { name: 'star, int8', topology: STAR, wire: 'int8', localSteps: 1 },
  { name: 'star, 50 local steps', topology: STAR, wire: 'float32', localSteps: 50 },
  { name: 'star, 50 local steps, int8', topology: STAR, wire: 'int8', localSteps: 50 },
  { name: 'star, 500 local steps', topology: STAR, wire: 'float32', localSteps: 500 },
  { name: 'tree of 8, float32', topology: TREE, wire: 'float32', localSteps: 1 },
  { name: 'tree of 8, 50 local steps', topology: TREE, wire: 'float32', localSteps: 50 },
];

const bytesOf = (wire: WireFormat, parameters: number): Scenario['bytes'] => ({
  down: weightBytes(wire, parameters),
  up: gradientBytes(wire, parameters),
});

export function scenarioOf({ topology, wire, localSteps }: Line, workers: number, megabitPerSecond: number): Scenario {
  return {
    ...{ workers, topology, localSteps, megabitPerSecond },
    parameters: PARAMETERS,
    bytes: bytesOf(wire, PARAMETERS),
    latencyMs: 0.1,
    computeMs: COMPUTE_MS,
    noise: 0.1,
    steps: 3,
    seed: 1,
  };
}

/** Between the namespaces of one machine without a cap: two processes hand packets over at some 20 Gbit/s. */
/** Of `tc tbf`, see `limit`. */
const BURST_BYTES = 262_144;
const UNCAPPED_MEGABIT = 20_000;
const MEGABIT: Readonly<Record<string, number>> = { '100mbit': 100, '1gbit': 1_000, none: UNCAPPED_MEGABIT };

/** The same case for the simulation: all processes on the cores that were there. Undefined: of no link or model it knows. */
export function scenarioOfRow(row: Row, cores: number): Scenario | undefined {
  const parameters = MODELS.find(({ name }) => name === row.model)?.parameters;
  const megabitPerSecond = MEGABIT[row.rate];
  if (parameters === undefined || megabitPerSecond === undefined) return undefined;
  const [, steps] = /^local (\d+)$/.exec(row.exchange) ?? [];
  const wire = (['bfloat16', 'int8'] as const).find((name) => name === row.exchange) ?? 'float32';
  const { workers } = row;
  return {
    ...{ workers, parameters, megabitPerSecond, topology: STAR, bytes: bytesOf(wire, parameters) },
    localSteps: steps === undefined ? 1 : Number(steps),
    latencyMs: 0,
    ...(row.rate === 'none' ? {} : { burstBytes: BURST_BYTES }),
    // Measured with as many workers on the cores: each waited for the others.
    computeMs: row.computeMs / Math.max(1, workers / cores),
    noise: 0,
    sharedCores: cores,
    steps: 3,
    seed: 1,
  };
}
