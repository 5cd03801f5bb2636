/** podman on a network of its own, with everything it keeps in one folder: made by scripts/test-containers.mjs. */
import { execFile } from 'node:child_process';
import { chmod, chown, mkdir, readdir, writeFile } from 'node:fs/promises';
import { get as getHttp } from 'node:http';
import { get as getHttps } from 'node:https';
import { connect } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { vi } from 'vitest';
import { stringify } from 'yaml';
import { askHealth } from './grpc-health.js';
import type { Manifest } from './kubectl.js';
import { filesOf, forPodman, type Pod, type PodContainer, type Probe, portNumber } from './workload-pods.js';

const run = promisify(execFile);
const NETWORK = 'ropeteam';
const SUBNET = '10.89.77';
const PATIENCE_MS = 60_000;
const BETWEEN_PROBES_MS = 100;
const PROBE_DEADLINE_MS = 2_000;
/** podman's own answer, if the program in the container ends in time. */
const ENGINE_DEADLINE_MS = 150_000;

export interface RunningPod {
  readonly name: string;
  readonly address: string;
  readonly containers: readonly PodContainer[];
}

export interface EndedContainer {
  readonly code: number;
  readonly log: string;
}

export interface PodEngine extends AsyncDisposable {
  /** Makes ConfigMaps, Secrets and claims known to the pods that come. */
  provide(objects: readonly Manifest[]): Promise<void>;
  /** Starts a pod; one that a Service leads to gets the address kept for it. */
  start(pod: Pod): Promise<RunningPod>;
  /** Asks a pod's readiness probes until all say yes. */
  ready(pod: RunningPod): Promise<void>;
  /** What one probe says now. */
  probe(pod: RunningPod, container: PodContainer, probe: Probe): Promise<boolean>;
  /** SIGTERM, then SIGKILL after the pod's grace; resolves with what its container ended with. */
  stop(pod: RunningPod, graceSeconds: number): Promise<EndedContainer>;
  kill(pod: RunningPod): Promise<void>;
  /** Waits for a pod that ends by itself. */
  ended(pod: RunningPod): Promise<EndedContainer>;
  /** Runs one command in a container of an image, without network, and removes it. */
  once(image: string, words: readonly string[]): Promise<{ readonly stdout: string; readonly stderr: string }>;
  image(name: string): Promise<ImageFacts>;
  /** Where a claim's files are on this machine. */
  volume(claim: string): Promise<string>;
}

export interface ImageFacts {
  readonly Size: number;
  readonly Config: {
    readonly User: string;
    readonly Labels: Readonly<Record<string, string>>;
    readonly Env: readonly string[];
  };
}

/**
 * @param folder with `storage` and `run`, the containers/storage that holds the images
 * @param services the pod that each Service leads to, by the Service's name
 */
export async function openPodEngine(folder: string, services: Readonly<Record<string, string>>): Promise<PodEngine> {
  const options = ['--root', join(folder, 'storage'), '--runroot', join(folder, 'run'), '--storage-driver', 'overlay'];
  const configuration = join(folder, 'containers.conf');
  await writeFile(configuration, containersConf(folder));
  const both = (words: readonly string[]) =>
    run('podman', [...options, '--tmpdir', join(folder, 'tmp'), ...words], {
      env: { ...process.env, CONTAINERS_CONF: configuration },
      timeout: ENGINE_DEADLINE_MS,
      maxBuffer: 2 ** 26,
    });
  const podman = async (...words: readonly string[]): Promise<string> => (await both(words)).stdout;
  const logOf = async (container: string): Promise<string> => {
    const { stdout, stderr } = await both(['logs', container]);
    return stdout + stderr;
  };
  const play = async (name: string, objects: readonly object[], ...words: readonly string[]): Promise<void> => {
    const file = join(folder, `${name}.yaml`);
    await writeFile(file, objects.map((object) => stringify(object)).join('---\n'));
    await podman('play', 'kube', '--quiet', ...words, file);
  };
  await podman('network', 'create', '--disable-dns', '--subnet', `${SUBNET}.0/24`, NETWORK);
  const names = Object.keys(services);
  const addresses = Object.fromEntries(names.map((name, index) => [name, `${SUBNET}.${10 + index}`]));
  const settings: Record<string, Readonly<Record<string, string>>> = {};
  const folders: Record<string, string> = {};
  let started = 0;
  const living = new Set<string>();

  const remove = async (name: string): Promise<void> => {
    await podman('pod', 'rm', '--force', name);
    living.delete(name);
  };
  const containerOf = ({ name, containers }: RunningPod): string => `${name}-${containers[0]?.name}`;
  const outcome = async (pod: RunningPod): Promise<EndedContainer> => {
    const name = containerOf(pod);
    const code = Number(await podman('wait', name));
    const log = await logOf(name);
    await remove(pod.name);
    return { code, log };
  };
  const probe = async (pod: RunningPod, container: PodContainer, { grpc, httpGet, tcpSocket }: Probe) => {
    if (grpc !== undefined) return askHealth(`${pod.address}:${grpc.port}`, grpc.service ?? '');
    if (httpGet !== undefined) {
      const scheme = httpGet.scheme === 'HTTPS' ? 'https' : 'http';
      return isOk(`${scheme}://${pod.address}:${portNumber(container, httpGet.port)}${httpGet.path}`);
    }
    if (tcpSocket !== undefined) return accepts(pod.address, portNumber(container, tcpSocket.port));
    throw new TypeError(`${pod.name}: a probe of no kind`);
  };
  return {
    provide: async (objects) => {
      const claims = objects.filter(({ kind }) => kind === 'PersistentVolumeClaim');
      if (claims.length > 0) await play('claims', claims);
      for (const object of objects.filter(({ kind }) => kind === 'Secret' || kind === 'ConfigMap')) {
        const from = `${object.kind}/${object.metadata.name}`;
        const path = join(folder, 'mounted', from);
        await mkdir(path, { recursive: true });
        for (const [name, text] of Object.entries(filesOf(object))) await writeFile(join(path, name), text);
        folders[from] = path;
        if (object.kind === 'ConfigMap') settings[object.metadata.name] = filesOf(object);
      }
    },
    start: async (pod) => {
      const { name } = pod.metadata;
      const service = names.find((one) => services[one] === name);
      const address = addresses[service ?? ''] ?? `${SUBNET}.${100 + started++}`;
      await handOver(pod, folders);
      await play(name, [forPodman(pod, addresses, folders, settings)], '--network', NETWORK, '--ip', address);
      living.add(name);
      return { name, address, containers: pod.spec.containers };
    },
    ready: async (pod) => {
      for (const container of pod.containers) {
        const { readinessProbe } = container;
        if (readinessProbe === undefined) continue;
        await vi.waitFor(
          async () => {
            if (await probe(pod, container, readinessProbe)) return;
            throw new Error(`${pod.name} is not ready; its log:\n${await logOf(containerOf(pod))}`);
          },
          { timeout: PATIENCE_MS, interval: BETWEEN_PROBES_MS },
        );
      }
    },
    probe,
    stop: async (pod, graceSeconds) => {
      await podman('stop', '--time', String(graceSeconds), containerOf(pod));
      return outcome(pod);
    },
    kill: async (pod) => {
      await podman('kill', '--signal', 'KILL', containerOf(pod));
      await remove(pod.name);
    },
    ended: outcome,
    once: async (image, words) => {
      const restrictions = ['--network', 'none', '--read-only', '--cap-drop', 'all', '--tmpfs', '/tmp:rw,size=256m'];
      return await both(['run', '--rm', ...restrictions, image, ...words]);
    },
    image: async (name) =>
      (JSON.parse(await podman('image', 'inspect', name)) as readonly ImageFacts[])[0] ?? noImage(name),
    volume: async (claim) => (await podman('volume', 'inspect', '--format', '{{.Mountpoint}}', claim)).trim(),
    [Symbol.asyncDispose]: async () => {
      for (const name of living) await remove(name);
      await podman('volume', 'rm', '--all', '--force');
      await podman('network', 'rm', '--force', NETWORK);
    },
  };
}

/** What a kubelet does with a mounted Secret: its files are for the pod's group, in the mode that the volume says. */
async function handOver({ spec }: Pod, folders: Readonly<Record<string, string>>): Promise<void> {
  for (const { secret } of spec.volumes ?? []) {
    const folder = secret === undefined ? undefined : folders[`Secret/${secret.secretName}`];
    if (folder === undefined) continue;
    for (const name of await readdir(folder)) {
      await chown(join(folder, name), 0, spec.securityContext?.fsGroup ?? 0);
      await chmod(join(folder, name), secret?.defaultMode ?? 0o644);
    }
  }
}

/** runc, because crun wants another layout of cgroups; ulimits that need no privilege of the engine's. */
function containersConf(folder: string): string {
  return `[containers]
default_ulimits = ["nofile=4096:4096", "nproc=4096:4096"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
[network]
network_backend = "cni"
network_config_dir = ${JSON.stringify(join(folder, 'networks'))}
cni_plugin_dirs = ["/usr/lib/cni", "/usr/libexec/cni", "/opt/cni/bin"]
`;
}

function accepts(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host, port, timeout: BETWEEN_PROBES_MS });
    const done = (answer: boolean) => {
      socket.destroy();
      resolve(answer);
    };
    socket.once('connect', () => done(true));
    socket.once('timeout', () => done(false));
    socket.once('error', () => done(false));
  });
}

/** As a kubelet asks: whose certificate it sees is not checked. Not up yet is an answer too. */
function isOk(url: string): Promise<boolean> {
  return new Promise((resolve) => {
    const get = url.startsWith('https:') ? getHttps : getHttp;
    const request = get(url, { rejectUnauthorized: false, timeout: PROBE_DEADLINE_MS }, (response) => {
      response.resume();
      resolve(response.statusCode === 200);
    });
    request.once('timeout', () => request.destroy());
    request.once('error', () => resolve(false));
  });
}

function noImage(name: string): never {
  throw new Error(`no image ${name}`);
}
