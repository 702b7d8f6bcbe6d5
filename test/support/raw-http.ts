import { connect, type Socket } from 'node:net';

/** Milliseconds after which a response that is not complete counts as missing, so that the others are still judged. */
const PATIENCE = 8_000;

/** A response as it came over the wire: header lines neither merged nor reordered. */
export interface RawResponse {
  readonly status: number;
  readonly statusMessage: string;
  readonly headers: readonly (readonly [name: string, value: string])[];
  /** The lines of one header. */
  lines(name: string): string[];
  /** The one line of a header, or `undefined`. More than one is an error. */
  header(name: string): string | undefined;
  readonly body: Buffer;
  readonly text: string;
  readonly trailers: readonly (readonly [name: string, value: string])[];
  /** Interim responses (1xx) that came before. */
  readonly interim: readonly number[];
}

export interface RawRequest {
  readonly method?: string;
  readonly path: string;
  readonly headers?: Record<string, string>;
  readonly body?: string;
}

/** The requests and responses of one TCP connection, and when which bytes arrived. */
export class RawConnection {
  readonly #socket: Socket;
  readonly #expected: Expected[] = [];
  #pending: Buffer = Buffer.alloc(0);
  #parsed: Partial = newPartial();
  /** Bytes that have arrived, those of interim responses (1xx) left out. */
  bytes = 0;
  isClosed = false;
  readonly #received: Buffer[] = [];

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('data', (chunk) => this.#receive(chunk));
    socket.on('error', () => undefined);
    socket.on('close', () => this.#close());
  }

  static async open(url: string): Promise<RawConnection> {
    const { hostname, port } = new URL(url);
    const socket = connect(Number(port), hostname);
    await new Promise((resolve, reject) => socket.once('connect', resolve).once('error', reject));
    return new RawConnection(socket);
  }

  /** Sends a request, also while others are under way, and resolves with its complete response. */
  send({ method = 'GET', path, headers = {}, body }: RawRequest): Promise<RawResponse> {
    const length = body === undefined ? {} : { 'content-length': String(Buffer.byteLength(body)) };
    const lines = Object.entries({ host: 'localhost', ...length, ...headers }).map(
      ([name, value]) => `${name}: ${value}\r\n`,
    );
    this.#socket.write(`${method} ${path} HTTP/1.1\r\n${lines.join('')}\r\n${body ?? ''}`);
    const response = new Promise<RawResponse>((resolve, reject) => {
      this.#expected.push({ method, resolve, reject });
      setTimeout(reject, PATIENCE, new Error('the response is not complete')).unref();
    });
    // A test that looks at the bytes alone need not wait for it.
    response.catch(() => undefined);
    return response;
  }

  /** Reads nothing more, so that the server's writes fill up. */
  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  /** Hangs up. */
  destroy(): void {
    this.#socket.destroy();
  }

  /** All that has arrived, as it came. */
  get received(): string {
    return Buffer.concat(this.#received).toString('latin1');
  }

  closed(): Promise<void> {
    if (this.isClosed) return Promise.resolve();
    return new Promise((resolve) => this.#socket.once('close', () => resolve()));
  }

  #receive(chunk: Buffer): void {
    this.bytes += chunk.length;
    this.#received.push(chunk);
    this.#pending = this.#pending.length === 0 ? chunk : Buffer.concat([this.#pending, chunk]);
    while (this.#step());
  }

  /** Takes one element of the message from what is pending; false where it is not all there. */
  #step(): boolean {
    const { state } = this.#parsed;
    if (state === 'head') return this.#takeHead();
    if (state === 'chunk-size') return this.#takeChunkSize();
    if (state === 'trailers') return this.#takeTrailers();
    const taken = this.#pending.subarray(0, this.#parsed.left);
    this.#pending = this.#pending.subarray(taken.length);
    this.#parsed.chunks.push(taken);
    this.#parsed.left -= taken.length;
    if (this.#parsed.left > 0) return false;
    if (state === 'length') this.#complete();
    else this.#parsed.state = 'chunk-size';
    return true;
  }

  #takeHead(): boolean {
    const head = this.#takeUntil('\r\n\r\n');
    if (head === undefined) return false;
    const [statusLine = '', ...lines] = head.split('\r\n');
    const [, status, statusMessage = ''] = /^HTTP\/1\.1 (\d{3}) ?(.*)$/.exec(statusLine) ?? [];
    if (!status) throw new Error(`not a response: ${statusLine}`);
    if (status.startsWith('1')) {
      this.#parsed.interim.push(Number(status));
      this.bytes -= Buffer.byteLength(head) + 4;
      return true;
    }
    Object.assign(this.#parsed, { status: Number(status), statusMessage, headers: lines.map(splitLine) });
    const { value: coding } = this.#find('transfer-encoding');
    const { value: length } = this.#find('content-length');
    const isBare = this.#expected[0]?.method === 'HEAD' || status === '204' || status === '304';
    if (isBare) this.#complete();
    else if (coding) this.#parsed.state = 'chunk-size';
    else Object.assign(this.#parsed, { state: 'length', left: length === undefined ? Infinity : Number(length) });
    return true;
  }

  #takeChunkSize(): boolean {
    const line = this.#takeUntil('\r\n');
    if (line === undefined) return false;
    // The line that ends a chunk.
    if (line === '') return true;
    const left = Number.parseInt(line, 16);
    Object.assign(this.#parsed, left === 0 ? { state: 'trailers' } : { state: 'chunk', left });
    return true;
  }

  #takeTrailers(): boolean {
    const line = this.#takeUntil('\r\n');
    if (line === undefined) return false;
    if (line === '') this.#complete();
    else this.#parsed.trailers.push(splitLine(line));
    return true;
  }

  #takeUntil(end: string): string | undefined {
    const at = this.#pending.indexOf(end, 0, 'latin1');
    if (at < 0) return undefined;
    const text = this.#pending.toString('latin1', 0, at);
    this.#pending = this.#pending.subarray(at + end.length);
    return text;
  }

  #find(name: string): { value?: string } {
    const value = this.#parsed.headers.find(([other]) => other.toLowerCase() === name)?.[1];
    return value === undefined ? {} : { value };
  }

  #complete(): void {
    const { status, statusMessage, headers, chunks, trailers, interim } = this.#parsed;
    this.#parsed = newPartial();
    const body = Buffer.concat(chunks);
    const lines = (name: string) =>
      headers.filter(([other]) => other.toLowerCase() === name.toLowerCase()).map(([, value]) => value);
    const header = (name: string) => {
      const [value, ...more] = lines(name);
      if (more.length > 0) throw new Error(`${name} came ${more.length + 1} times`);
      return value;
    };
    const text = body.toString();
    this.#expected.shift()?.resolve({ status, statusMessage, headers, lines, header, body, text, trailers, interim });
  }

  #close(): void {
    this.isClosed = true;
    // Without a length, the end of the connection is the end of the body.
    if (this.#parsed.state === 'length' && this.#parsed.left === Infinity) this.#complete();
    for (const { reject } of this.#expected)
      reject(new Error('the connection closed before the response was complete'));
  }
}

/** One request on a connection of its own. */
export async function rawRequest(url: string, request: RawRequest): Promise<RawResponse> {
  const connection = await RawConnection.open(url);
  try {
    return await connection.send(request);
  } finally {
    connection.destroy();
  }
}

interface Expected {
  readonly method: string;
  readonly resolve: (response: RawResponse) => void;
  readonly reject: (error: Error) => void;
}

interface Partial {
  state: 'head' | 'length' | 'chunk-size' | 'chunk' | 'trailers';
  /** Bytes of the body or chunk that are still to come. */
  left: number;
  status: number;
  statusMessage: string;
  headers: [string, string][];
  chunks: Buffer[];
  trailers: [string, string][];
  interim: number[];
}

function newPartial(): Partial {
  const empty = { headers: [], chunks: [], trailers: [], interim: [] };
  return { state: 'head', left: 0, status: 0, statusMessage: '', ...empty };
}

function splitLine(line: string): [name: string, value: string] {
  const at = line.indexOf(':');
  return [line.slice(0, at), line.slice(at + 1).trim()];
}
