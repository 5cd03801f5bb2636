import type { ControlBlock } from './control-block.js';
import { ENDED_MS, STARTED_MS } from './control-block.js';
import type { LeaseEngine, LeaseRequest, LeaseResult, WindowedRows, WorkerEngineOptions } from './engine.js';
import { type LeaseTable, leaseRows, MOST_LEASE_STEPS, writeLeaseArguments } from './lease-commands.js';
import { floatsAt, type SharedMemory } from './linear-memory.js';
import { RANGE_FLOATS, type WorkerMemoryPlan } from './memory-plan.js';
import type { OneAtATime } from './one-at-a-time.js';
import { averageParticipants, crewOfSteps } from './participants.js';
import type { ThreadCrew } from './thread-crew.js';
import { checkWindows } from './windowed-rows.js';
import { LEASE, SNAPSHOT } from './worker-commands.js';

export interface WorkerLeaseParts {
  readonly options: WorkerEngineOptions;
  readonly plan: WorkerMemoryPlan;
  readonly control: ControlBlock;
  readonly memory: SharedMemory;
  readonly crew: ThreadCrew;
  readonly calls: OneAtATime;
  readonly table: LeaseTable | undefined;
  readonly windows: WindowedRows | undefined;
  /** Threads that have a core. */
  readonly busyThreads: number;
  /** Byte address of the weights that leases update. */
  readonly updatedWeights: () => number;
  /** Makes sure of the weights that gradients are computed on. */
  readonly computable: () => Promise<number>;
  /** Byte address of the weights a lease is sent. */
  readonly receivedWeights: () => number;
  readonly adoptReceived: () => void;
}

/** The calling thread's side of leases; nothing without room for them. */
export function workerLease(parts: WorkerLeaseParts): LeaseEngine | undefined {
  const { options, plan, control, memory, crew, calls, table, busyThreads, updatedWeights } = parts;
  const { lease, parameterCount, subtreeGradients } = plan;
  if (lease === undefined || table === undefined) return undefined;
  const { update } = options;
  const rows = leaseRows(control, table);
  const { numbers } = control;
  const floats = parameterCount * lease.optimizerSlots;
  const ranges = Math.ceil(parameterCount / RANGE_FLOATS);

  async function run(request: LeaseRequest): Promise<LeaseResult> {
    checkLeaseRequest(request, options);
    const { epoch, firstStep, steps } = request;
    checkWindows(parts.windows, epoch, steps[0]!.firstPosition, steps.at(-1)!.endPosition); // at least one was checked
    const { together, participants } = crewOfSteps(options, {
      busyThreads,
      parameterCount,
      subtrees: subtreeGradients.length,
    });
    const clipNorm = update?.clipNorm ?? Number.POSITIVE_INFINITY;
    const weights = updatedWeights();
    await parts.computable();
    writeLeaseArguments(control, { epoch, firstStep, steps: steps.length, weights, clipNorm, together });
    for (const [step, given] of steps.entries()) rows.writeRequest(step, given);
    await crew.run({ command: LEASE, participants, phases: 1 });
    return { ...rows.readResult(), computeMs: numbers[ENDED_MS]! - numbers[STARTED_MS]! };
  }

  async function snapshot(): Promise<Float32Array<SharedArrayBuffer>> {
    const nothing = { epoch: 0, firstStep: 0, steps: 0, clipNorm: 0, together: false };
    writeLeaseArguments(control, { ...nothing, weights: updatedWeights() });
    await crew.run({ command: SNAPSHOT, participants: averageParticipants(busyThreads, ranges), phases: 1 });
    return outbox;
  }

  const outbox = floatsAt(memory, lease.outbox, parameterCount + floats);
  return {
    optimizerState: floatsAt(memory, lease.optimizerState, floats),
    get receivedWeights() {
      return floatsAt(memory, parts.receivedWeights(), parameterCount);
    },
    adoptReceived: parts.adoptReceived,
    run: (request) => calls.run(() => run(request)),
    snapshot: () => calls.run(snapshot),
  };
}

function checkLeaseRequest({ epoch, firstStep, steps }: LeaseRequest, options: WorkerEngineOptions): void {
  const { batch, trainSamples } = options;
  for (const [name, value] of Object.entries({ epoch, firstStep })) {
    if (!Number.isSafeInteger(value) || value < 0)
      throw new RangeError(`${name} must be a natural number, received ${value}`);
  }
  if (steps.length < 1 || steps.length > MOST_LEASE_STEPS) {
    throw new RangeError(`a lease has 1 to ${MOST_LEASE_STEPS} steps, received ${steps.length}`);
  }
  for (const { firstPosition, endPosition, learningRate } of steps) {
    const samples = endPosition - firstPosition;
    if (!(firstPosition >= 0 && samples >= 1 && samples <= batch && endPosition <= trainSamples)) {
      throw new RangeError(`positions [${firstPosition}, ${endPosition}) are not a batch of at most ${batch} samples`);
    }
    if (!Number.isFinite(learningRate)) throw new RangeError(`learningRate must be finite, received ${learningRate}`);
  }
}
