// The error of an SQL template that cannot be used. docs/errors.md explains its code.

import { CodedError } from "../../mqtt/coded-error.ts";
import type { TemplateName } from "./placeholders.ts";

/** An SQL template cannot be used. Its message begins with the template's key, and ends with what to do. */
export class TemplateError extends CodedError {
  /** The template's key in the section `mysql` of the configuration. */
  readonly template: TemplateName;

  constructor(template: TemplateName, problem: string, options?: ErrorOptions) {
    super("STORE_TEMPLATE_INVALID", `mysql.${template} ${problem}`, options);
    this.template = template;
  }
}
