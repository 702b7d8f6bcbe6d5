import { applyDecorators } from '@nestjs/common';
import { IsString, Length, Matches } from 'class-validator';

/**
 * Text of 1 to 64 characters that can be shown and stored: not blank, no control characters (PostgreSQL refuses NUL),
 * no half of a surrogate pair.
 */
export function IsShortText(): PropertyDecorator {
  return applyDecorators(
    IsString(),
    Length(1, 64),
    Matches(/^(?=.*\S)[^\p{Cc}\p{Cs}]*$/u, { message: '$property must be readable text' }),
  );
}
