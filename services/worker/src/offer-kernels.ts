import { type KernelName, KernelUnavailableError, offeredKernels } from '#engine';
import { RopeteamError } from '#training';
import type { WorkerConfiguration } from './configuration.js';

/** The kernels this worker can be asked to compute with, by id. @throws ENVIRONMENT.KERNEL when it lacks the one it must use */
export async function offerKernels({
  kernel,
  blasLibrary,
}: WorkerConfiguration): Promise<ReadonlyMap<string, KernelName>> {
  try {
    return await offeredKernels(kernel, blasLibrary);
  } catch (cause) {
    if (!(cause instanceof KernelUnavailableError)) throw cause;
    throw new RopeteamError('ENVIRONMENT.KERNEL', { kernel: cause.kernel }, cause.message, { hint: cause.fix, cause });
  }
}
