/** Which kernel a process computes with: the one that was asked for, or the fastest there is. Never a silent choice. */
import { KERNEL_NAMES, type KernelName } from './engine.js';
import { KernelUnavailableError } from './engine-errors.js';
import { loadKernel } from './kernel-loading.js';

/** What `--kernel` takes. */
export const KERNEL_CHOICES = [...KERNEL_NAMES, 'auto'] as const;

export type KernelChoice = (typeof KERNEL_CHOICES)[number];

export interface ChosenKernel {
  readonly name: KernelName;
  /** For example `wasm-simd128/1`. */
  readonly id: string;
  /** Why this one, for logs and people; undefined when it was asked for by name. */
  readonly reason: string | undefined;
}

/** A kernel that this machine has, or why not. */
export type KernelFinding =
  | { readonly kind: 'found'; readonly name: KernelName; readonly id: string; readonly description?: string }
  | { readonly kind: 'absent'; readonly name: KernelName; readonly reason: string; readonly fix: string };

/** For `auto`: fastest first, as measured (docs/kernels.md); `js` is for reading and for tests. */
const FASTEST_FIRST: readonly KernelName[] = ['blas', 'wasm-fma', 'wasm'];

/** @throws whatever is wrong other than that the machine lacks the kernel */
export async function findKernel(name: KernelName, blasLibrary?: string): Promise<KernelFinding> {
  try {
    const { id, description } = await loadKernel({
      kernel: name,
      ...(blasLibrary === undefined ? {} : { blasLibrary }),
    });
    return { kind: 'found', name, id, ...(description === undefined ? {} : { description }) };
  } catch (error) {
    if (!(error instanceof KernelUnavailableError)) throw error;
    return { kind: 'absent', name, reason: error.what, fix: error.fix };
  }
}

/**
 * Settles on one kernel: what a coordinator does.
 * @throws KernelUnavailableError when the one that was asked for is not there
 */
export async function chooseKernel(choice: KernelChoice, blasLibrary?: string): Promise<ChosenKernel> {
  const names = choice === 'auto' ? FASTEST_FIRST : [choice];
  const lacking: string[] = [];
  for (const name of names) {
    const finding = await findKernel(name, blasLibrary);
    if (finding.kind === 'found') {
      const { id, description } = finding;
      const what = description === undefined ? name : `${name} (${description})`;
      const others = lacking.length === 0 ? '' : `; ${lacking.join('; ')}`;
      const reason = choice === 'auto' ? `${what} is the fastest this machine has${others}` : undefined;
      return { name, id, reason };
    }
    if (name === names.at(-1)) throw new KernelUnavailableError(name, finding.reason, finding.fix);
    lacking.push(`no ${name}: ${finding.reason}`);
  }
  throw new RangeError('no kernel to choose from');
}

/**
 * Every kernel that `choice` allows, by id: what a worker offers its coordinator.
 * @throws KernelUnavailableError when the one that was asked for is not there
 */
export async function offeredKernels(
  choice: KernelChoice,
  blasLibrary?: string,
): Promise<ReadonlyMap<string, KernelName>> {
  if (choice !== 'auto') {
    const { id, name } = await chooseKernel(choice, blasLibrary);
    return new Map([[id, name]]);
  }
  const findings = await Promise.all([...FASTEST_FIRST, 'js' as const].map((name) => findKernel(name, blasLibrary)));
  return new Map(findings.flatMap((finding) => (finding.kind === 'found' ? [[finding.id, finding.name]] : [])));
}
