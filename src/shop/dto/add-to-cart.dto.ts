import { Type } from 'class-transformer';
import { IsInt, Max, Min } from 'class-validator';
import { IsShortText } from '../short-text.js';

export class AddToCart {
  @IsShortText()
  sku: string;

  @IsInt()
  @Min(1)
  @Max(99)
  quantity: number;
}

/** The same from an HTML form, which knows nothing but text. */
export class AddToCartForm extends AddToCart {
  @Type(() => Number)
  declare quantity: number;
}
