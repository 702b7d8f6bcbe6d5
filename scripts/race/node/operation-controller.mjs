import { Body, Controller, HttpCode, Param, Post } from '@nestjs/common';

/** What a request may ask for, in the words of the library; the control's sessions have the same methods. */
export const operations = {
  read: (session) => Object.fromEntries(session.entries()),
  set(session, { values }) {
    for (const [key, value] of Object.entries(values)) session.set(key, value);
  },
  increment: (session, { key }) => session.increment(key),
  append: (session, { key, item }) => session.append(key, item),
  update: (session, { key, item }) => session.update(key, (items = []) => [...items, item]),
  take: (session, { key }) => session.take(key),
  setIfAbsent: (session, { key, value }) => session.setIfAbsent(key, value),
  destroy: (session) => session.destroy(),
  regenerate: (session) => session.regenerate(),
};

/**
 * `POST /OPERATION` with a JSON body.
 *
 * @param {() => ParameterDecorator} Session injects the session of the request, which a guard has opened
 * @param {(session: any, operation: string, body: any) => Promise<object>} answer
 */
export function operationController(Session, answer) {
  class OperationController {
    run(session, operation, body) {
      return answer(session, operation, body);
    }
  }
  // JavaScript has no decorators yet; these are functions.
  const run = [OperationController.prototype, 'run'];
  Controller()(OperationController);
  for (const decorate of [Post(':operation'), HttpCode(200)]) {
    decorate(...run, Object.getOwnPropertyDescriptor(...run));
  }
  for (const [index, decorate] of [Session(), Param('operation'), Body()].entries()) decorate(...run, index);
  return OperationController;
}
