import 'reflect-metadata';
import { SessionConfigError } from '../core/errors.js';
import type { SchemaCheck } from '../core/session-context.js';

type Schema = new () => object;
type Validator = typeof import('class-validator');
interface Packages {
  readonly validator: Validator;
  readonly transformer: typeof import('class-transformer');
}

/**
 * Makes a check of single values from a class with class-validator decorators. Both packages are optional, and loaded for those who
 * use them.
 *
 * @throws SessionConfigError where one is missing, the class has no decorators, or one of them is asynchronous.
 */
export async function loadSchemaCheck(schema: Schema): Promise<SchemaCheck> {
  const { validator, transformer } = await loadPackages();
  const rules = rulesOf(validator, schema);
  if (rules.length === 0) {
    throw new SessionConfigError(`The session schema ${schema.name} has no class-validator decorators.`);
  }
  refuseAsynchronous({ validator, transformer }, schema, new Set());
  const known = new Set(rules.map(({ propertyName }) => propertyName));
  return (key, value) => {
    if (!known.has(key)) return ['whitelistValidation'];
    const instance = transformer.plainToInstance(schema, { [key]: value });
    // The other keys are absent here, and no business of this one.
    const errors = validator.validateSync(instance, { skipMissingProperties: true, forbidUnknownValues: false });
    return errors.filter(({ property }) => property === key).flatMap(constraintsOf);
  };
}

async function loadPackages(): Promise<Packages> {
  try {
    return { validator: await import('class-validator'), transformer: await import('class-transformer') };
  } catch {
    throw new SessionConfigError(
      'The session option `schema` needs the packages class-validator and class-transformer. Install them: npm install class-validator class-transformer.',
    );
  }
}

function rulesOf(validator: Validator, schema: Schema) {
  return validator.getMetadataStorage().getTargetValidationMetadatas(schema, '', false, false);
}

/** A session is read synchronously, so its schema has to answer synchronously, in nested classes too. */
function refuseAsynchronous(packages: Packages, schema: Schema, seen: Set<Schema>): void {
  if (seen.has(schema)) return;
  seen.add(schema);
  const storage = packages.validator.getMetadataStorage();
  for (const { constraintCls, propertyName } of rulesOf(packages.validator, schema)) {
    const constraints = constraintCls ? storage.getTargetValidatorConstraints(constraintCls) : [];
    if (constraints.some((constraint) => constraint.async)) {
      throw new SessionConfigError(
        `The session schema ${schema.name} has an asynchronous validator on "${propertyName}". Sessions are read synchronously: use a synchronous one.`,
      );
    }
    for (const nested of nestedIn(packages, schema, propertyName)) refuseAsynchronous(packages, nested, seen);
  }
}

/** The classes of a property: the declared one, and the one that class-transformer makes of an object or of each in a list. */
function nestedIn({ transformer }: Packages, schema: Schema, property: string): Schema[] {
  const made = (probe: unknown) =>
    (transformer.plainToInstance(schema, { [property]: probe }) as Record<string, unknown>)[property];
  const list = made([{}]);
  const values = [made({}), Array.isArray(list) ? (list[0] as unknown) : undefined];
  const classes = values.map((value) => (typeof value === 'object' && value !== null ? value.constructor : undefined));
  const declared: unknown = Reflect.getMetadata('design:type', schema.prototype as object, property);
  return [declared, ...classes].filter((type): type is Schema => typeof type === 'function' && type !== Object);
}

/** Names of the broken rules. Not their messages: those may quote the value. */
function constraintsOf(error: import('class-validator').ValidationError): string[] {
  const own = Object.keys(error.constraints ?? {});
  const nested = (error.children ?? []).flatMap(constraintsOf).map((name) => `${error.property}.${name}`);
  return [...own, ...nested];
}
