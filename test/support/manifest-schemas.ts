/** Schemas of the objects that Kubernetes, the Prometheus operator and KEDA know, and their types for unknown fields. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { CHECKOUT } from './command.js';
import type { Manifest } from './kubectl.js';

/** Where the model of a kind is; JobSet and Kueue publish theirs nowhere that npm reaches. */
const MODULES: Readonly<Record<string, string>> = {
  v1: 'kubernetes-models/v1',
  'apps/v1': 'kubernetes-models/apps/v1',
  'batch/v1': 'kubernetes-models/batch/v1',
  'policy/v1': 'kubernetes-models/policy/v1',
  'networking.k8s.io/v1': 'kubernetes-models/networking.k8s.io/v1',
  'autoscaling/v2': 'kubernetes-models/autoscaling/v2',
  'monitoring.coreos.com/v1': '@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1',
  'keda.sh/v1alpha1': '@kubernetes-models/keda/keda.sh/v1alpha1',
};
const WITHOUT_SCHEMA = new Set(['jobset.x-k8s.io/v1alpha2', 'kueue.x-k8s.io/v1beta1']);

const require = createRequire(import.meta.url);

interface Model {
  validate(): void;
}

/** A pod template inside a kind without a schema still has one: that of a Pod. */
export function knownObjects(objects: readonly Manifest[]): readonly Manifest[] {
  return objects.flatMap((object): readonly Manifest[] => {
    if (!WITHOUT_SCHEMA.has(object.apiVersion)) return [object];
    const { replicatedJobs = [] } = (object.spec ?? {}) as {
      readonly replicatedJobs?: readonly { readonly name: string; readonly template: { readonly spec: object } }[];
    };
    return replicatedJobs.map(({ name, template }) => ({
      apiVersion: 'batch/v1',
      kind: 'Job',
      metadata: { name: `${object.metadata.name}-${name}` },
      spec: template.spec,
    }));
  });
}

/** What the schema of an object's kind has against it; undefined: nothing. */
export function schemaError(object: Manifest): string | undefined {
  const module = MODULES[object.apiVersion];
  if (module === undefined) return `no schema for ${object.apiVersion}`;
  const models = require(module) as Readonly<Record<string, new (data: object) => Model>>;
  const Kind = models[object.kind];
  if (Kind === undefined) return `no ${object.kind} in ${object.apiVersion}`;
  try {
    new Kind(object).validate();
    return undefined;
  } catch (error) {
    return `${object.kind} ${object.metadata.name}: ${error instanceof Error ? error.message : String(error)}`;
  }
}

/** Has the compiler read the objects as literals of their types: a field that is not there is an error. Empty: none. */
export function typeErrors(objects: readonly Manifest[]): string {
  const folder = join(CHECKOUT, 'dist', `manifest-types-${process.pid}`);
  mkdirSync(folder, { recursive: true });
  try {
    const lines = objects.map(({ apiVersion, kind, ...rest }, index) => {
      const type = `import(${JSON.stringify(MODULES[apiVersion])}).I${kind}`;
      return `export const object${index}: ${type} = ${JSON.stringify({ apiVersion, kind, ...rest })};`;
    });
    const file = join(folder, 'objects.mts');
    writeFileSync(file, lines.join('\n'));
    const compiler = join(dirname(require.resolve('typescript/package.json')), 'bin/tsc');
    const options = [
      '--noEmit',
      '--strict',
      '--skipLibCheck',
      '--module',
      'nodenext',
      '--target',
      'es2023',
      '--types',
      '',
    ];
    const done = spawnSync(process.execPath, [compiler, '--ignoreConfig', ...options, file], {
      encoding: 'utf8',
      cwd: folder,
    });
    return done.stdout + done.stderr;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
