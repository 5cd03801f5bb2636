/** Connections to a coordinator: options, the first contact with a deadline, and single calls. */
import { type ChannelOptions, Client, credentials, Metadata, type ServiceError } from '@grpc/grpc-js';
import { RopeteamError } from '#training';
import { fromStatus, unreachable } from './error-status.js';
import type { ByteMethod } from './proto-definitions.js';
import { KEEPALIVE_EVERY_MS, KEEPALIVE_TIMEOUT_MS, RECEIVE_WINDOW_BYTES } from './receive-window.js';

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

/** Opens no connection yet. Throws COORDINATOR.ADDRESS if `address` is not `host:port`. */
export function openChannel(address: string): Channel {
  checkAddress(address);
  const client = new Client(address, credentials.createInsecure(), options);
  return {
    address,
    client,
    ready: (deadlineMs, signal) => ready(client, address, deadlineMs, signal),
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

function ready(client: Client, address: string, deadlineMs: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason);
    const abort = () => reject(signal.reason);
    signal.addEventListener('abort', abort, { once: true });
    client.waitForReady(Date.now() + deadlineMs, (error) => {
      signal.removeEventListener('abort', abort);
      const message = `cannot reach a coordinator at ${address} within ${deadlineMs} ms`;
      if (error === undefined) resolve();
      else reject(unreachable(address, message, error));
    });
  });
}

function noAnswer(): ServiceError {
  const fields = { code: 13, details: 'the call ended without an answer', metadata: new Metadata() };
  return Object.assign(new Error(fields.details), fields);
}
