/**
 * A larger HTTP/2 receive window for grpc-js's server.
 *
 * With the protocol's default of 64 KiB a sender waits for the receiver after every 64 KiB: 200-480 MB/s on loopback, a
 * quarter of what 16 MiB gives. The client has the channel option `grpc-node.flow_control_window`; the server (1.14)
 * ignores it and offers nothing else. It does create its HTTP/2 server synchronously, with `http2.createServer`, inside
 * `createConnectionInjector`; so for the length of that one synchronous call the function is replaced by one that adds
 * the window. Nothing else can run meanwhile, so no other user of http2 in the process sees the replacement.
 */
import http2 from 'node:http2';

/** Bytes a sender may have under way before the receiver says it has read them; per stream and per connection. */
export const RECEIVE_WINDOW_BYTES = 16 << 20;

/**
 * A ping waits behind what is under way before it, its answer behind what goes the other way: up to two windows. Within 20 s
 * that is 13 Mbit/s. A peer that says nothing is noticed in 2 s by `watchSilence`; this ends connections that nobody watches.
 */
export const KEEPALIVE_EVERY_MS = 1000;
export const KEEPALIVE_TIMEOUT_MS = 20_000;

/** The CommonJS exports object, whose properties `require('http2')` in grpc-js looks up at each call. */
const exportsOfHttp2 = http2 as { createServer: typeof http2.createServer };

/**
 * Runs `create`, which must create exactly one plaintext HTTP/2 server and do so synchronously, and gives that server
 * the window. Throws an `Error` if it creates none: then grpc-js has changed and this file must follow.
 */
export function withReceiveWindow<Result>(
  windowBytes: number,
  create: () => Result,
): { readonly result: Result; readonly http2Server: http2.Http2Server } {
  const original = exportsOfHttp2.createServer;
  const created: http2.Http2Server[] = [];
  const replacement = (options: http2.ServerOptions): http2.Http2Server => {
    const settings = { ...options.settings, initialWindowSize: windowBytes }; // of each stream
    const server = original({ ...options, settings });
    server.on('session', (session) => session.setLocalWindowSize(windowBytes)); // of the connection
    created.push(server);
    return server;
  };
  // The overloads of createServer also take a lone listener; grpc-js passes options only.
  exportsOfHttp2.createServer = replacement as typeof http2.createServer;
  try {
    const result = create();
    const [http2Server] = created;
    if (http2Server === undefined)
      throw new Error('grpc-js created no HTTP/2 server: its receive window cannot be set');
    return { result, http2Server };
  } finally {
    exportsOfHttp2.createServer = original;
  }
}
