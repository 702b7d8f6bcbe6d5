import { Type } from 'class-transformer';
import { IsArray, IsInt, IsOptional, Min, ValidateNested } from 'class-validator';
import { IsShortText } from './short-text.js';

export class CartItem {
  @IsShortText()
  sku: string;

  @IsInt()
  @Min(1)
  quantity: number;
}

/**
 * What a visitor's session holds. It types the session (`Session<Shop>`), and as `schema` of the module it checks values
 * when they are set and again when a row is loaded that an older version of the shop may have written.
 */
export class Shop {
  @IsOptional()
  @IsInt()
  visits?: number;

  @IsOptional()
  @IsArray()
  @ValidateNested({ each: true })
  @Type(() => CartItem)
  cart?: CartItem[];
}
