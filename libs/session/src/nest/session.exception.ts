import { HttpException } from '@nestjs/common';
import type { SessionErrorCode, SessionErrorInfo, SessionFault } from '../core/errors.js';

/** Every session error that reaches the application: an HttpException with a machine-readable `code`. */
export class SessionException extends HttpException implements SessionFault {
  readonly code: SessionErrorCode;
  readonly session: SessionErrorInfo;

  constructor(info: SessionErrorInfo) {
    const { status, code, message } = info;
    super({ statusCode: status, code, message }, status);
    this.code = code;
    this.session = info;
  }
}
