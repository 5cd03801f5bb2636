/** Connections to a coordinator: options, the first contact with a deadline, and single calls. */
import { isIP } from 'node:net';
import { checkServerIdentity, createSecureContext } from 'node:tls';
import {
  type ChannelCredentials,
  type ChannelOptions,
  Client,
  credentials,
  Metadata,
  type ServiceError,
} from '@grpc/grpc-js';
import { RopeteamError } from '#training';
import { fromStatus, unreachable } from './error-status.js';
import type { ByteMethod } from './proto-definitions.js';
import { KEEPALIVE_EVERY_MS, KEEPALIVE_TIMEOUT_MS, RECEIVE_WINDOW_BYTES } from './receive-window.js';
import type { TlsIdentity } from './tls-identity.js';
import { tlsTrouble } from './tls-trouble.js';

const options: ChannelOptions = {
  'grpc-node.flow_control_window': RECEIVE_WINDOW_BYTES,
  'grpc-node.max_session_memory': 64,
  'grpc.max_receive_message_length': 4 << 20,
  'grpc.max_send_message_length': 4 << 20,
  'grpc.keepalive_time_ms': KEEPALIVE_EVERY_MS,
  'grpc.keepalive_timeout_ms': KEEPALIVE_TIMEOUT_MS,
  'grpc.initial_reconnect_backoff_ms': 100,
  'grpc.min_reconnect_backoff_ms': 100,
  'grpc.max_reconnect_backoff_ms': 1000,
  // Trying again is ours to decide; grpc-js would keep a copy of everything sent.
  'grpc.enable_retries': 0,
  // One worker, one connection: windows are not shared, and a cut connection takes nobody else along.
  'grpc.use_local_subchannel_pool': 1,
  // Only to the address the user named: no proxy from the environment, no TXT record from DNS.
  'grpc.enable_http_proxy': 0,
  'grpc.service_config_disable_resolution': 1,
  'grpc.enable_channelz': 0,
};

export interface Channel {
  readonly address: string;
  readonly client: Client;
  /** Throws COORDINATOR.UNREACHABLE after `deadlineMs`, or the signal's reason. */
  ready(deadlineMs: number, signal: AbortSignal): Promise<void>;
  /** One request, one answer. Throws the RopeteamError of the coordinator, or COORDINATOR.UNREACHABLE. */
  unary(method: ByteMethod, request: Uint8Array, deadlineMs: number): Promise<Buffer>;
  close(): void;
}

/**
 * Opens no connection yet. Throws COORDINATOR.ADDRESS if `address` is not `host:port`.
 * @param tls absent: plaintext
 */
export function openChannel(address: string, tls?: TlsIdentity): Channel {
  checkAddress(address);
  const host = address.slice(0, address.lastIndexOf(':')).replace(/^\[|\]$/g, '');
  const named = isIP(host) === 0 ? options : { ...options, ...nameForAddress };
  const client = new Client(address, credentialsOf(tls, host), named);
  return {
    address,
    client,
    ready: (deadlineMs, signal) => ready(client, { address, tls }, deadlineMs, signal),
    unary: (method, request, deadlineMs) =>
      new Promise((resolve, reject) => {
        const settled = (error: ServiceError | null, response?: Buffer) => {
          if (error !== null || response === undefined) reject(fromStatus(error ?? noAnswer(), address));
          else resolve(response);
        };
        const { path, requestSerialize, responseDeserialize } = method;
        const call = { deadline: Date.now() + deadlineMs };
        client.makeUnaryRequest(path, requestSerialize, responseDeserialize, request, new Metadata(), call, settled);
      }),
    close: () => client.close(),
  };
}

function checkAddress(address: string): void {
  const match = /^(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):(\d{1,5})$/.exec(address);
  const port = Number(match?.[1]);
  if (match !== null && port >= 1 && port <= 65535) return;
  throw new RopeteamError('COORDINATOR.ADDRESS', { address }, `"${address}" is not host:port`, {
    hint: 'Write an address like 127.0.0.1:7233 or [::1]:7233.',
  });
}

/** TLS greets by name, and an IP address is none: Node would warn of it. Who answers is held against the address. */
const nameForAddress: ChannelOptions = { 'grpc.ssl_target_name_override': 'coordinator' };

function credentialsOf(tls: TlsIdentity | undefined, host: string): ChannelCredentials {
  if (tls === undefined) return credentials.createInsecure();
  const { authority: ca, certificate: cert, key } = tls;
  const context = createSecureContext({ ca, cert, key, minVersion: 'TLSv1.3' });
  return credentials.createFromSecureContext(context, {
    checkServerIdentity: (_name, certificate) => checkServerIdentity(host, certificate),
  });
}

interface Target {
  readonly address: string;
  readonly tls: TlsIdentity | undefined;
}

function ready(client: Client, { address, tls }: Target, deadlineMs: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason);
    const abort = () => reject(signal.reason);
    signal.addEventListener('abort', abort, { once: true });
    client.waitForReady(Date.now() + deadlineMs, (error) => {
      signal.removeEventListener('abort', abort);
      const message = `cannot reach a coordinator at ${address} within ${deadlineMs} ms`;
      if (error === undefined) return resolve();
      void tlsTrouble(address, tls).then((trouble) => reject(trouble ?? unreachable(address, message, error)));
    });
  });
}

function noAnswer(): ServiceError {
  const fields = { code: 13, details: 'the call ended without an answer', metadata: new Metadata() };
  return Object.assign(new Error(fields.details), fields);
}
