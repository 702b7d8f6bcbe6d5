import { Controller, Get } from '@nestjs/common';
import { SkipSession } from 'nestjs-typeorm-session';

@Controller('health')
@SkipSession()
export class HealthController {
  /** Is this process alive? Asks no database: a restart of the process does not heal one. */
  @Get()
  check(): { status: 'ok' } {
    return { status: 'ok' };
  }
}
