import type { Kernel } from '#kernel';
import {
  ADOPT,
  AVERAGE,
  normsAt,
  ROUND_WEIGHTS,
  readAdoptArguments,
  readAverageArguments,
  SQUARE_NORM,
  squareSumsAt,
} from './averager-commands.js';
import { RESULTS } from './control-block.js';
import { createGradientNodes } from './gradient-nodes.js';
import { floatsAt } from './linear-memory.js';
import { RANGE_FLOATS } from './memory-plan.js';
import { createStepUpdate } from './step-update.js';
import type { Performer } from './thread-service.js';
import type { ThreadSetup } from './thread-setup.js';

type TakePiece = (pieces: number) => number | undefined;

/** What one kernel thread of the averager does: a share of the ranges in each phase. */
export function createAveragerPerformer(setup: ThreadSetup & { role: 'averager' }, kernel: Kernel): Performer {
  const { control, memory, options, plan } = setup;
  const { microBatches, wire = 'float32', seed = 0 } = options;
  const { parameterCount: P, optimizerSlots } = plan;
  const { numbers } = control;
  const ranges = Math.ceil(P / RANGE_FLOATS);
  const nodes = createGradientNodes(kernel, { wire, parameterCount: P, microBatches, seed });
  const step = createStepUpdate(kernel, options, {
    parameterCount: P,
    optimizerState: plan.optimizerState,
    optimizerSlots,
    squareSums: numbers.subarray(squareSumsAt(microBatches)),
    norms: numbers.subarray(normsAt(microBatches, ranges)),
    nodes,
    ...(plan.mean === undefined ? {} : { roundWeights: roundRange }),
  });
  const hashes = new BigUint64Array(numbers.buffer);

  /** Phase 0: folds the blocks up the tree, takes the mean, and leaves each range's part of its square sum. */
  function takeMean(takePiece: TakePiece): void {
    const { step: number, folds, root, sampleCount } = readAverageArguments(control);
    const mean = step.takeMean(root, plan.mean ?? root, sampleCount);
    const sums = folds.map(({ into, right, begin, end }) => nodes.fold(into, right, number, { begin, end }));
    for (let range = takePiece(ranges); range !== undefined; range = takePiece(ranges)) {
      for (const sum of sums) sum(range);
      mean(range);
    }
  }

  /** Phase 1, and 2 of LAMB. */
  function perform(work: typeof step.update, takePiece: TakePiece): void {
    const { root, leaveOut, ...given } = readAverageArguments(control);
    if (leaveOut) return;
    const perRange = work({ ...given, gradient: plan.mean ?? root, weights: plan.weights });
    if (perRange === undefined) return;
    for (let range = takePiece(ranges); range !== undefined; range = takePiece(ranges)) perRange(range);
  }

  /** A range of the weights as it travels. */
  function roundRange(range: number): void {
    const from = RANGE_FLOATS * range;
    kernel.toBfloat16(plan.weights + 4 * from, plan.wireWeights + 2 * from, Math.min(RANGE_FLOATS, P - from));
  }

  function roundWeights(takePiece: TakePiece): void {
    for (let range = takePiece(ranges); range !== undefined; range = takePiece(ranges)) roundRange(range);
  }

  /** Phase 0 of an adoption: the hash of the weights that were received. */
  function hashReceived(takePiece: TakePiece): void {
    const { place } = readAdoptArguments(control);
    if (takePiece(1) === 0) hashes[RESULTS] = kernel.hash(place, 4 * P);
  }

  /** Phase 1: if they are the ones expected, they and the optimizer state become the run's own. */
  function copyReceived(takePiece: TakePiece): void {
    const { place, weightsHash } = readAdoptArguments(control);
    if (hashes[RESULTS] !== weightsHash) return;
    const pieces = ranges * (1 + optimizerSlots);
    for (let piece = takePiece(pieces); piece !== undefined; piece = takePiece(pieces)) {
      const tensor = Math.floor(piece / ranges);
      const from = RANGE_FLOATS * (piece % ranges);
      const count = Math.min(RANGE_FLOATS, P - from);
      const into = tensor === 0 ? plan.weights : plan.optimizerState + 4 * P * (tensor - 1);
      floatsAt(memory, into + 4 * from, count).set(floatsAt(memory, place + 4 * (P * tensor + from), count));
      if (tensor === 0 && plan.mean !== undefined) roundRange(piece);
    }
  }

  return {
    kernelId: kernel.id,
    perform(command, phase, takePiece) {
      if (command === ADOPT) (phase === 0 ? hashReceived : copyReceived)(takePiece);
      else if (command === ROUND_WEIGHTS) roundWeights(takePiece);
      else if (phase === 0) takeMean(takePiece);
      else if (phase === 1) perform(step.update, takePiece);
      else if (step.descend !== undefined) perform(step.descend, takePiece);
      else throw new RangeError(`this optimizer's average has 2 phases, asked for ${phase}`);
    },
    finish(command) {
      if (command !== AVERAGE) return;
      numbers[SQUARE_NORM] = step.squareNorm();
      hashes[RESULTS] = kernel.hash(plan.weights, 4 * P);
    },
    receive(message) {
      throw new Error(`an averager's threads are sent nothing, received ${typeof message}`);
    },
  };
}
