import { passGate } from './gate.mjs';
import { operationController, operations } from './operation-controller.mjs';

/** @param {() => ParameterDecorator} Session injects the session of the request, which a guard has opened */
export const raceController = (Session) =>
  operationController(Session, async (session, operation, body) => {
    if (body.gate !== undefined) await passGate(body.gate);
    return { value: await operations[operation](session, body) };
  });
