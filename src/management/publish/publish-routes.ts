// Publishing over HTTP, under EMQX's paths, with its bodies and codes.

import type { TypeBoxTypeProvider } from "@fastify/type-provider-typebox";
import type { FastifyInstance } from "fastify";
import { type Static, Type } from "typebox";
import type { Published, PublishProblem, PublishRequest } from "../../broker/administrator-publishes.ts";
import type { Broker } from "../../broker/broker.ts";
import { ReasonCode } from "../../mqtt/reason-code.ts";
import { errors } from "../schemas.ts";
import { PublishBody, publishRequest } from "./publish-body.ts";

const PUBLISH = "/api/v5/publish";
/** Messages of one request. */
const MAX_BULK = 1000;
/** Bytes of a request's body. */
const BODY_LIMIT = 4 * 1024 * 1024;
const tags = ["Publish"];

const Taken = Type.Object({ id: Type.String({ description: "32 hexadecimal digits" }) });
const Problem = Type.Object({ reason_code: Type.Integer(), message: Type.String() });
const Outcomes = Type.Array(Type.Union([Taken, Problem]));
/** Or that of a body that cannot be read. */
const Refused = Type.Union([Problem, errors(400)[400]]);

type Outcome = Static<typeof Taken> | Static<typeof Problem>;

export async function publishRoutes(app: FastifyInstance, { publishes }: Pick<Broker, "publishes">): Promise<void> {
  const api = app.withTypeProvider<TypeBoxTypeProvider>();
  const asked = (body: Static<typeof PublishBody>): PublishRequest | PublishProblem => {
    const request = publishRequest(body);
    return "reasonCode" in request ? request : (publishes.problemOf(request) ?? request);
  };

  const one = {
    summary: "Publish a message",
    tags,
    body: PublishBody,
    response: { 200: Taken, 202: Problem, 400: Refused, ...errors(413), 503: Problem },
  };
  api.post(PUBLISH, { schema: one, bodyLimit: BODY_LIMIT }, async ({ body }, reply) => {
    const request = asked(body);
    if ("reasonCode" in request) return reply.code(400).send(problemJson(request));
    const [published] = (await publishes.publish([request])) as [Published];
    return reply.code(statusOf(published)).send(outcomeJson(published));
  });

  const many = {
    summary: "Publish messages, all of them or none where one is wrong",
    tags,
    body: Type.Array(PublishBody, { minItems: 1, maxItems: MAX_BULK }),
    response: { 200: Outcomes, 202: Outcomes, 400: Refused, ...errors(413), 503: Outcomes },
  };
  api.post(`${PUBLISH}/bulk`, { schema: many, bodyLimit: BODY_LIMIT }, async ({ body }, reply) => {
    const requests: PublishRequest[] = [];
    for (const [at, item] of body.entries()) {
      const request = asked(item);
      if ("reasonCode" in request) {
        const { reasonCode, reasonString } = request;
        return reply.code(400).send(problemJson({ reasonCode, reasonString: `Message ${at + 1}: ${reasonString}` }));
      }
      requests.push(request);
    }
    const published = await publishes.publish(requests);
    const statuses = new Set(published.map(bulkStatusOf));
    const status = ([503, 202] as const).find((status) => statuses.has(status)) ?? 200;
    return reply.code(status).send(published.map(outcomeJson));
  });
}

/** What the hooks refuse for good is the caller's to mend. */
function statusOf({ problem }: Published): 200 | 202 | 400 | 503 {
  if (problem === undefined) return 200;
  if (problem.reasonCode === ReasonCode.NoMatchingSubscribers) return 202;
  return problem.isTemporary ? 503 : 400;
}

/** 400 would say that nothing was published. */
function bulkStatusOf(published: Published): 200 | 202 | 503 {
  const status = statusOf(published);
  return status === 400 ? 503 : status;
}

function outcomeJson({ id, problem }: Published): Outcome {
  return problem === undefined ? { id } : problemJson(problem);
}

function problemJson({ reasonCode, reasonString }: PublishProblem): Static<typeof Problem> {
  return { reason_code: reasonCode, message: reasonString };
}
