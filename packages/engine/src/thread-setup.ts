import type { ControlBlock } from './control-block.js';
import type { AveragerEngineOptions, WorkerEngineOptions } from './engine.js';
import type { LoadedKernel } from './kernel-loading.js';
import type { SharedMemory } from './linear-memory.js';
import type { AveragerMemoryPlan, WorkerMemoryPlan } from './memory-plan.js';
import type { SharedTally } from './shared-tally.js';

/** What a kernel thread is started with. */
export type ThreadSetup = {
  readonly index: number;
  readonly control: ControlBlock;
  readonly memory: SharedMemory;
  readonly kernel: LoadedKernel;
} & (
  | {
      readonly role: 'worker';
      readonly options: WorkerEngineOptions;
      readonly plan: WorkerMemoryPlan;
      readonly tally: SharedTally;
    }
  | { readonly role: 'averager'; readonly options: AveragerEngineOptions; readonly plan: AveragerMemoryPlan }
);
