import type { Kernel } from '#kernel';
import { TABLE } from './control-block.js';
import type { GradientNodes } from './gradient-nodes.js';
import { leaseRows, leaseTable, readLeaseArguments } from './lease-commands.js';
import { floatsAt } from './linear-memory.js';
import { foldLossSumsTable, sumsTableLength, writeLossSums } from './loss-sums.js';
import { RANGE_FLOATS } from './memory-plan.js';
import { createStepUpdate, type UpdateStep, updateTableLengths } from './step-update.js';
import type { ThreadSetup } from './thread-setup.js';
import type { ThreadTeam } from './thread-team.js';
import { cutBlock, type GradientArguments } from './worker-commands.js';

/** Pieces of work that any thread can take. */
export interface SharedWork {
  readonly pieces: number;
  readonly work: (piece: number) => void;
}

/** How the threads of a worker compute a gradient, and who they are. */
export interface GradientWork {
  readonly nodes: GradientNodes;
  readonly team: ThreadTeam;
  computeTogether(given: GradientArguments): void;
  subtreesOf(given: GradientArguments): SharedWork;
  foldsOf(given: GradientArguments): SharedWork;
}

/**
 * The gradient of a block within a command whose threads have gathered: all of them call this, and know its end together.
 * @param given `together`: each micro-batch by all threads, else each thread its own
 * @param mostSubtrees of the block, taken by threads one at a time
 */
export function computeBlock(
  { team, computeTogether, subtreesOf, foldsOf }: GradientWork,
  given: GradientArguments,
  mostSubtrees: number,
): void {
  if (given.together) {
    computeTogether(given);
    team.share(0, () => undefined); // they meet
    return;
  }
  const subtrees = subtreesOf(given);
  team.share(subtrees.pieces, subtrees.work);
  if (cutBlock(given.begin, given.end, mostSubtrees).count === 1) return;
  const folds = foldsOf(given);
  team.share(folds.pieces, folds.work);
}

export interface LeasePerformer {
  /** All steps of a lease. Every participant calls this once, after it has gathered. */
  computeSteps(): void;
  /** Copies weights and optimizer state to the outbox. */
  copy(takePiece: (pieces: number) => number | undefined): void;
}

/**
 * Steps of a lease, one after the other, without leaving the threads: gradient, fold, mean, clip, update. Threads meet
 * after each of these, and only there. The first thread writes the records, and hashes new weights while the others have
 * begun the next gradient, which only reads them.
 * @returns nothing for a worker without room for leases
 */
export function createLeasePerformer(
  { index, control, memory, options, plan }: ThreadSetup & { role: 'worker' },
  kernel: Kernel,
  work: GradientWork,
): LeasePerformer | undefined {
  const { update: settings, model, microBatches } = options;
  const { lease, parameterCount: P, subtreeGradients, widened } = plan;
  if (settings === undefined || lease === undefined) return undefined;
  const { nodes, team } = work;
  const { optimizerSlots, optimizerState, outbox, masters } = lease;
  const { numbers } = control;
  const update = { ...settings, model };
  const table = leaseTable(sumsTableLength(microBatches), updateTableLengths(update));
  const rows = leaseRows(control, table);
  const step = createStepUpdate(kernel, update, {
    parameterCount: P,
    optimizerState,
    optimizerSlots,
    squareSums: numbers.subarray(table.squareSums),
    norms: numbers.subarray(table.norms),
    nodes,
    ...(masters === undefined || widened === undefined ? {} : { roundWeights: rounding(masters, widened) }),
  });
  const root = subtreeGradients[0]!; // there is always at least one subtree
  const gradient = plan.threads[0]?.leaf ?? root;
  const leads = index === 0;
  const meet = (): void => team.share(0, () => undefined);

  /** What the next gradient is computed on, from what was just updated. */
  function rounding(from: number, into: number): (range: number) => void {
    return (range) => {
      const offset = 4 * RANGE_FLOATS * range;
      kernel.roundToBfloat16(from + offset, into + offset, Math.min(RANGE_FLOATS, P - RANGE_FLOATS * range));
    };
  }

  /** @returns whether there was an update: neither mean nor loss holds NaN or an infinity */
  function updateWeights(row: number, sampleCount: number, given: UpdateStep): boolean {
    team.share(step.ranges, step.takeMean(root, given.gradient, sampleCount));
    const finite = Number.isFinite(numbers[rows.sumsAt(row) + 1]!); // the loss
    for (const phase of finite ? [step.update, step.descend] : [undefined]) {
      if (phase === undefined) continue;
      const updating = phase(given);
      if (updating === undefined) return false;
      team.share(step.ranges, updating);
    }
    return finite;
  }

  return {
    computeSteps() {
      const { epoch, firstStep, steps, weights, clipNorm, together } = readLeaseArguments(control);
      if (leads) rows.writeStartHash(kernel.hash(weights, 4 * P));
      for (let row = 0; row < steps; row++) {
        const { firstPosition, endPosition, learningRate } = rows.readRequest(row);
        const block = { epoch, firstPosition, endPosition, begin: 0, end: microBatches };
        const given = { step: firstStep + row, learningRate, clipNorm, gradient, weights };
        const at = { step: given.step, ...block, weights: widened ?? weights, together };
        computeBlock(work, at, subtreeGradients.length);
        if (leads) {
          writeLossSums(numbers, rows.sumsAt(row), 0, foldLossSumsTable(numbers, TABLE, microBatches));
          rows.writeGradientHash(row, kernel.hash(root, plan.nodeBytes));
        }
        meet(); // the sum is hashed before it becomes the mean
        const updated = updateWeights(row, endPosition - firstPosition, given);
        if (leads) {
          const gradientNorm = Math.sqrt(step.squareNorm());
          rows.finish(row, { gradientNorm, ...(updated ? { weightsHash: kernel.hash(weights, 4 * P) } : {}) });
        }
        if (!updated) return;
      }
    },
    copy(takePiece) {
      const { weights } = readLeaseArguments(control);
      const ranges = Math.ceil(P / RANGE_FLOATS);
      const pieces = ranges * (1 + optimizerSlots);
      for (let piece = takePiece(pieces); piece !== undefined; piece = takePiece(pieces)) {
        const tensor = Math.floor(piece / ranges);
        const from = RANGE_FLOATS * (piece % ranges);
        const count = Math.min(RANGE_FLOATS, P - from);
        const source = tensor === 0 ? weights : optimizerState + 4 * P * (tensor - 1);
        floatsAt(memory, outbox + 4 * (P * tensor + from), count).set(floatsAt(memory, source + 4 * from, count));
      }
    },
  };
}
