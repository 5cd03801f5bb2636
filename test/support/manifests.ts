/** The rendered manifests as the tests look at them, alone and with the components that an overlay may add. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { stringify } from 'yaml';
import { CHECKOUT } from './command.js';
import type { Kubectl, Manifest } from './kubectl.js';

/** Every overlay as it is, and with each component that the how-to adds to one. */
export const VARIANTS: readonly { readonly overlay: string; readonly components: readonly string[] }[] = [
  { overlay: 'dev', components: [] },
  { overlay: 'dev-submit', components: [] },
  { overlay: 'dev-monitored', components: ['keda'] },
  { overlay: 'batch', components: [] },
  { overlay: 'production', components: [] },
  { overlay: 'production', components: ['monitoring', 'hpa', 'submit-digits', 'tls'] },
  { overlay: 'production', components: ['object-storage'] },
  { overlay: 'production', components: ['object-storage', 'run-copies'] },
];

/** What the rules look at; anything else is the schema's to judge. */
export interface Container {
  readonly name: string;
  readonly image: string;
  readonly args?: readonly string[];
  readonly env?: readonly { readonly name: string; readonly value?: string }[];
  readonly envFrom?: readonly { readonly configMapRef: { readonly name: string } }[];
  readonly ports?: readonly { readonly name: string; readonly containerPort: number }[];
  readonly securityContext: Readonly<Record<string, unknown>>;
  readonly resources: { readonly requests: Record<string, string>; readonly limits: Record<string, string> };
  readonly startupProbe?: ProbeSpec;
  readonly readinessProbe?: ProbeSpec;
  readonly livenessProbe?: ProbeSpec;
  readonly volumeMounts?: readonly { readonly name: string; readonly mountPath: string }[];
}

export interface ProbeSpec {
  readonly grpc?: { readonly port: number; readonly service?: string };
  readonly httpGet?: { readonly path: string; readonly port: string; readonly scheme?: string };
  readonly tcpSocket?: { readonly port: string };
}

export interface PodTemplate {
  readonly metadata: { readonly labels: Readonly<Record<string, string>> };
  readonly spec: {
    readonly automountServiceAccountToken?: boolean;
    readonly enableServiceLinks?: boolean;
    readonly terminationGracePeriodSeconds?: number;
    readonly topologySpreadConstraints?: readonly { readonly topologyKey: string }[];
    readonly securityContext: Readonly<Record<string, unknown>>;
    readonly containers: readonly Container[];
    readonly volumes: readonly PodVolume[];
  };
}

export interface PodVolume {
  readonly name: string;
  readonly secret?: {
    readonly secretName: string;
    readonly defaultMode?: number;
    readonly items?: readonly { readonly key: string }[];
  };
  readonly configMap?: { readonly name: string };
  readonly persistentVolumeClaim?: { readonly claimName: string };
  readonly emptyDir?: { readonly sizeLimit?: string };
}

export function templatesOf(object: Manifest): readonly PodTemplate[] {
  const spec = object.spec as {
    template?: PodTemplate;
    replicatedJobs?: { template: { spec: { template: PodTemplate } } }[];
  };
  if (object.kind === 'JobSet') return spec.replicatedJobs?.map(({ template }) => template.spec.template) ?? [];
  return ['Deployment', 'StatefulSet', 'Job'].includes(object.kind) && spec.template ? [spec.template] : [];
}

/** An overlay with components and patches of the caller's, as a kustomization of its own beside it would have them. */
export function renderWith(
  kubectl: Kubectl,
  overlay: string,
  components: readonly string[],
  patches: readonly object[] = [],
): readonly Manifest[] {
  const manifests = join(CHECKOUT, 'deploy/kubernetes');
  if (components.length + patches.length === 0) return kubectl.render(join(manifests, 'overlays', overlay));
  const folder = mkdtempSync(join(tmpdir(), 'ropeteam-overlay-'));
  const kustomization = {
    apiVersion: 'kustomize.config.k8s.io/v1beta1',
    kind: 'Kustomization',
    namespace: 'ropeteam',
    resources: [relative(folder, join(manifests, 'overlays', overlay))],
    components: components.map((name) => relative(folder, join(manifests, 'components', name))),
    images: [{ name: 'ropeteam', newName: 'localhost/ropeteam', newTag: '0.1.0' }],
    patches,
  };
  try {
    writeFileSync(join(folder, 'kustomization.yaml'), stringify(kustomization));
    return kubectl.render(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
