/** The benchmark behind the command line: that it runs and says what it is to say. How fast it was is nobody's test. */
import { expect, test } from 'vitest';
import { runCommandLine } from '../command-line/program.js';
import { readEnvironment } from '../environment.js';
import { recordContext } from '../terminal.fixture.js';

interface Report {
  readonly kernels: readonly { readonly name: string; readonly id: string }[];
  readonly absent: readonly { readonly kernel: string; readonly reason: string; readonly fix: string }[];
  readonly sections: readonly {
    readonly name: string;
    readonly figures: readonly {
      readonly subject: string;
      readonly way: string;
      readonly median: number;
      readonly best: number;
      readonly unit: string;
      readonly goals: readonly {
        readonly kind: string;
        readonly value: number;
        readonly measured: number;
        readonly met: boolean;
      }[];
    }[];
  }[];
}

async function run(words: readonly string[], variables: Readonly<Record<string, string>>) {
  const { context, results, talk } = recordContext();
  const inherited = Object.entries(process.env).filter((entry): entry is [string, string] => entry[1] !== undefined);
  const environment = readEnvironment({ ...Object.fromEntries(inherited), ...variables });
  const exitCode = await runCommandLine(words, { ...context, environment });
  return { exitCode, results: results(), talk: talk() };
}

test('a quick benchmark of the kernels gives every figure, names the kernel that is not there, and does not fail for it', async () => {
  const variables = { ROPETEAM_BLAS_LIBRARY: '/not/there/libopenblas.so' };
  const { exitCode, results, talk } = await run(['bench', 'kernel', '--quick', '--json'], variables);
  expect([exitCode, talk]).toEqual([0, '']);
  const { kernels, absent, sections } = JSON.parse(results) as Report;
  const named = [...kernels.map(({ name }) => name), ...absent.map(({ kernel }) => kernel)];
  expect(named).toHaveLength(4);
  expect(new Set(named)).toEqual(new Set(['blas', 'js', 'wasm', 'wasm-fma']));
  expect(absent.find(({ kernel }) => kernel === 'blas')?.reason).toContain('/not/there/libopenblas.so');
  const names = ['products', 'gradients', 'parameters', 'elementwise', 'threads', 'modules'];
  expect(sections.map(({ name }) => name)).toEqual(names);
  for (const { figures } of sections) {
    expect(figures.length).toBeGreaterThan(0);
    expect(figures.some(({ way }) => way === 'wasm' || way === 'tiles')).toBe(true);
    for (const { median, best, goals } of figures) {
      expect(median).toBeGreaterThan(0);
      expect(best).toBeGreaterThan(0);
      for (const { kind, value, measured, met } of goals) {
        expect(met).toBe(kind === 'at least' ? measured >= value : measured <= value);
      }
    }
  }
}, 60_000);
