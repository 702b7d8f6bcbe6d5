import type { ServerResponse } from 'node:http';

/** Undoes a freeze. */
export type Thaw = (response: ServerResponse) => void;

/** The head of a response of Node's, once it is made. Middleware asks for it too: `on-headers`, `compression`, express-session. */
interface Headed {
  _header: string | null;
}

const HELD_HEAD = 'held back';

/**
 * Makes a response answer like one whose head is out, or a late error handler would rewrite what is held: it says that its
 * headers are sent, and takes no others.
 */
export function freeze(response: ServerResponse): Thaw {
  if (!Object.hasOwn(response, '_header')) return freezeImitation(response);
  // Node's own refusals follow from this one property. It is there from the beginning, so that the response keeps its hidden
  // class: with another prototype for the time, or with properties that come and go, everything that Node does with the response
  // afterwards cost several times as much.
  (response as ServerResponse & Headed)._header = HELD_HEAD;
  return thawNodes;
}

function thawNodes(response: ServerResponse): void {
  (response as ServerResponse & Headed)._header = null;
}

const HEADER_SETTERS = ['setHeader', 'setHeaders', 'appendHeader', 'removeHeader'] as const;

/** One that keeps its head elsewhere: that of HTTP/2. By another prototype. */
function freezeImitation(response: ServerResponse): Thaw {
  const prototype = Object.getPrototypeOf(response) as object;
  // What a middleware has put on the response itself hides any prototype's.
  const hidden = FROZEN_NAMES.filter((name) => Object.hasOwn(response, name));
  const restore = hidden.map((name) => freezeOwn(response, name));
  const frozen = Object.create(prototype, FROZEN) as object;
  Object.setPrototypeOf(response, frozen);
  return () => {
    if (Object.getPrototypeOf(response) === frozen) Object.setPrototypeOf(response, prototype);
    for (const unfreeze of restore) unfreeze();
  };
}

function freezeOwn(response: ServerResponse, name: string): () => void {
  const own = Object.getOwnPropertyDescriptor(response, name)!;
  Object.defineProperty(response, name, { configurable: true, ...FROZEN[name] });
  return () => Object.defineProperty(response, name, own);
}

function refuse(verb: string): () => never {
  return () => {
    throw headersSent(verb);
  };
}

const FROZEN: PropertyDescriptorMap = {
  headersSent: { configurable: true, get: () => true },
  ...Object.fromEntries(
    HEADER_SETTERS.map((name) => [
      name,
      { configurable: true, writable: true, value: refuse(name === 'removeHeader' ? 'remove' : 'set') },
    ]),
  ),
};
const FROZEN_NAMES = Object.keys(FROZEN);

/** What Node throws. */
export function headersSent(verb: string): Error {
  const error = new Error(`Cannot ${verb} headers after they are sent to the client`);
  return Object.assign(error, { code: 'ERR_HTTP_HEADERS_SENT' });
}
