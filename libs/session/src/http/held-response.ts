import { validateHeaderValue, type OutgoingHttpHeader, type OutgoingHttpHeaders, type ServerResponse } from 'node:http';
import type { Readable } from 'node:stream';
import { isUint8Array } from 'node:util/types';
import { freeze, headersSent, type Thaw } from './frozen-response.js';
import {
  BENEATH,
  isPrepared,
  OUTER,
  PREPARED,
  putMethods,
  setHold,
  tellOfEnd,
  type HeldMethods,
  type Hold,
  type Method,
} from './held-methods.js';
import { HeaderList, type HeaderTarget } from './response-headers.js';

/** An answer of our own that replaces the handler's. */
export interface ReplacementResponse {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** What stands between a response and its first byte. */
export interface ResponseGate {
  /**
   * Called when the response begins: once, or again after Node has refused its head.
   *
   * @returns the answer that replaces the handler's, if any. Synchronous where there is nothing to wait for.
   */
  commit(status: number): ReplacementResponse | undefined | Promise<ReplacementResponse | undefined>;
  /** Whether a commit at this moment would write nothing that the handler has asked for. */
  readonly isIdle: boolean;
  /** Sets our headers: the last thing before the first byte, after the handler's are final. */
  setHeaders(target: HeaderTarget, status: number): void;
  /** Is told of an error that no caller is left to receive. */
  report(error: unknown): void;
}

type Call = readonly [method: Method, args: unknown[]];

/** Bytes that a held response takes before it asks its source to wait. */
const HIGH_WATER_MARK = 65_536;
/** Headers that describe the body or the resource of the answer that is replaced, or fetch another in its place. */
const DESCRIBES_ANSWER =
  /^(content-(?!security-policy)|(etag|last-modified|expires|location|refresh|transfer-encoding|trailer|accept-ranges|x-accel-redirect|x-sendfile)$)/;

/** Of a response that has held nothing. */
const NO_CALLS: Call[] = [];

/**
 * Holds a response back until the gate has let it pass, for every way to begin one: values, streams, redirects, raw
 * `writeHead`, server-sent events. It works on Node's own response object, beneath Express and Fastify alike.
 */
export function holdResponse(response: ServerResponse, gate: ResponseGate): void {
  if (isPrepared(response)) return setHold(response, new ResponseHold(response, gate, BENEATH, false));
  const { write, end, writeHead, flushHeaders, emit } = response;
  setHold(response, new ResponseHold(response, gate, { write, end, writeHead, flushHeaders, emit }, true));
  putMethods(response, OUTER);
}

class ResponseHold implements Hold {
  readonly isOuter: boolean;
  /** The methods beneath ours: Node's, or those of a middleware that compresses. */
  readonly original: HeldMethods;
  readonly #response: ServerResponse;
  readonly #gate: ResponseGate;
  #phase: 'idle' | 'committing' | 'passed' | 'replaced' = 'idle';
  #status = 0;
  #statusMessage: string | undefined;
  #calls: Call[] = NO_CALLS;
  #heldBytes = 0;
  #owesDrain = false;
  #sources: Set<Readable> | undefined;
  #thaw: Thaw | undefined;
  /** The handler's headers, where they came in one object: ours go along with them, and none into the response's own list. */
  #head: HeaderList | undefined;
  /** `end` was called, although nothing may have been sent yet. */
  hasEnded = false;

  constructor(response: ServerResponse, gate: ResponseGate, original: HeldMethods, isOuter: boolean) {
    this.#response = response;
    this.#gate = gate;
    this.original = original;
    this.isOuter = isOuter;
  }

  /** The streams that are piped into the response. */
  get sources(): Set<Readable> {
    return (this.#sources ??= new Set());
  }

  piped(event: 'pipe' | 'unpipe', source: Readable): void {
    if (event === 'pipe') this.sources.add(source);
    else this.#sources?.delete(source);
  }

  call(method: Method, args: unknown[]): unknown {
    switch (this.#phase) {
      case 'passed':
        return this.#pass(method, args);
      case 'replaced':
        if (method === 'writeHead') throw headersSent('write');
        return this.#discard(method, args);
      case 'committing':
        return this.#hold(method, args);
      case 'idle':
        return this.#begin(method, args);
    }
  }

  #begin(method: Method, args: unknown[]): unknown {
    const response = this.#response;
    // Let Node refuse what it refuses, in the caller's stack, before anything is committed.
    checkChunk(method, args);
    if (method !== 'writeHead') return this.#commit(method, args, response.statusCode);
    if (this.#reachesNode && isOneObject(response, args)) return this.#beginWith(args[0], args[1]);
    const head = applyHead(response, args);
    return this.#commit(method, head, response.statusCode);
  }

  /** Costs less than the response's own headers do. */
  #beginWith(code: unknown, given: OutgoingHttpHeaders): unknown {
    const head = new HeaderList(given);
    // Where there is nothing to commit, Node may as well refuse them afterwards.
    if (!this.#gate.isIdle) head.check();
    this.#noteHead(code);
    const outcome = this.#gate.commit(this.#status);
    if (outcome) {
      this.#response.statusCode = this.#status;
      this.#head = head;
      return this.#proceed('writeHead', [this.#status, head.all], outcome);
    }
    this.#gate.setHeaders(head, this.#status);
    this.#phase = 'passed';
    try {
      return this.original.writeHead.call(this.#response, this.#status, head.all);
    } catch (error) {
      // Whoever made it has another try.
      this.#phase = 'idle';
      throw error;
    }
  }

  #commit(method: Method, args: unknown[], code: unknown): unknown {
    this.#noteHead(code);
    const outcome = this.#gate.commit(this.#status);
    if (outcome) return this.#proceed(method, args, outcome);
    this.#phase = 'passed';
    this.#gate.setHeaders(this.#response, this.#status);
    return this.#pass(method, args);
  }

  #noteHead(code: unknown): void {
    this.#status = checkStatus(code);
    this.#statusMessage = this.#response.statusMessage;
    if (this.#statusMessage) validateHeaderValue('status message', this.#statusMessage);
  }

  /** There is a commit to wait for, or an answer of ours to send. */
  #proceed(
    method: Method,
    args: unknown[],
    outcome: ReplacementResponse | Promise<ReplacementResponse | undefined>,
  ): unknown {
    if (outcome instanceof Promise) {
      this.#phase = 'committing';
      this.#calls = [];
      this.#thaw = freeze(this.#response);
      void this.#settle(outcome);
      return this.#hold(method, args);
    }
    this.hasEnded = method === 'end';
    this.#replace(outcome);
    return this.#discard(method, args);
  }

  /** Answers as Node would to a response whose head is out. */
  #hold(method: Method, args: unknown[]): unknown {
    if (method === 'writeHead' && this.#calls.length > 0) throw headersSent('write');
    if (this.hasEnded) return this.#discard(method, args);
    checkChunk(method, args);
    if (method === 'end') {
      this.hasEnded = true;
      if (this.isOuter) tellOfEnd(this.#response);
    }
    this.#calls.push([method, args]);
    if (method !== 'write') return this.#response;
    this.#heldBytes += (args[0] as string | Uint8Array).length;
    // Pausing the sources themselves, since a middleware that compresses takes their listeners for `drain`.
    for (const source of this.sources) source.pause?.();
    if (this.#heldBytes < HIGH_WATER_MARK) return true;
    this.#owesDrain = true;
    return false;
  }

  async #settle(outcome: Promise<ReplacementResponse | undefined>): Promise<void> {
    try {
      const replacement = await outcome;
      this.#thaw?.(this.#response);
      if (replacement) this.#replace(replacement);
      else this.#replay();
    } catch (error) {
      this.#thaw?.(this.#response);
      this.#phase = 'passed';
      this.#gate.report(error);
      this.#response.destroy(error as Error);
    }
  }

  #replay(): void {
    const response = this.#response;
    this.#phase = 'passed';
    response.statusCode = this.#status;
    response.statusMessage = this.#statusMessage!;
    // What is held of the head is this list.
    this.#gate.setHeaders(this.#head ?? response, this.#status);
    let hasRoom = true;
    for (const [method, args] of this.#calls) {
      const answer = this.#pass(method, args);
      if (method === 'write') hasRoom = answer !== false;
    }
    this.#calls = NO_CALLS;
    for (const source of this.#sources ?? []) source.resume?.();
    if (this.#owesDrain && hasRoom) response.emit('drain');
  }

  #replace({ status, headers, body }: ReplacementResponse): void {
    const response = this.#response;
    this.#phase = 'replaced';
    if (this.#head) applyHeaderList(response, this.#head.all);
    for (const name of response.getHeaderNames()) if (DESCRIBES_ANSWER.test(name)) response.removeHeader(name);
    for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
    response.setHeader('content-length', Buffer.byteLength(body));
    // Tells a handler that is still producing, such as one of server-sent events, that nobody listens.
    if (!this.hasEnded) response.setHeader('connection', 'close');
    response.statusCode = status;
    response.statusMessage = '';
    this.#gate.setHeaders(response, status);
    for (const [method, args] of this.#calls) this.#discard(method, args);
    this.#calls = NO_CALLS;
    this.#dropSources();
    // Through the original methods, which call each other by their public names.
    this.#phase = 'passed';
    this.original.end.call(response, body);
    this.#phase = 'replaced';
    if (this.#owesDrain) response.emit('drain');
  }

  #dropSources(): void {
    const response = this.#response;
    for (const source of this.sources) {
      source.unpipe?.(response);
      // Not at once: Fastify destroys a response whose source breaks off, and ours has to arrive.
      if (response.destroyed || response.closed) source.destroy?.();
      else response.once('close', () => source.destroy?.());
    }
    this.sources.clear();
  }

  #pass(method: Method, args: unknown[]): unknown {
    const response = this.#response;
    if (method === 'writeHead' && this.#isWrapped && !response.headersSent) {
      // Who took `writeHead` after us, in an interceptor say, has just set headers of its own: ours come last.
      const rest = applyHead(response, args);
      this.#gate.setHeaders(response, response.statusCode);
      return this.original.writeHead.apply(response, rest);
    }
    return this.original[method].apply(response, args);
  }

  /** Somebody has put a `writeHead` of his own over ours. */
  get #isWrapped(): boolean {
    return this.#response.writeHead !== (this.isOuter ? OUTER : PREPARED).writeHead;
  }

  /** Nobody else takes `writeHead` before Node does: not everybody knows all forms of its arguments. */
  get #reachesNode(): boolean {
    return (
      !this.isOuter || this.original.writeHead === (Object.getPrototypeOf(this.#response) as HeldMethods).writeHead
    );
  }

  /** What the handler still sends after the end goes nowhere; its callbacks are told. */
  #discard(method: Method, args: unknown[]): unknown {
    const callback = args.at(-1);
    if (typeof callback === 'function') process.nextTick(callback as (error: Error) => void, alreadyEnded());
    if (this.#phase === 'replaced') this.#dropSources();
    return method === 'write' ? true : this.#response;
  }
}

/** What Node refuses as a body, and would refuse too late when it is held. */
function checkChunk(method: Method, [chunk]: unknown[]): void {
  if (method !== 'write' && method !== 'end') return;
  if (typeof chunk === 'string' || isUint8Array(chunk)) return;
  // `end` may go without one.
  if (method === 'end' && (!chunk || typeof chunk === 'function')) return;
  const error = new TypeError(`The body must be a string, Buffer or Uint8Array, and is of type ${typeof chunk}`);
  throw Object.assign(error, { code: 'ERR_INVALID_ARG_TYPE' });
}

function checkStatus(code: unknown): number {
  const status = Math.trunc(Number(code));
  if (status >= 100 && status <= 999) return status;
  const error = new RangeError(`Invalid status code: ${String(code)}`);
  throw Object.assign(error, { code: 'ERR_HTTP_INVALID_STATUS_CODE' });
}

/** Whether all headers are in the object that `writeHead` is given. */
function isOneObject(response: ServerResponse, args: unknown[]): args is [code: unknown, given: OutgoingHttpHeaders] {
  const given = args[1];
  if (args.length !== 2 || typeof given !== 'object' || given === null || Array.isArray(given)) return false;
  return response.getHeaderNames().length === 0;
}

/**
 * Applies the arguments of `writeHead` to the response, so that our headers merge with those in it.
 *
 * @returns what is left of the arguments
 */
function applyHead(response: ServerResponse, [code, ...rest]: unknown[]): unknown[] {
  const status = checkStatus(code);
  const message = typeof rest[0] === 'string' ? rest[0] : undefined;
  const headers = rest[message === undefined ? 0 : 1] as OutgoingHttpHeaders | OutgoingHttpHeader[] | undefined;
  if (Array.isArray(headers)) applyHeaderList(response, headers);
  else if (headers) for (const [name, value] of Object.entries(headers)) response.setHeader(name, value!);
  response.statusCode = status;
  if (message !== undefined) response.statusMessage = message;
  return message === undefined ? [status] : [status, message];
}

/** A list of names and values in turn, or of pairs: a name in it replaces what was set before, and may come twice. */
function applyHeaderList(response: ServerResponse, list: readonly unknown[]): void {
  const flat = (Array.isArray(list[0]) ? list.flat(1) : list) as string[];
  const names = flat.filter((_, index) => index % 2 === 0);
  for (const name of names) response.removeHeader(name);
  names.forEach((name, index) => response.appendHeader(name, flat[index * 2 + 1]!));
}

function alreadyEnded(): Error {
  return Object.assign(new Error('The response has ended'), { code: 'ERR_STREAM_ALREADY_FINISHED' });
}
