/** Who may speak to whom by the NetworkPolicies: what a network plugin that enforces them would let through. */
import type { Manifest } from './kubectl.js';

/** A pod, or somebody outside of the manifests whom policies name. */
export interface Peer {
  readonly name: string;
  readonly namespace: string;
  readonly labels: Readonly<Record<string, string>>;
  /** Outside of the namespaces. */
  readonly address?: string;
}

interface Selector {
  readonly matchLabels?: Readonly<Record<string, string>>;
  readonly matchExpressions?: readonly {
    readonly key: string;
    readonly operator: string;
    readonly values: readonly string[];
  }[];
}
interface PolicyPeer {
  readonly podSelector?: Selector;
  readonly namespaceSelector?: Selector;
  readonly ipBlock?: { readonly cidr: string };
}
interface Rule {
  readonly from?: readonly PolicyPeer[];
  readonly to?: readonly PolicyPeer[];
  readonly ports?: readonly { readonly protocol: string; readonly port: number }[];
}
interface PolicySpec {
  readonly podSelector: Selector;
  readonly policyTypes: readonly string[];
  readonly ingress?: readonly Rule[];
  readonly egress?: readonly Rule[];
}

/** Every allowed connection as `from > to:port`. Peers outside of `namespace` are held by no policy of ours. */
export function allowedEdges(
  policies: readonly Manifest[],
  namespace: string,
  peers: readonly Peer[],
  ports: readonly number[],
): ReadonlySet<string> {
  const specs = policies.map(({ spec }) => spec as PolicySpec);
  const passes = (way: 'Ingress' | 'Egress', held: Peer, other: Peer, port: number): boolean => {
    if (held.namespace !== namespace) return true;
    const own = specs.filter((spec) => spec.policyTypes.includes(way) && selects(spec.podSelector, held.labels));
    if (own.length === 0) return true;
    const rules = own.flatMap((spec) => (way === 'Ingress' ? spec.ingress : spec.egress) ?? []);
    return rules.some(
      (rule) =>
        (rule.ports === undefined || rule.ports.some((one) => one.port === port)) &&
        ((way === 'Ingress' ? rule.from : rule.to) ?? [{ namespaceSelector: {} }]).some((peer) =>
          meets(peer, other, namespace),
        ),
    );
  };
  const edges = new Set<string>();
  for (const from of peers) {
    for (const to of peers) {
      if (from === to || (from.namespace !== namespace && to.namespace !== namespace)) continue;
      for (const port of ports) {
        if (passes('Egress', from, to, port) && passes('Ingress', to, from, port))
          edges.add(`${from.name} > ${to.name}:${port}`);
      }
    }
  }
  return edges;
}

function meets({ podSelector, namespaceSelector, ipBlock }: PolicyPeer, other: Peer, namespace: string): boolean {
  if (ipBlock !== undefined) return other.address !== undefined && ipBlock.cidr === `${other.address}/32`;
  if (other.address !== undefined) return false;
  const inNamespace =
    namespaceSelector === undefined
      ? other.namespace === namespace
      : selects(namespaceSelector, { 'kubernetes.io/metadata.name': other.namespace });
  return inNamespace && selects(podSelector ?? {}, other.labels);
}

function selects(
  { matchLabels = {}, matchExpressions = [] }: Selector,
  labels: Readonly<Record<string, string>>,
): boolean {
  if (matchExpressions.some(({ operator }) => operator !== 'In'))
    throw new TypeError('only the operator In is understood');
  return (
    Object.entries(matchLabels).every(([key, value]) => labels[key] === value) &&
    matchExpressions.every(({ key, values }) => values.includes(labels[key] ?? ''))
  );
}
