/** numpy beside us, in a process of its own that computes only when it is its turn. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { Way } from './take-turns.js';
import type { Product } from './workloads.js';

export interface NumpyPeer extends AsyncDisposable {
  /** For example `numpy 1.24.2 on libopenblasp-r0.3.21.so`. */
  readonly description: string;
  multiply(products: readonly Product[]): Way;
}

/** The checkout, from dist/bench/kernel/. */
const SCRIPT = fileURLToPath(new URL('../../../bench/peers/gemm.py', import.meta.url));

/** The system's first: its numpy takes the OpenBLAS that the kernel `blas` finds; others bring one along. */
const PYTHONS = ['/usr/bin/python3', 'python3'] as const;

/** The first Python that has numpy, or undefined. */
export async function openNumpy(): Promise<NumpyPeer | undefined> {
  for (const python of PYTHONS) {
    const peer = await start(python);
    if (peer !== undefined) return peer;
  }
  return undefined;
}

async function start(python: string): Promise<NumpyPeer | undefined> {
  const environment = { ...process.env, OPENBLAS_NUM_THREADS: '1', OMP_NUM_THREADS: '1' };
  const child = spawn(python, [SCRIPT], { env: environment, stdio: ['pipe', 'pipe', 'ignore'] });
  const ended = once(child, 'close').catch(() => undefined); // no such Python: there is nothing to wait for
  child.stdin.on('error', () => undefined); // it ended: reading its answer tells
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const first = await lines.next();
  if (first.done === true) return undefined;
  const { numpy, library } = JSON.parse(first.value) as { readonly numpy: string; readonly library: string };
  const ask = async (request: object): Promise<number> => {
    child.stdin.write(`${JSON.stringify(request)}\n`);
    const answer = await lines.next();
    if (answer.done === true) throw new Error(`${python} ${SCRIPT} ended in the middle of the benchmark`);
    return Number(answer.value);
  };
  return {
    description: `numpy ${numpy} on ${library}`,
    multiply(products) {
      let forget = true; // operands of the products before are not needed any more
      return (times) => {
        const answer = ask({ products, times, forget });
        forget = false;
        return answer;
      };
    },
    async [Symbol.asyncDispose]() {
      child.stdin.end();
      await ended;
    },
  };
}
