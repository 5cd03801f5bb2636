/** What a Redis says about itself in INFO, for every engine that speaks the protocol. */

export interface RedisInfo {
  /** `redis`, `valkey`, `dragonfly` or `js-redis-server`. */
  readonly engine: string;
  /** Version of the engine, as it names itself. */
  readonly version: string;
  /** The Redis version whose commands it has: the one to compare. */
  readonly compatibleWith: string;
  /** Absent where the engine does not say. */
  readonly evictionPolicy: string | undefined;
  readonly role: string | undefined;
  readonly clusterEnabled: boolean;
  /** Process id, believable only for a server on this machine. */
  readonly pid: number | undefined;
}

export function parseRedisInfo(text: string): RedisInfo {
  const fields = infoFields(text);
  const compatibleWith = fields.get('redis_version') ?? '0.0.0';
  const pid = Number(fields.get('process_id'));
  return {
    ...engineOf(fields, compatibleWith),
    compatibleWith,
    evictionPolicy: fields.get('maxmemory_policy'),
    role: fields.get('role'),
    clusterEnabled: fields.get('cluster_enabled') === '1',
    pid: Number.isSafeInteger(pid) && pid > 1 ? pid : undefined,
  };
}

/** The fields of an INFO answer, whatever their section. */
export function infoFields(text: string): ReadonlyMap<string, string> {
  const fields = new Map<string, string>();
  for (const line of text.split(/\r?\n/)) {
    const colon = line.indexOf(':');
    if (colon > 0) fields.set(line.slice(0, colon), line.slice(colon + 1).trim());
  }
  return fields;
}

function engineOf(fields: ReadonlyMap<string, string>, redisVersion: string): { engine: string; version: string } {
  // js-redis-server calls itself a mock here; its redis_version is the one it imitates, and a report has to say so.
  if (fields.get('multiplexing_api') === 'mock') {
    return { engine: 'js-redis-server', version: `imitating ${redisVersion}` };
  }
  for (const engine of ['valkey', 'dragonfly']) {
    const version = fields.get(`${engine}_version`);
    if (version !== undefined) return { engine, version: version.replace(/^df-v/, '') };
  }
  return { engine: 'redis', version: redisVersion };
}

/** Is `version` (for example `7.0.15`) at least `least`, compared number by number? */
export function isAtLeast(version: string, least: string): boolean {
  const [have, need] = [version, least].map((text) => text.split('.').map((part) => Number.parseInt(part, 10) || 0));
  for (let place = 0; place < 3; place++) {
    const difference = (have?.[place] ?? 0) - (need?.[place] ?? 0);
    if (difference !== 0) return difference > 0;
  }
  return true;
}
