import { type ChosenKernel, chooseKernel, KernelUnavailableError } from '#engine';
import { RopeteamError } from '#training';
import type { CoordinatorConfiguration } from './configuration.js';

/** The kernel all of this coordinator's runs are computed with. @throws ENVIRONMENT.KERNEL when this machine lacks it */
export async function settleKernel({ kernel, blasLibrary }: CoordinatorConfiguration): Promise<ChosenKernel> {
  try {
    return await chooseKernel(kernel, blasLibrary);
  } catch (cause) {
    if (!(cause instanceof KernelUnavailableError)) throw cause;
    throw new RopeteamError('ENVIRONMENT.KERNEL', { kernel: cause.kernel }, cause.message, { hint: cause.fix, cause });
  }
}
