import type { EventEmitter } from 'node:events';
import { IncomingMessage, ServerResponse, type Server } from 'node:http';

/** As much of an Express application as its requests and responses need: the prototypes that it gives them. */
export interface ExpressApplication {
  readonly request: object;
  readonly response: object;
}

type NodeClass = typeof IncomingMessage | typeof ServerResponse;

/** The classes of a server by the symbols under which it keeps them. */
type Classes = Record<symbol, unknown>;

/** With 13 (Node 24) V8 shares the hidden classes of objects whose prototype has been changed. */
const FIRST_TO_SHARE = 13;

/**
 * Has a server make its requests and responses with the prototypes that Express gives them when it is called, so that there is
 * nothing left to change. After a change V8 (Node 20 and 22) gives an object a hidden class of its own with each property
 * that it gets, and everything that touches it afterwards is slow: three quarters of what Express costs. See
 * docs/decisions/021-express-objects.md.
 *
 * Node keeps under symbols of its own what `createServer({ IncomingMessage, ServerResponse })` was given. A server that has none,
 * or has other classes there than Node's, is left as it is.
 */
export function makeExpressObjects(server: Server, { request, response }: ExpressApplication): void {
  if (Number.parseInt(process.versions.v8, 10) >= FIRST_TO_SHARE) return;
  const requests = symbolOf(server, IncomingMessage);
  const responses = symbolOf(server, ServerResponse);
  if (!requests || !responses) return;
  const classes = server as unknown as Classes;
  classes[requests] = withPrototype(IncomingMessage, request);
  classes[responses] = withPrototype(ServerResponse, response);
  leaveUpgrades(server, request);
}

function symbolOf(server: Server, kept: NodeClass): symbol | undefined {
  const classes = server as unknown as Classes;
  return Object.getOwnPropertySymbols(server).find((symbol) => classes[symbol] === kept);
}

function withPrototype(base: NodeClass, prototype: object): unknown {
  // Node's are functions, which can be called for an object that is there already.
  const construct = base as unknown as (this: object, first: unknown, second: unknown) => void;
  function Made(this: Record<'room', unknown>, first: unknown, second: unknown): void {
    construct.call(this, first, second);
    // Never so. V8 makes room in the object for as many properties as it reads assignments here, and takes back what the first
    // objects do not need; what finds no room goes to a list that is copied as it grows.
    // prettier-ignore
    if (!new.target) {
      this.room = this.room = this.room = this.room = this.room = this.room = this.room = this.room = this.room =
      this.room = this.room = this.room = this.room = this.room = this.room = this.room = this.room = this.room =
      this.room = this.room = this.room = this.room = this.room = this.room = this.room = this.room = this.room =
      this.room = this.room = this.room = this.room = this.room = this.room = this.room = this.room = this.room =
      this.room = this.room = this.room = this.room = this.room = this.room = this.room = this.room = undefined;
    }
  }
  Made.prototype = prototype;
  return Made;
}

/** What never comes to Express stays Node's: a request for WebSockets has no `query` that could not be set, for one. */
function leaveUpgrades(server: EventEmitter, prototype: object): void {
  const own = Object.hasOwn(server, 'emit') ? server.emit : undefined;
  server.emit = (event: string | symbol, ...args: unknown[]) => {
    if (event === 'upgrade' || event === 'connect') giveBack(args[0], prototype);
    // Asked for each time: what measures an application may put another there at any time.
    const { emit } = Object.getPrototypeOf(server) as EventEmitter;
    return (own ?? emit).call(server, event, ...args);
  };
}

/** Somebody else may have made it. */
function giveBack(request: unknown, prototype: object): void {
  if (!(request instanceof IncomingMessage) || Object.getPrototypeOf(request) !== prototype) return;
  Object.setPrototypeOf(request, IncomingMessage.prototype);
}
