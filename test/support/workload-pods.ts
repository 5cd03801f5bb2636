/** What the controllers of a cluster make of the manifests, for an engine that knows pods only. */
import type { Manifest } from './kubectl.js';

export interface PodSpec {
  readonly terminationGracePeriodSeconds?: number;
  readonly restartPolicy?: string;
  readonly securityContext?: { readonly fsGroup?: number };
  readonly hostAliases?: readonly { readonly ip: string; readonly hostnames: readonly string[] }[];
  readonly containers: readonly PodContainer[];
  readonly volumes?: readonly Volume[];
  readonly [field: string]: unknown;
}

export interface PodContainer {
  readonly name: string;
  readonly args?: readonly string[];
  readonly env?: readonly { readonly name: string; readonly value?: string }[];
  readonly envFrom?: readonly { readonly configMapRef: { readonly name: string } }[];
  readonly readinessProbe?: Probe;
  readonly livenessProbe?: Probe;
  readonly ports?: readonly { readonly name: string; readonly containerPort: number }[];
  readonly [field: string]: unknown;
}

export interface Probe {
  readonly grpc?: { readonly port: number; readonly service?: string };
  readonly httpGet?: { readonly path: string; readonly port: string | number; readonly scheme?: string };
  readonly tcpSocket?: { readonly port: string | number };
}

interface Volume {
  readonly name: string;
  readonly secret?: { readonly secretName: string; readonly defaultMode?: number };
  readonly configMap?: { readonly name: string };
  readonly [field: string]: unknown;
}

export interface Pod {
  readonly apiVersion: 'v1';
  readonly kind: 'Pod';
  readonly metadata: { readonly name: string; readonly labels: Readonly<Record<string, string>> };
  readonly spec: PodSpec;
}

/**
 * One pod of a Deployment, StatefulSet or Job. A StatefulSet's has its ordinal in its name, the others' is the
 * workload's own: there is only one of each.
 */
export function podOf(workload: Manifest, ordinal = 0): Pod {
  const { template } = workload.spec as { readonly template?: Pick<Pod, 'metadata' | 'spec'> };
  if (template === undefined) throw new TypeError(`${workload.kind} ${workload.metadata.name} has no pods`);
  const { name } = workload.metadata;
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name: workload.kind === 'StatefulSet' ? `${name}-${ordinal}` : name,
      labels: template.metadata.labels,
    },
    spec: template.spec,
  };
}

/** The address of a container's port, by the number or the name that a probe gives. */
export function portNumber({ name, ports = [] }: PodContainer, port: string | number): number {
  const number = typeof port === 'number' ? port : ports.find((one) => one.name === port)?.containerPort;
  if (number === undefined) throw new TypeError(`container ${name} has no port ${port}`);
  return number;
}

/**
 * A pod as podman 4.3 takes it. Probes are the test's to ask (podman would run curl in the container, and knows no gRPC
 * probe), a Service is a line in the pods' hosts file, a mounted Secret or ConfigMap a folder (podman would leave a Secret in
 * base64, and give a ConfigMap to whoever owns that place in the image), `envFrom` and the variables in arguments are
 * written out (podman expands none), ports are left out (podman would publish them on the host), and
 * nobody restarts what ends.
 * @param services addresses by name
 * @param folders by kind and name, as `Secret/redis-users`
 * @param settings what ConfigMaps hold, by name
 */
export function forPodman(
  pod: Pod,
  services: Readonly<Record<string, string>>,
  folders: Readonly<Record<string, string>>,
  settings: Readonly<Record<string, Readonly<Record<string, string>>>>,
): Pod {
  const written = ({ envFrom = [], env = [] }: PodContainer) => [
    ...envFrom.flatMap(({ configMapRef }) =>
      Object.entries(settings[configMapRef.name] ?? {}).map(([name, value]) => ({ name, value })),
    ),
    ...env,
  ];
  return {
    ...pod,
    spec: {
      ...pod.spec,
      restartPolicy: 'Never',
      hostAliases: Object.entries(services).map(([name, ip]) => ({ ip, hostnames: [name] })),
      containers: pod.spec.containers.map((container) => {
        const { readinessProbe: _ready, livenessProbe: _live, startupProbe: _start, ...rest } = container;
        const { lifecycle: _cycle, envFrom: _from, ports: _ports, ...kept } = rest;
        const env = written(container);
        const meant = (name: string) =>
          name === 'POD_NAME' ? pod.metadata.name : env.find((one) => one.name === name)?.value;
        const args = container.args?.map((text) =>
          text.replaceAll(/\$\((\w+)\)/g, (whole, name: string) => meant(name) ?? whole),
        );
        return { ...kept, env, ...(args === undefined ? {} : { args }) };
      }),
      volumes: (pod.spec.volumes ?? []).map((volume) => {
        const { name, secret, configMap } = volume;
        if (secret === undefined && configMap === undefined) return volume;
        const from = secret === undefined ? `ConfigMap/${configMap?.name}` : `Secret/${secret.secretName}`;
        const path = folders[from];
        if (path === undefined) throw new TypeError(`pod ${pod.metadata.name}: no ${from}`);
        return { name, hostPath: { path, type: 'Directory' } };
      }),
    },
  };
}

/** What a Secret or a ConfigMap holds, by file name. */
export function filesOf(object: Manifest): Readonly<Record<string, string>> {
  const { stringData = {}, data = {} } = object as Manifest & {
    readonly stringData?: Readonly<Record<string, string>>;
    readonly data?: Readonly<Record<string, string>>;
  };
  if (object.kind === 'ConfigMap') return data;
  const decoded = Object.entries(data).map(([key, value]) => [key, Buffer.from(value, 'base64').toString()]);
  return { ...Object.fromEntries(decoded), ...stringData };
}
