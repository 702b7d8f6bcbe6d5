import { ServerResponse, IncomingMessage } from 'node:http';
import { Socket } from 'node:net';
import { describe, expect, it } from '@jest/globals';
import type { SessionErrorInfo, SessionFault } from '../core/errors.js';
import type { RequestSession } from '../core/request-session.js';
import type { SessionManager } from '../core/session-manager.js';
import type { CookieTransport } from './cookie-transport.js';
import { SessionGate } from './session-gate.js';

const fault = (info: Partial<SessionErrorInfo>): SessionFault =>
  Object.assign(new Error('fault'), {
    session: { code: 'SESSION_UNAVAILABLE', status: 503, message: 'Away.', ...info } as SessionErrorInfo,
  });

/** A gate, and what it did with the session that a test gives it. */
function gateFor(
  opened: Partial<RequestSession> | Promise<Partial<RequestSession>>,
  outcome?: SessionFault | Promise<SessionFault | undefined>,
) {
  const did: unknown[] = [];
  const manager = {
    commit: (_: RequestSession, status: number) => (did.push(['commit', status]), outcome),
    report: (error: unknown) => did.push(['report', error]),
  } as unknown as SessionManager;
  const transport = {
    write: (_: ServerResponse, cookie: unknown) => did.push(['cookie', cookie]),
  } as unknown as CookieTransport;
  const gate = new SessionGate(manager, transport, opened as RequestSession);
  return { gate, did };
}

function newResponse(status = 200): ServerResponse {
  const response = new ServerResponse(new IncomingMessage(new Socket()));
  response.statusCode = status;
  return response;
}

const keep = { kind: 'keep' } as const;

describe('SessionGate', () => {
  it('lets a response pass at once where nothing is to be written', () => {
    const { gate, did } = gateFor({ cookie: keep });
    expect(gate.commit(200)).toBeUndefined();
    expect(did).toEqual([['commit', 200]]);
  });

  it('waits for the commit', async () => {
    const { gate } = gateFor({ cookie: keep }, Promise.resolve(undefined));
    await expect(gate.commit(200)).resolves.toBeUndefined();
  });

  it('waits for a session that is still being opened', async () => {
    let open!: (session: Partial<RequestSession>) => void;
    const { gate, did } = gateFor(new Promise((resolve) => (open = resolve)));
    const outcome = gate.commit(201);
    expect(did).toEqual([]);
    open({ cookie: keep });
    await outcome;
    expect(did).toEqual([['commit', 201]]);
  });

  it.each([
    [{ retryAfter: 2 }, { 'retry-after': '2' }],
    [{ code: 'SESSION_GONE', status: 401, message: 'Gone.' } as const, {}],
  ])('answers a failed commit itself: %p', async (info, extra) => {
    for (const outcome of [fault(info), Promise.resolve(fault(info))]) {
      const { gate } = gateFor({ cookie: keep }, outcome);
      const { code = 'SESSION_UNAVAILABLE', status = 503, message = 'Away.' } = info as Partial<SessionErrorInfo>;
      const headers = { 'content-type': 'application/json; charset=utf-8', 'cache-control': 'no-store', ...extra };
      const body = JSON.stringify({ statusCode: status, code, message });
      expect(await gate.commit(200)).toEqual({ status, headers, body });
    }
  });

  it('leaves the answer to the guard whose opening failed, and puts nothing on it', async () => {
    const { gate, did } = gateFor(Promise.reject(new Error('a bug')));
    // Long after the failure: nobody was listening, and the process goes on.
    await new Promise((resolve) => setTimeout(resolve, 5));
    await expect(gate.commit(500)).resolves.toBeUndefined();
    const response = newResponse(500);
    gate.setHeaders(response, response.statusCode);
    expect(response.getHeaderNames()).toEqual([]);
    expect(did).toEqual([]);
  });

  it.each([
    ['a load that failed', { failure: fault({ retryAfter: 2 }) }, 503, 2],
    ['an operation that failed', { rejected: fault({ retryAfter: 2 }) }, 503, 2],
    ['an answer that is no 503', { failure: fault({ retryAfter: 2 }) }, 200, undefined],
    ['a failure that says nothing of later', { rejected: fault({ code: 'SESSION_OUTCOME_UNKNOWN' }) }, 503, undefined],
  ])('says when to try again: %s', (_, session, status, expected) => {
    const { gate } = gateFor({ cookie: keep, ...session });
    const response = newResponse(status);
    gate.setHeaders(response, response.statusCode);
    expect(response.getHeader('retry-after')).toBe(expected);
  });

  it("leaves a handler's own Retry-After", () => {
    const { gate } = gateFor({ cookie: keep, failure: fault({ retryAfter: 2 }) });
    const response = newResponse(503);
    response.setHeader('retry-after', '60');
    gate.setHeaders(response, response.statusCode);
    expect(response.getHeader('retry-after')).toBe('60');
  });

  it('marks the response only of a session that was looked at', () => {
    for (const isLookedAt of [true, false]) {
      const cookie = { kind: 'issue', token: 't', maxAge: 1 } as const;
      const { gate, did } = gateFor({ cookie, isLookedAt });
      const response = newResponse();
      gate.setHeaders(response, response.statusCode);
      expect(did).toEqual([['cookie', cookie]]);
      expect(response.getHeader('vary')).toBe(isLookedAt ? 'Cookie' : undefined);
      expect(response.getHeader('cache-control')).toBe(isLookedAt ? 'private' : undefined);
    }
  });

  it('passes on what it is to report', () => {
    const { gate, did } = gateFor({ cookie: keep });
    const error = new Error('a bug');
    gate.report(error);
    expect(did).toEqual([['report', error]]);
  });
});
