import { addLossSums, type Kernel, type LossSums, microBatchRange } from '#kernel';
import { TABLE } from './control-block.js';
import { createGradientNodes } from './gradient-nodes.js';
import { computeBlock, type GradientWork } from './lease-performer.js';
import { floatsAt } from './linear-memory.js';
import { localTable, readLocalRates } from './local-commands.js';
import { foldLossSumsTable, NO_LOSS, writeLossSums } from './loss-sums.js';
import { RANGE_FLOATS } from './memory-plan.js';
import { reduceSubtree } from './reduction-tree.js';
import { createStepUpdate } from './step-update.js';
import type { ThreadSetup } from './thread-setup.js';
import { readGradientArguments } from './worker-commands.js';

export interface LocalPerformer {
  /** All replicas of a block. Every participant calls this once, after it has gathered. */
  computeReplicas(): void;
  /** Hash of what they came to. */
  hash(): bigint;
}

/**
 * Replicas of a round, one after the other, each by all threads: from the current weights and an optimizer state of zeros,
 * step after step on its own share of the samples. What a replica leaves is the difference it made, weights at the start minus
 * weights at the end: that is a leaf of the round's tree. Threads meet as in a lease, and only there.
 *
 * A loss or a mean gradient that is not finite makes the replica's difference NaN, as it would make a gradient.
 * @returns nothing for a run without local steps
 */
export function createLocalPerformer(
  { index, control, memory, options, plan }: ThreadSetup & { role: 'worker' },
  kernel: Kernel,
  work: GradientWork,
): LocalPerformer | undefined {
  const { local: settings, model, microBatches: replicas, seed, wire = 'float32' } = options;
  const { local, parameterCount: P, subtreeGradients } = plan;
  if (settings === undefined || local === undefined) return undefined;
  const { microBatches, batch, clipNorm = Number.POSITIVE_INFINITY } = settings;
  const { numbers } = control;
  const { team } = work;
  const update = { ...settings, model };
  const table = localTable(options, settings);
  const step = createStepUpdate(kernel, update, {
    parameterCount: P,
    optimizerState: local.optimizerState,
    optimizerSlots: local.optimizerSlots,
    squareSums: numbers.subarray(table.squareSums),
    norms: numbers.subarray(table.norms),
    nodes: work.nodes,
  });
  const nodes = createGradientNodes(kernel, { wire, parameterCount: P, microBatches: replicas, seed });
  const root = subtreeGradients[0]!; // there is always at least one subtree
  const leads = index === 0;
  const meet = (): void => team.share(0, () => undefined);
  const countOf = (range: number): number => Math.min(RANGE_FLOATS, P - RANGE_FLOATS * range);
  const rangeAt = (address: number, range: number): Float32Array =>
    floatsAt(memory, address + 4 * RANGE_FLOATS * range, countOf(range));

  /** The replica begins with the round's weights, and its optimizer with nothing. */
  function begin(weights: number): void {
    team.share(nodes.ranges, (range) => {
      rangeAt(local!.weights, range).set(rangeAt(weights, range));
      for (let slot = 0; slot < local!.optimizerSlots; slot++) {
        rangeAt(local!.optimizerState + 4 * P * slot, range).fill(0);
      }
    });
  }

  /** @returns whether there was an update */
  function updateWeights(localStep: number, samples: number, learningRate: number): boolean {
    team.share(step.ranges, step.takeMean(root, root, samples));
    if (!Number.isFinite(numbers[table.sums + 1]!)) return false; // the loss
    const given = { step: localStep, learningRate, clipNorm, gradient: root, weights: local!.weights };
    for (const phase of [step.update, step.descend]) {
      if (phase === undefined) continue;
      const updating = phase(given);
      if (updating === undefined) return false;
      team.share(step.ranges, updating);
    }
    return true;
  }

  /** Leaves the replica's difference in `node`. @returns its sums, to the first thread */
  function computeReplica(replica: number, node: number): LossSums {
    const given = readGradientArguments(control);
    const { epoch, firstPosition, endPosition, weights, together } = given;
    const own = microBatchRange(firstPosition, endPosition, replicas, replica);
    begin(weights);
    let sums = NO_LOSS;
    let finite = true;
    for (let at = own.begin, localStep = 0; at < own.end && finite; at += batch, localStep++) {
      const end = Math.min(at + batch, own.end);
      const block = { step: given.step, epoch, firstPosition: at, endPosition: end, begin: 0, end: microBatches };
      computeBlock(work, { ...block, weights: local!.weights, together }, subtreeGradients.length);
      if (leads) {
        const made = foldLossSumsTable(numbers, TABLE, microBatches);
        writeLossSums(numbers, table.sums, 0, made);
        sums = localStep === 0 ? made : addLossSums(sums, made);
      }
      meet(); // the loss is known to all
      finite = updateWeights(localStep, end - at, readLocalRates(control, table, localStep));
    }
    const leaf = wire === 'float32' ? node : root;
    team.share(nodes.ranges, (range) => {
      const into = rangeAt(leaf, range);
      const [from, to] = [rangeAt(weights, range), rangeAt(local!.weights, range)];
      for (let p = 0; p < into.length; p++) into[p] = finite ? from[p]! - to[p]! : Number.NaN;
    });
    if (leaf !== node) team.share(nodes.ranges, nodes.fromLeaf(leaf, node, given.step, replica));
    return sums;
  }

  return {
    computeReplicas() {
      const { step: round, begin: first, end } = readGradientArguments(control);
      const sums: LossSums[] = [];
      const leaf = (replica: number, node: number): void => {
        sums.push(computeReplica(replica, node));
      };
      reduceSubtree({ begin: first, end }, local.levels, leaf, (into, right, parent) =>
        team.share(nodes.ranges, nodes.fold(into, right, round, parent)),
      );
      if (leads) for (const [row, made] of sums.entries()) writeLossSums(numbers, TABLE, row, made);
    },
    hash: () => kernel.hash(local.levels[0]!, nodes.bytes),
  };
}
