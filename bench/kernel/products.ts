/** Matrix products at the shapes of real layers: every kernel, a plain JavaScript product and numpy. */
import { openBlas } from '../../packages/engine/src/blas-library.js';
import { packingBytes } from '../../packages/kernel/src/operations.js';
import { type Arena, type Contestant, createArena, openContestant } from './contestants.js';
import { type Figure, type Goal, judge, rateFigure, type Section } from './figures.js';
import { type NumpyPeer, openNumpy } from './numpy-peer.js';
import { packingFor, plainProduct } from './plain-product.js';
import type { Plan } from './plan.js';
import { ratioOf, type Timing, takeTurns, timed, type Way } from './take-turns.js';
import { fill, operationsOf, type Pass, type Product, productsOf, sampleCounts, type Workload } from './workloads.js';

const PASSES: readonly Pass[] = ['forward', 'dW', 'dX'];
/** Plain JavaScript is left out of products that would take it seconds. */
const MOST_PLAIN_OPERATIONS = 1.2e9;

const GOALS: readonly { readonly way: string; readonly against: string; readonly goal: Goal }[] = [
  { way: 'wasm', against: 'plain JS', goal: { text: '8 × plain JS', kind: 'at least', value: 8 } },
  { way: 'wasm-fma', against: 'plain JS', goal: { text: '10 × plain JS', kind: 'at least', value: 10 } },
  { way: 'blas', against: 'numpy', goal: { text: '95 % of numpy', kind: 'at least', value: 0.95 } },
];

/** Of the best round, since only a quiet machine can show it. */
const QUIET_GOALS: Readonly<Record<string, Goal>> = {
  wasm: { text: '38 GFLOP/s in the best round', kind: 'at least', value: 38 },
  'wasm-fma': { text: '48 GFLOP/s in the best round', kind: 'at least', value: 48 },
};

export async function measureProducts(plan: Plan): Promise<Section> {
  await using numpy = await openNumpy();
  const figures: Figure[] = [];
  for (const workload of plan.workloads) {
    for (const samples of sampleCounts(workload)) {
      for (const pass of PASSES) figures.push(...(await measurePass(plan, numpy, workload, samples, pass)));
    }
  }
  const missing = numpy === undefined ? 'no python3 with numpy was found' : numpy.description;
  const about = `matrix products of all layers, one pass of one micro-batch or of the whole batch; ${missing}`;
  return { name: 'products', about, figures: [...figures, ...(await measureCall(plan))] };
}

async function measurePass(
  plan: Plan,
  numpy: NumpyPeer | undefined,
  workload: Workload,
  samples: number,
  pass: Pass,
): Promise<readonly Figure[]> {
  const products = productsOf(workload, samples, pass);
  const operations = operationsOf(products);
  const arena = createArena(products.reduce((sum, product) => sum + bytesOf(product), 0));
  const placed = products.map((product) => place(arena, product));
  const ways = new Map<string, Way>();
  for (const loaded of plan.found.loaded) {
    if (loaded.name === 'js' && operations > MOST_PLAIN_OPERATIONS / 3) continue;
    const contestant = await openContestant(arena.memory, loaded);
    ways.set(
      loaded.name,
      timed(() => {
        for (const one of placed) multiply(contestant, one);
      }),
    );
  }
  if (operations <= MOST_PLAIN_OPERATIONS) ways.set('plain JS', plainWay(arena, placed));
  if (numpy !== undefined) ways.set('numpy', numpy.multiply(products));
  const timings = await takeTurns(ways, plan.turns);
  const subject = `${workload.name}, ${samples} samples: ${pass}`;
  return [...timings].map(([way, timing]) => ({
    subject,
    way,
    ...rateFigure(timing, operations),
    unit: 'GFLOP/s',
    goals: goalsOf(way, timing, timings, operations),
  }));
}

function goalsOf(way: string, timing: Timing, timings: ReadonlyMap<string, Timing>, operations: number) {
  const ratios = GOALS.flatMap(({ way: whose, against, goal }) => {
    const other = timings.get(against);
    return whose === way && other !== undefined ? [judge(goal, ratioOf(other, timing))] : [];
  });
  const quiet = QUIET_GOALS[way];
  return quiet === undefined ? ratios : [...ratios, judge(quiet, operations / (timing.best * 1e6))];
}

interface Placed extends Product {
  readonly left: number;
  readonly right: number;
  readonly into: number;
  readonly packing: number;
}

function bytesOf({ rows, columns, depth }: Product): number {
  return 4 * (rows * depth + depth * columns + rows * columns) + packingBytes(rows, columns, depth) + 4 * 64;
}

function place(arena: Arena, product: Product): Placed {
  const { rows, columns, depth } = product;
  const operand = (count: number): number => {
    const address = arena.take(4 * count);
    fill(arena.floats(address, count), 1);
    return address;
  };
  const [left, right, into] = [operand(rows * depth), operand(depth * columns), operand(rows * columns)];
  return { ...product, left, right, into, packing: arena.take(packingBytes(rows, columns, depth)) };
}

function multiply({ routines }: Contestant, { rows, columns, depth, ...at }: Placed): void {
  const [leftRow, leftColumn] = at.leftTransposed ? [1, rows] : [depth, 1];
  const [rightRow, rightColumn] = at.rightTransposed ? [1, depth] : [columns, 1];
  const { left, right, into, packing } = at;
  routines.multiply(
    ...[rows, columns, depth],
    ...[left, leftRow, leftColumn],
    ...[right, rightRow, rightColumn],
    ...[into, columns, packing],
  );
}

function plainWay(arena: Arena, placed: readonly Placed[]): Way {
  const operands = placed.map(({ rows, columns, depth, left, right, into }) => ({
    left: arena.floats(left, rows * depth).slice(),
    right: arena.floats(right, depth * columns).slice(),
    into: arena.floats(into, rows * columns).slice(),
  }));
  const packing = placed.map(packingFor);
  return timed(() => {
    for (const [index, { left, right, into }] of operands.entries()) {
      plainProduct(placed[index]!, left, right, into, packing[index]!);
    }
  });
}

/** What a call into the library costs before it multiplies anything worth mentioning. */
async function measureCall({ found, turns }: Plan): Promise<readonly Figure[]> {
  const blas = found.loaded.find(({ name }) => name === 'blas');
  if (blas?.blasPath === undefined) return [];
  const { sgemm, addressOf } = await openBlas(blas.blasPath);
  const arena = createArena(1024);
  const at = addressOf(arena.memory) + arena.take(64);
  const timings = await takeTurns(
    new Map([['blas', timed(() => sgemm(101, 111, 111, 1, 1, 1, 1, at, 1, at + 16, 1, 0, at + 32, 1))]]),
    turns,
  );
  return [...timings].map(([way, { median, best }]) => {
    const goals = [judge({ text: '1 µs a call', kind: 'at most', value: 1 }, 1e3 * median)];
    return { subject: 'a call, 1 x 1 x 1', way, median: 1e3 * median, best: 1e3 * best, unit: 'µs', goals };
  });
}
