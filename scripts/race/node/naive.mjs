// The control: sessions as they are commonly written. The row is loaded before the handler, and the whole document is
// saved after it with `repository.save()`. It is wrong on purpose, and the race has to find it wrong.
import { createParamDecorator, ServiceUnavailableException } from '@nestjs/common';
import { APP_GUARD, APP_INTERCEPTOR } from '@nestjs/core';
import { TypeOrmModule } from '@nestjs/typeorm';
import { catchError, mergeMap } from 'rxjs';
import { DataSource } from 'typeorm';
import { NaiveRow } from './naive-row.mjs';
import { NaiveSession } from './naive-session.mjs';

const sessionOf = (context) => context.switchToHttp().getRequest().session;

export const sessions = () => ({
  Session: createParamDecorator((_, context) => sessionOf(context)),
  imports: [TypeOrmModule.forFeature([NaiveRow])],
  providers: [
    { provide: APP_GUARD, inject: [DataSource], useFactory: guard },
    { provide: APP_INTERCEPTOR, inject: [DataSource], useFactory: interceptor },
  ],
});

function guard(dataSource) {
  const repository = dataSource.getRepository(NaiveRow);
  return {
    async canActivate(context) {
      const request = context.switchToHttp().getRequest();
      const id = /sid=(\w+)/.exec(request.headers.cookie)?.[1];
      const row = id === undefined ? null : await repository.findOneBy({ id }).catch(unavailable);
      request.session = new NaiveSession(repository, row);
      return true;
    },
  };
}

function interceptor() {
  return {
    intercept(context, next) {
      const session = sessionOf(context);
      const commit = async (value) => {
        if (await session.save()) context.switchToHttp().getResponse().header('set-cookie', `sid=${session.id}`);
        return value;
      };
      return next.handle().pipe(mergeMap(commit), catchError(unavailable));
    },
  };
}

/** Two that save the same new row, a busy file: what a store answers that has no answer of its own. */
function unavailable(error) {
  throw new ServiceUnavailableException(error.message);
}
