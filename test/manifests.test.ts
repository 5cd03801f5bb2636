/** The manifests as kubectl renders them, held against the rules of docs/kubernetes.md and against the services' code. */
import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { LIVENESS_SERVICE } from '#protocol';
import { readConfiguration as readCoordinator } from '../services/coordinator/src/configuration.js';
import { readConfiguration as readWorker } from '../services/worker/src/configuration.js';
import { CHECKOUT } from './support/command.js';
import { makeDocumentedSecrets } from './support/documented-secrets.js';
import { readText } from './support/documents.js';
import { unpackKubectl } from './support/kubectl.js';
import { type Container, type PodTemplate, renderWith, templatesOf, VARIANTS } from './support/manifests.js';
import { allowedEdges, type Peer } from './support/network-edges.js';

interface ServiceSpec {
  readonly selector: Readonly<Record<string, string>>;
  readonly ports: readonly { readonly targetPort: string }[];
}

/** A lease is planned for a second at most; a long block, or a model and its checkpoint on a slow disk, may take this. */
const DRAIN_SECONDS = 60;

const kubectl = unpackKubectl((folder) => rmSync(folder, { recursive: true, force: true }));
if (kubectl === undefined) console.error('! manifests are not tested: this machine cannot unzip and run kubectl');
/** The manifests hold none. */
const secrets = kubectl === undefined ? undefined : makeDocumentedSecrets(kubectl);
afterAll(() => {
  secrets?.[Symbol.dispose]();
  kubectl?.[Symbol.dispose]();
});

// reason for the skip: this machine cannot unzip and run kubectl; said above
describe.skipIf(kubectl === undefined).each(VARIANTS)(
  'overlays/$overlay with $components',
  ({ overlay, components }) => {
    const objects = kubectl === undefined ? [] : renderWith(kubectl, overlay, components);
    const templates = objects.flatMap(templatesOf);
    const settings = objects.find(
      ({ kind, metadata }) => kind === 'ConfigMap' && metadata.name.startsWith('settings-'),
    );
    const data = (settings?.data ?? {}) as Readonly<Record<string, string>>;

    test('every pod is restricted: no root, no privilege, no token, nothing to write but its volumes', () => {
      expect(templates.length).toBeGreaterThanOrEqual(2);
      for (const { spec } of templates) {
        expect(spec.automountServiceAccountToken).toBe(false);
        expect(spec.securityContext).toMatchObject({ runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } });
        expect(spec.securityContext.runAsUser).toBeGreaterThan(0);
        expect(spec.enableServiceLinks).toBe(false);
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
          const written = spec.volumes.flatMap(({ emptyDir }) => (emptyDir === undefined ? [] : [emptyDir]));
          for (const { sizeLimit } of written) expect(sizeLimit).toMatch(/^\d+[MG]i$/);
          for (const { secret } of spec.volumes) if (secret !== undefined) expect(secret.defaultMode).toBe(0o440);
        }
      }
    });

    test('the services’ own code accepts arguments and environment, and uses every setting of the ConfigMap', () => {
      const used = new Set<string>();
      const services = templates.flatMap((template) =>
        template.spec.containers.flatMap((container) =>
          container.args === undefined ? [] : [{ ...container, mounted: mountedEnvironment(template, container) }],
        ),
      );
      for (const { args = [], env = [], envFrom = [], ports = [], mounted } of services) {
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
        const asked = new Set<string>();
        const variables = new Proxy<NodeJS.ProcessEnv>(
          { ...data, ...mounted },
          {
            get: (target, name: string) => {
              asked.add(name);
              return target[name];
            },
          },
        );
        const read = command === 'coordinator' ? readCoordinator(flags, variables) : readWorker(flags, variables);
        const opened = 'port' in read ? [read.port, read.httpPort] : [read.metricsPort];
        expect(ports.map(({ containerPort }) => containerPort)).toEqual(opened);
        if ('objectStore' in read) {
          const store = mounted.AWS_ENDPOINT_URL === undefined ? undefined : read.objectStore();
          expect(store?.credentials !== undefined).toBe(components.includes('object-storage'));
          expect(read.copyRunsTo !== undefined).toBe(components.includes('run-copies'));
        }
        // Plaintext is said, or is not there.
        const isClosed = read.tls !== undefined && read.httpTokens !== undefined;
        expect(read.leftOpen.length === 0).toBe(isClosed);
        expect(isClosed).toBe(overlay === 'production');
        for (const { name } of env) if (/^(?:ROPETEAM|AWS)_/.test(name)) expect(asked).toContain(name);
        for (const name of asked) if (name in data) used.add(name);
      }
      expect(used).toEqual(new Set(Object.keys(data)));
    });

    test('plaintext is nowhere in production, not even when Prometheus asks, and elsewhere it is one setting', () => {
      const isProduction = overlay === 'production';
      expect(Object.keys(data).includes('ROPETEAM_INSECURE')).toBe(!isProduction);
      const containers = templates.flatMap(({ spec }) => spec.containers);
      expect(containers.filter(({ args }) => args?.includes('--insecure'))).toEqual([]);
      expect(containers.filter(({ env }) => env?.some(({ name }) => name === 'ROPETEAM_INSECURE'))).toEqual([]);
      if (!isProduction) return;
      for (const container of containers) {
        expect(container.env, container.name).toContainEqual({ name: 'ROPETEAM_TLS', value: '/run/secrets/tls' });
        expect([container.startupProbe, container.readinessProbe, container.livenessProbe]).not.toContainEqual(
          expect.objectContaining({ grpc: expect.anything() }),
        );
      }
      const [grpc] = objects.filter(({ kind, metadata }) => kind === 'Service' && metadata.name === 'coordinator');
      expect(JSON.stringify(grpc)).not.toContain('h2c');
      for (const { metadata, spec } of objects.filter(({ kind }) => kind === 'PodMonitor')) {
        const { podMetricsEndpoints } = spec as { readonly podMetricsEndpoints: readonly object[] };
        const authorization = { credentials: { name: 'http-tokens', key: 'metrics.token' } };
        const tlsConfig = { ca: { secret: { name: 'coordinator-tls', key: 'ca.crt' } }, serverName: 'coordinator' };
        const https = metadata.name === 'coordinator' ? { scheme: 'https', tlsConfig } : {};
        expect(podMetricsEndpoints).toEqual([expect.objectContaining({ authorization, ...https })]);
      }
    });

    test('probes are three, each asks what the code answers, and none that ends a container depends on Redis', () => {
      const services = objects.filter(({ kind }) => kind !== 'Job').flatMap(templatesOf);
      for (const container of services.flatMap(({ spec }) => spec.containers)) {
        if (container.name === 'submit' || container.name === 'redis') continue;
        const { startupProbe, readinessProbe, livenessProbe } = container;
        expect([startupProbe, livenessProbe].map((probe) => asks(container, probe))).toEqual(['alive', 'alive']);
        expect(asks(container, readinessProbe)).toBe('ready');
      }
    });

    test('a pod has longer to leave than a drain takes, and losing pods to maintenance is bounded', () => {
      for (const { metadata, spec } of objects.filter(({ kind }) => kind !== 'Job').flatMap(templatesOf)) {
        const name = metadata.labels['app.kubernetes.io/name'];
        if (name !== 'coordinator' && name !== 'worker') continue;
        expect(spec.terminationGracePeriodSeconds).toBeGreaterThanOrEqual(DRAIN_SECONDS);
      }
      const workers = objects.find(({ kind, metadata }) => kind === 'StatefulSet' && metadata.name === 'worker');
      if (workers === undefined) return; // a JobSet's are admitted together, and never moved
      const budget = objects.find(({ kind, metadata }) => kind === 'PodDisruptionBudget' && metadata.name === 'worker');
      expect(budget?.spec).toMatchObject({
        maxUnavailable: 1,
        selector: (workers.spec as { selector: object }).selector,
      });
      const [template] = templatesOf(workers);
      expect(template?.spec.topologySpreadConstraints?.map(({ topologyKey }) => topologyKey)).toEqual([
        'kubernetes.io/hostname',
      ]);
    });

    test('whatever is named is there: ConfigMaps, claims, and the Secrets of the how-to', () => {
      const there = new Set(objects.map(({ kind, metadata }) => `${kind}/${metadata.name}`));
      for (const { spec } of templates) {
        for (const { configMap, persistentVolumeClaim, secret } of spec.volumes) {
          if (configMap !== undefined) expect(there).toContain(`ConfigMap/${configMap.name}`);
          if (persistentVolumeClaim !== undefined)
            expect(there).toContain(`PersistentVolumeClaim/${persistentVolumeClaim.claimName}`);
          const made = secrets?.objects.find(({ metadata }) => metadata.name === secret?.secretName);
          if (secret !== undefined) expect(made, `Secret ${secret.secretName} is made by the how-to`).toBeDefined();
          for (const { key } of secret?.items ?? []) expect(made?.data).toHaveProperty([key]);
        }
        for (const { envFrom = [], volumeMounts = [] } of spec.containers) {
          for (const { configMapRef } of envFrom) expect(there).toContain(`ConfigMap/${configMapRef.name}`);
          expect(spec.volumes.map(({ name }) => name)).toEqual(
            expect.arrayContaining(volumeMounts.map(({ name }) => name)),
          );
        }
      }
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

    test('policies let through what the table of docs/kubernetes.md lists and nothing else; no secret is rendered', () => {
      const policies = objects.filter(({ kind }) => kind === 'NetworkPolicy');
      expect(policies.find(({ metadata }) => metadata.name === 'default-deny')?.spec).toEqual({
        podSelector: {},
        policyTypes: ['Ingress', 'Egress'],
      });
      const inside = templates.map(
        ({ metadata: { labels } }): Peer => ({ name: nameOf(labels), namespace: 'ropeteam', labels }),
      );
      const client: Peer = {
        name: 'client',
        namespace: 'ropeteam',
        labels: { 'ropeteam.dev/client': 'true', 'app.kubernetes.io/part-of': 'ropeteam' },
      };
      const outside: readonly Peer[] = [
        { name: 'prometheus', namespace: 'monitoring', labels: { 'app.kubernetes.io/name': 'prometheus' } },
        { name: 'stranger', namespace: 'monitoring', labels: { 'app.kubernetes.io/name': 'stranger' } },
        { name: 'dns', namespace: 'kube-system', labels: { 'k8s-app': 'kube-dns' } },
        { name: 'elsewhere', namespace: '', labels: {}, address: '203.0.113.9' },
        ...(overlay === 'production' ? [{ name: 'redis', namespace: '', labels: {}, address: '192.0.2.10' }] : []),
        ...(components.includes('object-storage')
          ? [{ name: 'objects', namespace: '', labels: {}, address: '192.0.2.20' }]
          : []),
      ];
      const peers = [...inside.filter(({ name }) => name !== 'submit'), client, ...outside];
      const allowed = allowedEdges(policies, 'ropeteam', peers, [53, 443, 6379, 9464, 50051]);
      expect(allowed).toEqual(new Set(documentedEdges(peers)));
      expect(objects.filter(({ kind }) => kind === 'Secret')).toEqual([]);
    });
  },
);

const nameOf = (labels: Readonly<Record<string, string>>): string => labels['app.kubernetes.io/name'] ?? '';

/** The table of the document: its words for who speaks and who listens, and the peers here that they mean. */
function documentedEdges(peers: readonly Peer[]): readonly string[] {
  const words: Readonly<Record<string, readonly string[]>> = {
    worker: ['worker'],
    coordinator: ['coordinator'],
    'pods with `ropeteam.dev/client: "true"`': ['client'],
    Redis: ['redis'],
    'object storage (its component)': peers.filter(({ name }) => name === 'objects').map(({ name }) => name),
    'Prometheus in the namespace `monitoring`': ['prometheus'],
    all: peers.filter(({ namespace }) => namespace === 'ropeteam').map(({ name }) => name),
    'the cluster’s DNS': ['dns'],
  };
  const section = readText(CHECKOUT, 'docs/kubernetes.md').split('## What may reach what')[1] ?? '';
  const rows = [...section.matchAll(/^\| (.+?) +\| (.+?) +\| (\d+) +\|$/gm)];
  expect(rows.length).toBeGreaterThan(3);
  const named = (cell = ''): readonly string[] =>
    cell.split(', ').flatMap((word) => words[word.replace("'", '’')] ?? [`unknown: ${word}`]);
  return rows.flatMap(([, from, to, port]) =>
    named(from).flatMap((one) => named(to).map((other) => `${one} > ${other}:${port}`)),
  );
}

/** What the kubelet learns from a probe, if the service answers it at all. */
function asks({ ports = [] }: Container, probe: Container['livenessProbe']): string | undefined {
  if (probe?.grpc !== undefined) {
    expect(ports.map(({ containerPort }) => containerPort)).toContain(probe.grpc.port);
    return probe.grpc.service === LIVENESS_SERVICE ? 'alive' : probe.grpc.service === undefined ? 'ready' : undefined;
  }
  expect(ports.map(({ name }) => name)).toContain(probe?.httpGet?.port);
  return { '/healthz': 'alive', '/readyz': 'ready' }[probe?.httpGet?.path ?? ''];
}

/** The environment of a container, its Secrets mounted here: a path in it that no Secret is mounted at leads nowhere. */
function mountedEnvironment({ spec }: PodTemplate, { env = [], volumeMounts = [] }: Container): NodeJS.ProcessEnv {
  const folders = volumeMounts.flatMap(({ name, mountPath }) => {
    const { secret } = spec.volumes.find((volume) => volume.name === name) ?? {};
    return secret === undefined ? [] : [{ mountPath, folder: secrets?.folderOf(secret.secretName) ?? '' }];
  });
  const here = (value = ''): string => {
    const at = folders.find(({ mountPath }) => value === mountPath || value.startsWith(`${mountPath}/`));
    return at === undefined ? value : at.folder + value.slice(at.mountPath.length);
  };
  return Object.fromEntries(env.map(({ name, value }) => [name, here(value)]));
}

describe.skipIf(kubectl === undefined)('components/monitoring, keda and hpa', () => {
  const objects = kubectl === undefined ? [] : renderWith(kubectl, 'dev', ['monitoring', 'keda', 'hpa']);
  const find = (kind: string) => objects.filter((object) => object.kind === kind);

  test('the rules are those of deploy/prometheus: else run scripts/write-prometheus-rule.mjs', () => {
    const groups = ['records.yml', 'alerts.yml'].flatMap(
      (file) => (parse(readText(CHECKOUT, `deploy/prometheus/${file}`)) as { groups: readonly object[] }).groups,
    );
    expect(find('PrometheusRule').map(({ spec }) => spec)).toEqual([{ groups }]);
  });

  test('the dashboards are those of deploy/grafana, all of them', () => {
    const [boards] = find('ConfigMap').filter(({ metadata }) => metadata.name === 'ropeteam-dashboards');
    const files = readdirSync(join(CHECKOUT, 'deploy/grafana/dashboards'));
    const texts = files.map((file) => [file, readText(CHECKOUT, `deploy/grafana/dashboards/${file}`)]);
    expect(boards?.data).toEqual(Object.fromEntries(texts));
    expect(boards?.metadata).toMatchObject({ labels: { grafana_dashboard: '1' } });
  });

  test('monitors find the pods, and give them the jobs that rules and dashboards ask for', () => {
    const monitors = find('PodMonitor').map(({ metadata, spec }) => ({
      name: metadata.name,
      ...(spec as {
        readonly selector: { readonly matchLabels: Readonly<Record<string, string>> };
        readonly podMetricsEndpoints: readonly { port: string; relabelings: readonly Record<string, string>[] }[];
      }),
    }));
    expect(new Set(monitors.map(({ name }) => name))).toEqual(new Set(['coordinator', 'worker']));
    for (const { name, selector, podMetricsEndpoints } of monitors) {
      const [pod] = objects.flatMap(templatesOf).filter(({ metadata }) => nameOf(metadata.labels) === name);
      expect(pod?.metadata.labels).toMatchObject(selector.matchLabels);
      const ports = pod?.spec.containers.flatMap((container) => container.ports ?? []).map((port) => port.name);
      for (const { port, relabelings } of podMetricsEndpoints) {
        expect(ports).toContain(port);
        expect(relabelings).toContainEqual({ targetLabel: 'job', replacement: `ropeteam-${name}` });
      }
    }
  });

  test('both scalers ask for the record of wanted workers, and scale the StatefulSet that is there', () => {
    const records = readText(CHECKOUT, 'deploy/prometheus/records.yml');
    const record = 'ropeteam:workers_wanted';
    expect(records).toContain(`- record: ${record}\n`);
    const [scaled] = find('ScaledObject');
    const [autoscaler] = find('HorizontalPodAutoscaler');
    expect(JSON.stringify(scaled)).toContain(`"query":"max(${record})"`);
    expect(JSON.stringify(autoscaler)).toContain(`"name":"${record.replace(':', '_')}"`);
    for (const scaler of [scaled, autoscaler]) {
      const { scaleTargetRef } = (scaler?.spec ?? {}) as { readonly scaleTargetRef: { kind: string; name: string } };
      expect(find(scaleTargetRef.kind).map(({ metadata }) => metadata.name)).toContain(scaleTargetRef.name);
    }
  });
});
